"""Models of other libraries, with the interface of `d2l_autorec.experiments.baselines`.

The libraries come with ``pip install d2l-autorec[compare]`` and are imported when a model is
fitted. Each model is told its seed and to use the threads of `runtime.num_threads`, where it can
use more than one.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.experiments.baselines import columns
from d2l_autorec.runtime import num_threads

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.experiments.baselines import Model, Predict


def surprise_svd(
    n_factors: int = 100, n_epochs: int = 20, lr_all: float = 0.005, reg_all: float = 0.02
) -> Model:
    """Make Surprise's ``SVD``: biased matrix factorization by stochastic gradient descent."""
    return _surprise("SVD", n_factors=n_factors, n_epochs=n_epochs, lr_all=lr_all, reg_all=reg_all)


def surprise_svdpp(
    n_factors: int = 20, n_epochs: int = 20, lr_all: float = 0.007, reg_all: float = 0.02
) -> Model:
    """Make Surprise's ``SVDpp``: SVD++, which also counts what a user has rated at all."""
    return _surprise(
        "SVDpp", n_factors=n_factors, n_epochs=n_epochs, lr_all=lr_all, reg_all=reg_all
    )


def surprise_knn(k: int = 40, similarity: str = "msd", user_based: bool = True) -> Model:
    """Make Surprise's ``KNNBaseline``: neighbours, on top of user and item biases."""
    sim_options = {"name": similarity, "user_based": user_based}
    return _surprise("KNNBaseline", k=k, sim_options=sim_options, verbose=False)


def _surprise(name: str, **settings: Any) -> Model:
    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        import surprise

        low, high = float(table["rating"].min()), float(table["rating"].max())
        reader = surprise.Reader(rating_scale=(low, high))
        data = surprise.Dataset.load_from_df(table[["user", "item", "rating"]], reader)
        seeded = {} if name == "KNNBaseline" else {"random_state": seed}
        algorithm = getattr(surprise, name)(**settings, **seeded)
        algorithm.fit(data.build_full_trainset())

        def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
            pairs = zip(users.tolist(), items.tolist())
            return np.array([algorithm.predict(*pair, clip=False).est for pair in pairs])

        return predict

    return fit


def cmfrec_mf(k: int = 40, lambda_: float = 10.0) -> Model:
    """Make cmfrec's ``CMF``: biased matrix factorization by alternating least squares."""

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        import cmfrec
        from scipy import sparse

        users, items, ratings = columns(table)
        pairs = (users.astype(np.int32), items.astype(np.int32))
        # cmfrec draws the same start from the seeds 0 and 1
        model = cmfrec.CMF(
            k=k, lambda_=lambda_, random_state=seed + 1, verbose=False, nthreads=num_threads()
        )
        model.fit(sparse.coo_matrix((ratings, pairs), shape=shape))
        return model.predict

    return fit


def myfm(rank: int = 10, n_iter: int = 200, implicit: bool = False) -> Model:
    """Make myFM's Bayesian factorization machine, sampled by Gibbs.

    Parameters
    ----------
    rank, n_iter : int
        Factors and Gibbs samples; the defaults are those of myFM's own MovieLens tutorial.
    implicit : bool
        Beside the ids of user and item, give it who has rated what at all (SVD++): all items that
        the user has rated and all users that have rated the item, each set scaled to unit length.
    """

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        from myfm import MyFMRegressor, RelationBlock
        from scipy import sparse

        users, items, ratings = columns(table)
        rated = sparse.csr_matrix((np.ones(len(table)), (users, items)), shape=shape)
        features = [_features(half, implicit) for half in (rated, rated.T.tocsr())]
        widths = [*shape] if not implicit else [shape[0], shape[1], shape[1], shape[0]]

        def blocks(users: np.ndarray, items: np.ndarray) -> list[RelationBlock]:
            return [
                RelationBlock(ids.tolist(), half) for ids, half in zip((users, items), features)
            ]

        model = MyFMRegressor(rank=rank, random_seed=seed)
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            model.fit(
                None,
                ratings.astype(float),
                X_rel=blocks(users, items),
                group_shapes=widths,
                n_iter=n_iter,
                n_kept_samples=n_iter,
            )
        return lambda users, items: model.predict(None, blocks(users, items), n_workers=1)

    return fit


def _features(rated: Any, implicit: bool) -> Any:
    """One row for each id: the id and, if asked for, what it has rated or who has rated it."""
    from scipy import sparse

    ids = sparse.identity(rated.shape[0], format="csr")
    if not implicit:
        return ids
    scale = 1 / np.sqrt(np.maximum(np.diff(rated.indptr), 1))
    return sparse.hstack([ids, sparse.diags(scale) @ rated], format="csr")
