"""Models to compare, AutoRec among them, behind one small interface.

A *model* is ``fit(table, shape, seed) -> predict``: ``table`` holds training ratings (``user``,
``item``, ``rating``; codes from 0), ``shape`` is ``(num_users, num_items)`` and
``predict(users, items)`` returns stars. Each function here makes a model of its settings,
`d2l_autorec.experiments.libraries` makes those of other people's libraries.

The book's two models draw from the global generators as they stand and leave ``seed`` aside: seed
them and draw the split first, as the book's code does, and they end where it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import RECIPES

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.models.trained import TrainedModel
    from d2l_autorec.training.history import Epoch

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
Model = Callable[["pd.DataFrame", tuple[int, int], int], Predict]
Watch = Callable[[int, Predict], None]  # told of each epoch, and how to predict at its end


def columns(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the users (int64), items (int64) and ratings (float32) of a table."""
    users, items = (table[name].to_numpy(np.int64) for name in ("user", "item"))
    return users, items, table["rating"].to_numpy(np.float32)


def global_mean() -> Model:
    """Predict the mean of the training ratings for everyone."""

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        mean = float(table["rating"].mean())
        return lambda users, items: np.full(len(users), mean)

    return fit


def biases(reg_user: float = 15, reg_item: float = 10, num_sweeps: int = 30) -> Model:
    """Predict ``mean + b_u + b_i``, fitted by alternating least squares with shrinkage.

    Parameters
    ----------
    reg_user, reg_item : float
        Ratings of no effect that each bias is averaged with. The defaults are Surprise's.
    num_sweeps : int
        The biases no longer move after some ten.
    """

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        from d2l_autorec.models.biases import fit_biases

        users, items, ratings = columns(table)
        mean, of_item, of_user = fit_biases(
            items, users, ratings, shape[::-1], (reg_item, reg_user), num_sweeps
        )
        return lambda users, items: mean + of_user[users] + of_item[items]

    return fit


def estimated_biases() -> Model:
    """Predict ``mean + b_u + b_i`` with a shrinkage that is estimated from the ratings."""

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        from d2l_autorec.models.biases import estimate_shrinkage

        users, items, ratings = columns(table)
        of_items, of_users = estimate_shrinkage(items, users, ratings, shape[::-1])
        return biases(of_users, of_items, 10)(table, shape, seed)

    return fit


def matrix_factorization(
    num_factors: int = 30,
    wd: float = 1e-5,
    num_epochs: int = 20,
    lr: float = 0.002,
    batch_size: int = 512,
    watch: Watch | None = None,
) -> Model:
    """Make the book's matrix factorization, trained as the book trains it.

    The loop leaves out the DataLoader, which collects a batch one rating at a time; batches and
    updates are those of ``chapter.mf.train_mf``.

    Parameters
    ----------
    num_factors, wd, num_epochs, lr, batch_size
        The defaults are the book's.
    watch : callable, optional
        Told of each epoch.
    """

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        import mxnet as mx
        from mxnet import autograd, gluon

        from d2l_autorec.chapter.mf import MF
        from d2l_autorec.training.batches import RolloverBatches

        users, items, ratings = columns(table)
        size = min(batch_size, len(table))
        batches = RolloverBatches(len(table), size)
        net = MF(num_factors, *shape)
        net.initialize(mx.init.Normal(0.01))
        loss = gluon.loss.L2Loss()
        trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": lr, "wd": wd})

        def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
            return net(mx.np.array(users), mx.np.array(items)).asnumpy()

        for epoch in range(1, num_epochs + 1):
            for rows in next(batches):
                batch = [mx.np.array(part[rows]) for part in (users, items, ratings)]
                with autograd.record():
                    error = loss(net(*batch[:2]), batch[2])
                error.backward()
                trainer.step(size)
            if watch:
                watch(epoch, predict)
        return predict

    return fit


def recipe(recipe: Recipe) -> Model:
    """Make an AutoRec of a recipe."""

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        from d2l_autorec.training.fit import fit

        return fit(table, shape, recipe, seed).predict

    return fit


def autorec(
    by: str = "item",
    num_hidden: int = CHAPTER.num_hidden,
    dropout: float = CHAPTER.dropout_rate,
    wd: float = CHAPTER.wd,
    num_epochs: int = CHAPTER.num_epochs,
    watch: Watch | None = None,
) -> Model:
    """Make the chapter's AutoRec, trained by the sparse engine, whose updates are the chapter's.

    Parameters
    ----------
    by : {"item", "user"}
        What a row of the matrix is.
    num_hidden, dropout, wd, num_epochs
        The defaults are the chapter's.
    watch : callable, optional
        Told of each epoch.
    """
    chapter = RECIPES["chapter"].but(
        by=by, hidden=(num_hidden,), dropout=dropout, wd=wd, num_epochs=num_epochs
    )

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        from d2l_autorec.training.engines import Compute
        from d2l_autorec.training.fit import fit

        def follow(epoch: Epoch, model: TrainedModel) -> None:
            assert watch is not None
            watch(epoch.epoch, model.predict)

        compute = Compute(watch=follow if watch else None)
        return fit(table, shape, chapter, seed, compute=compute).predict

    return fit
