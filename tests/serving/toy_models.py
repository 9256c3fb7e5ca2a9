"""Models small enough to check by hand, with random weights."""

import numpy as np
import pandas as pd
from scipy import sparse

from d2l_autorec.serving.folder import Model
from d2l_autorec.serving.model import weight_shapes

TITLES = ["Alpha", "Beta", "Gamma", None, "Epsilon", "Zeta"]


def toy_model(
    by="item", hidden=(3,), encoder="sigmoid", decoder="identity", num_users=5, titles=True
):
    """Make a model of 6 items; item 60 has no ratings, user u5 has rated nothing."""
    draws = np.random.default_rng(7)
    matrix = draws.integers(1, 6, (6, num_users)) * (draws.random((6, num_users)) < 0.6)
    matrix[5], matrix[:, -1] = 0, 0
    matrix[0, :3], matrix[1, 0] = (4, 2, 5), 0
    ratings = sparse.csr_matrix(matrix if by == "item" else matrix.T, dtype=np.float32)
    items = pd.DataFrame({"item_id": np.arange(10, 70, 10), "title": TITLES})
    items["year"] = pd.array([1991, 1992, None, None, 1995, 1996], dtype="Int64")
    items["genres"] = ["Drama", "Comedy|Drama", "", None, "War", "Western"]
    weights = {
        name: draws.normal(scale=0.5, size=shape).astype(np.float32)
        for name, shape in weight_shapes(ratings.shape[1], hidden).items()
    }
    return Model(
        by=by,
        hidden=hidden,
        encoder=encoder,
        decoder=decoder,
        dropout=0.05,
        input_dropout=0.0,
        weights=weights,
        ratings=ratings,
        user_ids=np.array([f"u{i + 1}" for i in range(num_users)]),
        item_ids=np.arange(10, 70, 10),
        items=items if titles else None,
        low=1.0,
        high=5.0,
        record={"data": {"name": "toy", "digest": "0" * 64}},
    )


def dense(model):
    """Return the ratings as (users, items)."""
    matrix = model.ratings.toarray()
    return matrix if model.by == "user" else matrix.T
