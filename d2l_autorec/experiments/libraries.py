"""Models of other libraries, with the interface of `d2l_autorec.experiments.baselines`.

The libraries come with ``pip install d2l-autorec[compare]`` and are imported when a model is
fitted. Each model is told its seed and to use the threads of `runtime.num_threads`, where it can
use more than one.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from d2l_autorec.experiments.baselines import Shape, columns
from d2l_autorec.experiments.parts import Predict
from d2l_autorec.runtime import num_threads


def surprise_svd(table: pd.DataFrame, shape: Shape, seed: int, **settings: float) -> Predict:
    """Train Surprise's ``SVD``: biased matrix factorization by stochastic gradient descent."""
    return _surprise("SVD", table, **settings, random_state=seed)


def surprise_svdpp(table: pd.DataFrame, shape: Shape, seed: int, **settings: float) -> Predict:
    """Train Surprise's ``SVDpp``: SVD++, which also counts what a user has rated at all."""
    return _surprise("SVDpp", table, **settings, random_state=seed)


def surprise_knn(
    table: pd.DataFrame,
    shape: Shape,
    seed: int,
    k: int = 40,
    similarity: str = "msd",
    user_based: bool = True,
) -> Predict:
    """Make Surprise's ``KNNBaseline``: neighbours, on top of user and item biases."""
    sim_options = {"name": similarity, "user_based": user_based}
    return _surprise("KNNBaseline", table, k=k, sim_options=sim_options, verbose=False)


def _surprise(name: str, table: pd.DataFrame, **settings: Any) -> Predict:
    import surprise

    low, high = float(table["rating"].min()), float(table["rating"].max())
    reader = surprise.Reader(rating_scale=(low, high))
    data = surprise.Dataset.load_from_df(table[["user", "item", "rating"]], reader)
    algorithm = getattr(surprise, name)(**settings)
    algorithm.fit(data.build_full_trainset())

    def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        pairs = zip(users.tolist(), items.tolist())
        return np.array([algorithm.predict(*pair, clip=False).est for pair in pairs])

    return predict


def cmfrec_mf(
    table: pd.DataFrame, shape: Shape, seed: int, k: int = 40, lambda_: float = 10.0
) -> Predict:
    """Train cmfrec's ``CMF``: biased matrix factorization by alternating least squares."""
    import cmfrec

    users, items, ratings = columns(table)
    pairs = (users.astype(np.int32), items.astype(np.int32))
    # cmfrec draws the same start from the seeds 0 and 1
    model = cmfrec.CMF(
        k=k, lambda_=lambda_, random_state=seed + 1, verbose=False, nthreads=num_threads()
    )
    model.fit(sparse.coo_matrix((ratings, pairs), shape=shape))
    return model.predict


def myfm(
    table: pd.DataFrame,
    shape: Shape,
    seed: int,
    rank: int = 10,
    n_iter: int = 200,
    implicit: bool = False,
) -> Predict:
    """Sample myFM's Bayesian factorization machine by Gibbs.

    Parameters
    ----------
    table, shape, seed
    rank, n_iter : int
        Factors and Gibbs samples; the defaults are those of myFM's own MovieLens tutorial.
    implicit : bool
        Beside the ids of user and item, give it who has rated what at all (SVD++): all items that
        the user has rated and all users that have rated the item, each set scaled to unit length.
    """
    from myfm import MyFMRegressor, RelationBlock

    users, items, ratings = columns(table)
    rated = sparse.csr_matrix((np.ones(len(table)), (users, items)), shape=shape)
    features = [_features(half, implicit) for half in (rated, rated.T.tocsr())]
    widths = [*shape] if not implicit else [shape[0], shape[1], shape[1], shape[0]]

    def blocks(*ids: np.ndarray) -> list[RelationBlock]:
        return [RelationBlock(own.tolist(), half) for own, half in zip(ids, features)]

    model, known = MyFMRegressor(rank=rank, random_seed=seed), blocks(users, items)
    samples = {"n_iter": n_iter, "n_kept_samples": n_iter}
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        model.fit(None, ratings.astype(float), X_rel=known, group_shapes=widths, **samples)
    return lambda users, items: model.predict(None, blocks(users, items), n_workers=1)


def _features(rated: Any, implicit: bool) -> Any:
    """One row for each id: the id and, if asked for, what it has rated or who has rated it."""
    ids = sparse.identity(rated.shape[0], format="csr")
    if not implicit:
        return ids
    scale = 1 / np.sqrt(np.maximum(np.diff(rated.indptr), 1))
    return sparse.hstack([ids, sparse.diags(scale) @ rated], format="csr")
