"""Training whose cost grows with the ratings, and not with rows x columns.

The objective and the updates are those of the chapter's loop. Only the arithmetic on zeros is left
out: the input layer adds up the weights of rated columns, the output layer is worked out at rated
entries alone. A step is two passes over the columns of its batch (`kernels`)::

    hidden = g(pre + mu) ...                    small and dense, here
    decoder_pass: predict, error, update W      -> gradient of the code
    ... back through the hidden layers          small and dense, here
    encoder_pass: update V, read the next batch -> pre of the next step

No array of rows x columns is ever made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.training.batches import RolloverBatches
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.job import Clip, Job, Rate, Updates, check_matrices
from d2l_autorec.training.sparse import kernels
from d2l_autorec.training.sparse.columns import Batch, Threads, no_ratings, read_batch, share_out
from d2l_autorec.training.sparse.evaluate import pooled_rmse
from d2l_autorec.training.sparse.hidden import backward, forward, pad
from d2l_autorec.training.sparse.state import Dense, SparseState, whole_at_end
from d2l_autorec.training.sparse.tuples import Layer, Steps

if TYPE_CHECKING:
    from d2l_autorec.models.autorec import AutoRec
    from d2l_autorec.training.distributed.group import Group


def train_sparse(
    net: AutoRec | None,
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
    num_threads: int | None = None,
    state: SparseState | None = None,
    batches: Iterator[list[np.ndarray]] | None = None,
    group: Group | None = None,
) -> Generator[Epoch, None, None]:
    """Train a net on ratings, epoch by epoch; the net gets the new weights at the end.

    The end is the last epoch, or the moment the generator is closed. If an epoch is interrupted
    half-way, the net keeps the weights that it had.

    By default the order of rows comes from NumPy's global generator and dropout from MXNet's,
    drawn as the chapter's loop draws them; a state has draws of its own. Runs with the same seeds
    and the same number of threads are equal to the last bit.

    Parameters
    ----------
    net : AutoRec or None
        Initialised. None where there is a state: MXNet is then not needed.
    train, test : scipy.sparse.csr_matrix
        Ratings, (num_rows, net.num_inputs), and held-out ratings for ``Epoch.rmse``, if there are
        some; what is stored is rated, zeros and negatives too.
    num_epochs, batch_size : int
        Passes, and rows in a batch.
    lr, wd, objective, decay_biases
        See `d2l_autorec.training.job.Updates`.
    clip : (float, float), optional
        Range that predictions are clipped to in evaluation.
    num_threads : int, optional
        `d2l_autorec.runtime.num_threads` where none is given.
    state : SparseState, optional
        Continue from here, not from the weights of the net. It is changed in place.
    batches : iterator, optional
        Batches of each epoch, of any sizes; `RolloverBatches` with the rest of an earlier run
        resumes it in step. The chapter's order where none is given.
    group : Group, optional
        The workers to share the columns with; ``num_threads`` is of each. Until the end, a state
        holds only the worker's own columns; ``state.gather`` makes it whole for a checkpoint.

    Raises
    ------
    InputError
        If the matrices, the net and the settings do not fit together.
    """
    if state is None:
        if net is None:
            raise InputError("There is nothing to train; give a net or a state.")
        state = SparseState.from_net(net)
    elif net is not None and state.architecture.hidden != net.architecture.hidden:
        raise InputError("state belongs to a net of another shape; make it with from_net.")
    check_matrices(train, test, len(state.out_bias))
    updates = Updates(lr, wd, objective, decay_biases)
    if batches is None:
        batches = RolloverBatches(train.shape[0], batch_size, draws=state.draws)
        if isinstance(lr, (Sequence, np.ndarray)):
            updates.rates(state.step, train.shape[0] * num_epochs // batch_size)
    job = Job(train, test, batches, updates, clip, group).canonical()
    return epochs(state, job, share_out(train, group, num_threads), num_epochs, net)


def epochs(
    state: SparseState, job: Job, threads: Threads, num_epochs: int, net: AutoRec | None = None
) -> Generator[Epoch, None, None]:
    """Do a job whose matrices have been checked and are canonical; see `train_sparse`."""
    try:
        with whole_at_end(state, threads):
            for epoch in range(1, num_epochs + 1):
                start = time.perf_counter()
                rows = next(job.batches)
                loss = _train_epoch(state, job, rows, threads)
                seconds = time.perf_counter() - start
                rmse = None
                if job.test is not None:
                    rmse = pooled_rmse(state, job.train, job.test, job.clip, threads)
                yield Epoch(epoch, loss, rmse, seconds)
    finally:
        if net is not None and not state.torn:  # also where the caller stops early
            state.write_to(net)


def _train_epoch(
    state: SparseState, job: Job, batches: list[np.ndarray], threads: Threads
) -> float:
    """Take a step for each batch; return the mean loss."""
    train, updates, architecture = job.train, job.updates, state.architecture
    rates = updates.corrected_rates(state.step, len(batches))
    steps = Steps(-1, rates, np.float32(updates.wd), np.float32(updates.bias_wd))
    state.torn = True
    V, W = state.layers()
    sizes = [len(rows) for rows in batches]
    divisor, empty = updates.divisor(train.shape[1]), no_ratings(train.shape[1])

    def own_arrays(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Make what each thread adds into: a row for each row of a batch, and a gradient."""
        width = layer.weight.shape[1]
        rows = np.empty((threads.count, max(sizes), width), np.float32)
        return rows, np.empty((threads.count, width), np.float32)

    (pre, grad_V), (delta, grad_W) = own_arrays(V), own_arrays(W)

    def encoder_pass(steps: Steps, batch: Batch, back: np.ndarray, following: Batch) -> None:
        size = sizes[steps.now + 1] if steps.now + 1 < len(sizes) else 0

        def share(i: int, lo: int, hi: int) -> None:
            kernels.encoder_pass(
                lo, hi, batch.read, back, following.read, V, steps, pre[i, :size], grad_V[i]
            )

        threads.run(share, threads.shares(batch, following))

    def decoder_pass(steps: Steps, batch: Batch, code: np.ndarray) -> float:
        size = len(code)
        scale = np.float32(1 / (divisor * size))

        def share(i: int, lo: int, hi: int) -> float:
            return kernels.decoder_pass(
                lo, hi, batch.rated, code, scale, W, steps, delta[i, :size], grad_W[i]
            )

        return sum(threads.run(share, threads.shares(batch, empty)))

    def draw(step: int) -> tuple[Batch, Callable[[], np.ndarray] | None]:
        """Read a batch, and begin to draw its dropout, beside what follows."""
        batch = read_batch(train, batches[step], architecture.input_dropout, state.draws)
        if not architecture.dropout:
            return batch, None
        shape = (sizes[step], architecture.hidden[architecture.code_layer])
        return batch, state.draws.mask(shape, architecture.dropout)

    batch, drawn = draw(0)
    encoder_pass(steps, empty, np.zeros((1, V.weight.shape[1]), np.float32), batch)
    loss = 0.0
    for step, size in enumerate(sizes):
        mask = None if drawn is None else drawn()
        outputs, passed = forward(state, threads.total(pre[:, :size]), mask)
        steps = steps._replace(now=step)
        loss += 0.5 * decoder_pass(steps, batch, pad(passed[-1])) / (divisor * size)
        summed = threads.begin_total(delta[:, :size])
        following = empty
        if step + 1 < len(batches):
            following, drawn = draw(step + 1)
        back = backward(state, outputs, passed, mask, summed(), partial(_update, steps))
        encoder_pass(steps, batch, pad(back), following)
        batch = following
    for layer in (V, W):
        _settle(threads, layer, steps._replace(now=len(batches)))
    state.step += len(batches)
    if threads.group is not None:
        loss = threads.group.total(loss)
    state.torn = False
    return loss / len(batches)


def _update(steps: Steps, part: Dense, grad: np.ndarray) -> None:
    """Take a step on a small weight or bias."""
    arrays = (part.value, part.mean, part.var, np.ascontiguousarray(grad))
    value, mean, var, flat = (array.ravel() for array in arrays)
    decay = steps.bias_wd if part.is_bias else steps.wd
    kernels.adam(value, mean, var, flat, steps.rates[steps.now], decay)


def _settle(threads: Threads, layer: Layer, steps: Steps) -> None:
    """Bring the columns that were put off up to the end of the epoch."""

    def share(i: int, lo: int, hi: int) -> None:
        kernels.settle(lo, hi, layer, steps)

    # an even share of the steps that are left
    missing = np.cumsum(steps.now - layer.done[threads.lo : threads.hi])
    cuts = missing[-1] * np.arange(1, threads.count) / threads.count
    bounds = np.r_[0, np.searchsorted(missing, cuts), len(missing)]
    threads.run(share, bounds + threads.lo)
