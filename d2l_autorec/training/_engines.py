"""The two engines behind one face, for a run that may be interrupted between two epochs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.training._dense import DenseState
from d2l_autorec.training._state import SparseState
from d2l_autorec.training.batches import RolloverBatches
from d2l_autorec.training.distributed import Group
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.settings import Settings

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Engine:
    """A net that is ready to be trained.

    Attributes
    ----------
    state : DenseState or SparseState
        What changes in training.
    epochs : callable
        Takes a number of epochs and gives the generator that trains them.
    score : callable
        Gives the RMSE over ratings, between two epochs.
    whole : callable
        Takes a copy of weights; gives what a checkpoint is to hold: all arrays of the state, and
        those weights, whole. All workers call it.
    """

    state: DenseState | SparseState
    epochs: Callable[[int], Generator[Epoch, None, None]]
    score: Callable[[sparse.csr_matrix], float]
    whole: Callable[[Arrays], tuple[Arrays, Arrays]]


def make_engine(
    settings: Settings,
    net: AutoRec,
    train: sparse.csr_matrix,
    watched: sparse.csr_matrix,
    devices: list[Any],
    group: Group | None,
    batches: RolloverBatches,
) -> Engine:
    """Choose the engine; `watched` are the ratings scored after each epoch."""
    if settings.engine == "fast":
        from d2l_autorec.training.fast import evaluate_fast, train_fast

        dense = DenseState(net, devices, settings.lr, settings.wd, group)
        return Engine(
            dense,
            lambda num_epochs: train_fast(
                net, train, watched, num_epochs=num_epochs, state=dense, batches=batches,
                devices=devices, group=group,
            ),
            lambda test: evaluate_fast(net, train, test, devices, group),
            lambda weights: (dense.arrays(), weights),
        )  # fmt: skip
    from d2l_autorec.training.sparse import evaluate_sparse, own_columns, train_sparse

    state = SparseState.from_net(net)
    threads = group.threads if group else None

    def whole(weights: Arrays) -> tuple[Arrays, Arrays]:
        if group is not None:
            span = own_columns(group, train)
            state.gather(group, span, moments=True)
            for name in ("V", "W", "out_bias"):
                if weights:
                    group.gather(weights[name], *span)
        return state.arrays(), weights

    return Engine(
        state,
        lambda num_epochs: train_sparse(
            net, train, watched, num_epochs=num_epochs, lr=settings.lr, wd=settings.wd,
            state=state, batches=batches, keep_net=False, num_threads=threads, group=group,
        ),
        lambda test: evaluate_sparse(state, train, test, num_threads=threads, group=group),
        whole,
    )  # fmt: skip
