"""What the lab recommends to a visitor: by the network, and by the biases alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.course.lab.material import Material
from d2l_autorec.models.biases import SHRINKAGE
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.model import Model

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.models.trained import TrainedModel

NUMBER = 8
MIN_RATINGS = 20
"""Training ratings that a film needs to be recommended."""


def by_network(
    material: Material, trained: TrainedModel, stars: Mapping[int, float]
) -> list[dict[str, Any]]:
    """Return the films that a network recommends to somebody with these ratings, by item code.

    Of each film there are ``code``, ``title`` and ``stars``, the prediction.
    """
    import pandas as pd

    (low, high), ratings = material.range, material.ratings
    ids = (ratings.user_ids, ratings.item_ids, ratings.items)
    # a network trained without the mask predicts less than the lowest rating
    model = Model(trained, *ids, min(low, 0), high, {})
    rated = pd.DataFrame({"item": ratings.item_ids[list(stars)], "rating": list(stars.values())})
    table: pd.DataFrame = new_user(model, rated, NUMBER, MIN_RATINGS)
    codes = [model.item_codes[str(item)] for item in table["item"]]
    return _rows(material, codes, table["prediction"].to_numpy())


def by_biases(material: Material, stars: Mapping[int, float]) -> list[dict[str, Any]]:
    """Return the films that biases recommend: the same to everybody, but for those rated."""
    codes, values = np.array(list(stars), int), np.array(list(stars.values()), float)
    of_items = material.mean + material.of_items
    own = (values - of_items[codes]).sum() / (len(codes) + SHRINKAGE)
    scores = np.clip(of_items + own, *material.range)
    left = np.where(np.diff(material.train.indptr) >= MIN_RATINGS, of_items, -np.inf)
    left[codes] = -np.inf
    best = np.argsort(-left, kind="stable")[:NUMBER]
    best = best[np.isfinite(left[best])]
    return _rows(material, best.tolist(), scores[best])


def _rows(material: Material, codes: list[int], predictions: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"code": code, "title": material.title(code), "stars": float(value)}
        for code, value in zip(codes, predictions)
    ]
