"""The book's updates without the book's overheads: same seeds, same batches, same numbers.

Only overheads are left out: the DataLoader, which stacks a batch row by row;
the chain of sign, square and mean, each with an array of its own and a backward pass; the second
dense matrix for the held-out ratings. The gradient of the loss is formed directly::

    y = net(x);  error = (y - x) * mask;  y.backward(error)

and its factor, 1 over the batch and the columns, goes into the optimizer's step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator

import mxnet as mx
import numpy as np
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.training.batches import RolloverBatches
from d2l_autorec.training.dense.state import DenseState
from d2l_autorec.training.distributed.group import Group
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.job import Clip, Job, Rate, Updates, check_matrices


def train_fast(
    net: AutoRec,
    train: sparse.csr_matrix,
    test: sparse.csr_matrix | None = None,
    *,
    num_epochs: int = CHAPTER.num_epochs,
    batch_size: int = CHAPTER.batch_size,
    lr: Rate = CHAPTER.lr,
    wd: float = CHAPTER.wd,
    objective: str = "mean",
    decay_biases: bool = True,
    clip: Clip = None,
    devices: list[mx.Context] | None = None,
    state: DenseState | None = None,
    batches: Iterator[list[np.ndarray]] | None = None,
    group: Group | None = None,
) -> Generator[Epoch, None, None]:
    """Train a net as the chapter's loop does, epoch by epoch.

    Draws from MXNet's and NumPy's global generators in the chapter's order, so that with equal
    seeds it ends where ``chapter.train_autorec`` ends.

    The parameters that `d2l_autorec.training.sparse.train_sparse` has, too, are described there.

    Parameters
    ----------
    net : AutoRec
        Initialised on `devices`.
    devices : list of mxnet.Context, optional
        Each batch is split evenly over them. One CPU by default.
    state : DenseState, optional
        The net with its optimizer, to carry an earlier run on; it has the net, the devices, the
        updates and the group that count. Adam starts anew where none is given.
    group : Group, optional
        The workers to share the columns with, each on its first device. The net is whole on all
        of them whenever an epoch is given.

    Raises
    ------
    InputError
        If the matrices, the net and the settings do not fit together.
    """
    check_matrices(train, test, net.num_inputs)
    if batches is None:
        batches = RolloverBatches(train.shape[0], batch_size)
    if state is None:
        updates = Updates(lr, wd, objective, decay_biases)
        state = DenseState(net, devices or [mx.cpu()], updates, group)
    return epochs(state, Job(train, test, batches, state.updates, clip, group), num_epochs)


def epochs(state: DenseState, job: Job, num_epochs: int) -> Generator[Epoch, None, None]:
    """Do a job whose matrices have been checked; see `train_fast`."""
    for epoch in range(1, num_epochs + 1):
        start = time.perf_counter()
        batches = next(job.batches)
        losses = [state.update(job.train[rows]) for rows in batches]
        mean = sum(
            float(part.item()) / len(rows)
            for rows, parts in zip(batches, losses)
            for part in parts
        ) / (len(batches) * job.train.shape[1])
        if job.group is not None:
            mean = job.group.total(mean)
        if state.shard is not None:
            state.shard.write_to(state.net)
        seconds = time.perf_counter() - start
        rmse = None
        if job.test is not None:
            rmse = _pooled_rmse(state.net, job, job.test, state.devices[0])
        yield Epoch(epoch, 0.5 * mean, rmse, seconds)


def evaluate_fast(
    net: AutoRec,
    train: sparse.csr_matrix,
    test: sparse.csr_matrix,
    devices: list[mx.Context] | None = None,
    group: Group | None = None,
    clip: Clip = None,
) -> float:
    """Compute the RMSE over the held-out ratings, as the chapter's evaluator does.

    The ratings that are read, ``train``, and those to predict are (num_rows, net.num_inputs). The
    first device works; a group's workers, who all have the whole net, share the rows. Predictions
    are clipped to the range ``clip``. The RMSE is nan where ``test`` is empty.
    """
    check_matrices(train, test, net.num_inputs)
    job = Job(train, test, iter(()), Updates(), clip, group)
    return _pooled_rmse(net, job, test, (devices or [mx.cpu()])[0])


def _pooled_rmse(net: AutoRec, job: Job, test: sparse.csr_matrix, device: mx.Context) -> float:
    train, group, count, squared = job.train, job.group, test.nnz, 0.0
    low, high = job.clip or (-math.inf, math.inf)
    if group is not None:
        train, test = (part[group.rank :: group.num_workers] for part in (train, test))
    for first in range(0, train.shape[0], CHAPTER.eval_batch_size):
        rows = slice(first, first + CHAPTER.eval_batch_size)
        recons = net(mx.np.array(train[rows].toarray(), ctx=device)).asnumpy()
        held_out = test[rows].tocoo()
        error = recons[held_out.row, held_out.col].clip(low, high) - held_out.data
        squared += float(np.square(error, dtype=np.float64).sum())
    if group is not None:
        squared = group.total(squared)
    return math.sqrt(squared / count) if count else math.nan
