"""Models to compare, AutoRec among them, behind one small interface.

A *model* is ``fit(table, shape, seed) -> predict``: ``table`` holds training ratings (``user``,
``item``, ``rating``; codes from 0), ``shape`` is ``(num_users, num_items)`` and
``predict(users, items)`` returns stars. The functions here, and those for other people's libraries
in `d2l_autorec.experiments.libraries`, are models that take settings as well.

The book's two models draw from the global generators as they stand and leave ``seed`` aside: seed
them and draw the split first, as the book's code does, and they end where it ends.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.parts import Predict
from d2l_autorec.models.biases import estimate_shrinkage, fit_biases
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.training.batches import RolloverBatches
from d2l_autorec.training.engines import Compute
from d2l_autorec.training.fit import fit
from d2l_autorec.training.history import Epoch

Shape = tuple[int, int]
Model = Callable[[pd.DataFrame, Shape, int], Predict]
Watch = Callable[[int, Predict], None]  # told of each epoch, and how to predict at its end


def columns(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the users (int64), items (int64) and ratings (float32) of a table."""
    users, items = (table[name].to_numpy(np.int64) for name in ("user", "item"))
    return users, items, table["rating"].to_numpy(np.float32)


def global_mean(table: pd.DataFrame, shape: Shape, seed: int) -> Predict:
    """Predict the mean of the training ratings for everyone."""
    mean = float(table["rating"].mean())
    return lambda users, items: np.full(len(users), mean)


def biases(
    table: pd.DataFrame,
    shape: Shape,
    seed: int,
    reg_user: float = 15,
    reg_item: float = 10,
    num_sweeps: int = 30,
) -> Predict:
    """Predict ``mean + b_u + b_i``, fitted by alternating least squares with shrinkage.

    ``reg_user`` and ``reg_item`` are the ratings of no effect that each bias is averaged with; the
    defaults are Surprise's. The biases no longer move after some ten sweeps.
    """
    users, items, ratings = columns(table)
    shrinkage = (reg_item, reg_user)
    mean, of_item, of_user = fit_biases(items, users, ratings, shape[::-1], shrinkage, num_sweeps)
    return lambda users, items: mean + of_user[users] + of_item[items]


def estimated_biases(table: pd.DataFrame, shape: Shape, seed: int) -> Predict:
    """Predict ``mean + b_u + b_i`` with a shrinkage that is estimated from the ratings."""
    users, items, ratings = columns(table)
    of_items, of_users = estimate_shrinkage(items, users, ratings, shape[::-1])
    return biases(table, shape, seed, of_users, of_items, 10)


def matrix_factorization(
    table: pd.DataFrame,
    shape: Shape,
    seed: int,
    num_factors: int = 30,
    wd: float = 1e-5,
    num_epochs: int = 20,
    watch: Watch | None = None,
) -> Predict:
    """Train the book's matrix factorization as the book trains it.

    The loop leaves out the DataLoader, which collects a batch one rating at a time; batches and
    updates are those of ``chapter.mf.train_mf``, and the defaults the book's.
    """
    import mxnet as mx
    from mxnet import autograd, gluon

    from d2l_autorec.chapter.mf import MF

    users, items, ratings = columns(table)
    size = min(512, len(table))
    batches = RolloverBatches(len(table), size)
    net = MF(num_factors, *shape)
    net.initialize(mx.init.Normal(0.01))
    loss = gluon.loss.L2Loss()
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.002, "wd": wd})

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


def recipe(table: pd.DataFrame, shape: Shape, seed: int, recipe: Recipe) -> Predict:
    """Train an AutoRec of a recipe."""
    return fit(table, shape, recipe, seed).predict


def autorec(
    table: pd.DataFrame,
    shape: Shape,
    seed: int,
    by: str = "item",
    num_hidden: int = CHAPTER.num_hidden,
    watch: Watch | None = None,
    **settings: float,
) -> Predict:
    """Train the chapter's AutoRec by the sparse engine, whose updates are the chapter's.

    The ``settings`` are fields of a recipe; the defaults are the chapter's.
    """
    chapter = RECIPES["chapter"].but(by=by, hidden=(num_hidden,), **settings)

    def follow(epoch: Epoch, model: TrainedModel) -> None:
        if watch:
            watch(epoch.epoch, model.predict)

    compute = Compute(watch=follow if watch else None)
    return fit(table, shape, chapter, seed, compute=compute).predict
