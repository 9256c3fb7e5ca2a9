"""The runs of the fidelity ledger: the printed code, and that code with one change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.split import seq_aware_split
from d2l_autorec.experiments.parts import RANGE, Part, split_rows
from d2l_autorec.experiments.stats import pooled_rmse
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import num_threads, seed_everything
from d2l_autorec.training.sparse import SparseState, train_sparse

_SCORES = ("test_rmse", "clipped", "defaulted", "best_on_test", "best_epoch", "printed_rmse")
_TRAINING = ("printed_loss", "mean_loss", "train_rmse")
_SPEEDS = ("cells_per_second", "wall_cells_per_second")
_COUNTS = ("num_test", "num_cold_items", "num_cold_users", "num_cold_ratings")
MEASURES = (*_SCORES, *_TRAINING, *_SPEEDS, *_COUNTS)
DEFAULT = 3.0  # the paper's prediction for users and items without training ratings
LONG = 4  # long runs have so many times the chapter's epochs
CENTRE = 3.0


@dataclass(frozen=True)
class Change:
    """The change of a run from the chapter's code.

    Attributes
    ----------
    recipe : Recipe
        Its network, objective and weight decay.
    decay_biases : bool
        Whether the weight decay applies to biases too.
    rollover : bool
        False trains on each item once an epoch, with a short last batch.
    seq_aware : bool
        The split of the book's matrix factorization.
    shift : float
        Subtracted from the ratings before training and added to the predictions.
    other_draws : bool
        Use split 0 for all seeds, with the seed's initial weights, dropout and order.
    """

    recipe: Recipe = field(default_factory=Recipe)
    decay_biases: bool = True
    rollover: bool = True
    seq_aware: bool = False
    shift: float = 0.0
    other_draws: bool = False


CHANGES = {
    "printed": Change(),
    "sum": Change(Recipe().but(objective="sum")),
    "sum_balanced": Change(Recipe().but(objective="sum", wd=CHAPTER.wd * 943)),
    "no_bias_decay": Change(decay_biases=False),
    "no_decay": Change(Recipe().but(wd=0.0)),
    "no_dropout": Change(Recipe().but(dropout=0.0)),
    "input_dropout": Change(Recipe().but(dropout=0.0, input_dropout=CHAPTER.dropout_rate)),
    "no_rollover": Change(rollover=False),
    "centred_mask": Change(shift=CENTRE),
    "seq_aware": Change(seq_aware=True),
    "other_draws": Change(other_draws=True),
}
OTHERS = ("validation", "chapter", "centred_sign", "mf", "mf_seq_aware")


def run_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, Any]:
    """Train once and measure. Measures that do not apply stay empty."""
    name, seed, num_epochs = job["run"], int(job["seed"]), int(job["num_epochs"])
    if name in CHANGES:
        measured = _changed(ratings, CHANGES[name], seed, num_epochs, longer=name == "printed")
    elif name == "validation":
        measured = _validation(ratings, seed, num_epochs * LONG)
    elif name in ("chapter", "centred_sign"):
        change = Change(shift=CENTRE if name == "centred_sign" else 0.0)
        measured = _chapter(ratings, change, seed, num_epochs)
    else:
        measured = _factorization(ratings, seed, max(num_epochs - 5, 1), name == "mf_seq_aware")
    return {**dict.fromkeys(MEASURES, ""), **measured}


def once_an_epoch(num_rows: int, batch_size: int) -> Iterator[list[np.ndarray]]:
    """Yield the batches of each epoch, with every row once and a short last batch."""
    while True:
        rows = np.arange(num_rows)
        np.random.shuffle(rows)  # noqa: NPY002 - the generator Gluon's sampler draws from
        yield [rows[first : first + batch_size] for first in range(0, num_rows, batch_size)]


def _split(ratings: Ratings, change: Change, seed: int) -> tuple[Part, Part]:
    rows = split_rows(ratings, "random", 0 if change.other_draws else seed)
    if change.other_draws:
        seed_everything(1000 + seed)
    if change.seq_aware:
        rows = seq_aware_split(ratings.table)
    stars = ratings.table["rating"] - np.float32(change.shift)
    shifted = replace(ratings, table=ratings.table.assign(rating=stars))
    return Part(shifted, rows[0]), Part(shifted, rows[1])


def _train(
    change: Change, train: Part, test: Part, num_epochs: int
) -> Iterator[tuple[SparseState, Any]]:
    """Yield the state and the epoch, without seeding the generators."""
    num_users, num_items = train.shape
    state = SparseState.from_mxnet(change.recipe.architecture, num_users, "normal")
    batch_size = min(CHAPTER.batch_size, num_items)
    batches = None if change.rollover else once_an_epoch(num_items, batch_size)
    for epoch in train_sparse(
        None,
        train.matrix,
        test.matrix,
        num_epochs=num_epochs,
        batch_size=batch_size,
        wd=change.recipe.wd,
        objective=change.recipe.objective,
        decay_biases=change.decay_biases,
        state=state,
        batches=batches,
        num_threads=num_threads(),
    ):
        yield state, epoch


def _pairs(state: SparseState, train: sparse.csr_matrix, at: sparse.coo_matrix) -> np.ndarray:
    """Predict the entries of a matrix with the weights as they are."""
    none = Scale(0.0, 1.0, np.zeros(train.shape[0]), np.zeros(train.shape[1]))
    network = Network(Recipe(state.architecture), state.network_weights(), none)
    return network.pairs(train, at.row, at.col)


def _changed(
    ratings: Ratings, change: Change, seed: int, num_epochs: int, longer: bool
) -> dict[str, Any]:
    train, test = _split(ratings, change, seed)
    measured: dict[str, Any] = {"num_test": len(test.rows)}
    curve = []
    for state, epoch in _train(change, train, test, num_epochs * (LONG if longer else 1)):
        curve.append(epoch.rmse)
        if epoch.epoch != num_epochs:
            continue
        measured["test_rmse"], measured["mean_loss"] = epoch.rmse, epoch.train_loss
        if not longer:
            continue
        held_out, known = test.matrix.tocoo(), train.matrix.tocoo()
        predicted = _pairs(state, train.matrix, held_out).astype(float)
        cold_items, cold_users = (train.matrix.getnnz(axis=axis) == 0 for axis in (1, 0))
        cold = cold_items[held_out.row] | cold_users[held_out.col]
        read = _pairs(state, train.matrix, known)
        measured.update(
            clipped=pooled_rmse(predicted.clip(*RANGE), held_out.data),
            defaulted=pooled_rmse(np.where(cold, DEFAULT, predicted), held_out.data),
            train_rmse=pooled_rmse(read, known.data),
            num_cold_items=int(cold_items[np.unique(held_out.row)].sum()),
            num_cold_users=int(cold_users[np.unique(held_out.col)].sum()),
            num_cold_ratings=int(cold.sum()),
        )
    if longer:
        measured.update(best_on_test=min(curve), best_epoch=int(np.argmin(curve)) + 1)
    return measured


def _validation(ratings: Ratings, seed: int, num_epochs: int) -> dict[str, Any]:
    """Choose the epoch on validation, then train again on all training ratings up to it."""
    kept, validation = _split(ratings, Change(), seed)[0].divide(seed)
    curve = [epoch.rmse for _, epoch in _train(Change(), kept, validation, num_epochs)]
    chosen = int(np.argmin(curve)) + 1
    train, test = _split(ratings, Change(), seed)  # with the draws of the printed run
    *_, (_, last) = _train(Change(), train, test, chosen)
    return {"test_rmse": last.rmse, "best_epoch": chosen, "num_test": len(test.rows)}


def _chapter(ratings: Ratings, change: Change, seed: int, num_epochs: int) -> dict[str, Any]:
    """Run the printed code on shifted ratings."""
    import mxnet as mx

    from d2l_autorec.chapter.autorec import train_autorec

    parts = _split(ratings, change, seed)
    train, test = (part.matrix for part in parts)
    inputs = mx.np.array(train.toarray())
    batch_size = min(CHAPTER.batch_size, train.shape[0])
    start = time.perf_counter()
    with _sums() as sums:
        sizes = {"num_epochs": num_epochs, "batch_size": batch_size}
        net, training = train_autorec(inputs, mx.np.array(test.toarray()), **sizes, quiet=True)
    seconds = time.perf_counter() - start
    recons, held_out = net(inputs).asnumpy(), test.tocoo()
    cells = train.shape[0] * num_epochs // batch_size * batch_size * train.shape[1]
    return {
        "test_rmse": pooled_rmse(recons[held_out.row, held_out.col], held_out.data),
        "printed_rmse": training.test_rmse[-1],
        "printed_loss": sums[-1][0] / sums[-1][1],  # more digits than d2l prints
        "mean_loss": training.train_loss[-1],
        "cells_per_second": training.cells_per_second(),
        "wall_cells_per_second": cells / seconds,
        "num_test": len(parts[1].rows),
    }


@contextmanager
def _sums() -> Iterator[list[Any]]:
    """Collect the accumulators that d2l makes, one for each epoch."""
    from d2l import mxnet as d2l

    kept: list[Any] = []
    book = d2l.Accumulator

    class Accumulator(d2l.Accumulator):
        def __init__(self, n: int) -> None:
            super().__init__(n)
            kept.append(self)

    d2l.Accumulator = Accumulator
    try:
        yield kept
    finally:
        d2l.Accumulator = book


def _factorization(
    ratings: Ratings, seed: int, num_epochs: int, seq_aware: bool
) -> dict[str, Any]:
    import mxnet as mx

    from d2l_autorec.chapter.mf import train_mf

    parts = _split(ratings, Change(seq_aware=seq_aware), seed)
    train, test = (
        tuple(part.table[name].to_numpy() for name in ("user", "item", "rating")) for part in parts
    )
    sizes: dict[str, Any] = {"num_epochs": num_epochs, "batch_size": min(512, len(train[0]))}
    net, training = train_mf(train, test, *parts[0].shape, **sizes, quiet=True)
    predicted = net(mx.np.array(test[0]), mx.np.array(test[1])).asnumpy()
    return {
        "test_rmse": pooled_rmse(predicted, test[2]),
        "printed_rmse": training.test_rmse[-1],
        "num_test": len(test[0]),
    }
