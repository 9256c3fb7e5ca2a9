"""Training whose cost grows with the ratings, and not with rows x columns.

The objective and the updates are those of the chapter's loop. Only the arithmetic on zeros is left
out: the input layer adds up the weights of rated columns, the output layer is worked out at rated
entries alone. A step is two passes over the columns of its batch (``_kernels``)::

    hidden = g(pre + mu) ...                    small and dense, here
    decoder_pass: predict, error, update W      -> gradient of the code
    ... back through the hidden layers          small and dense, here
    encoder_pass: update V, read the next batch -> pre of the next step

No array of rows x columns is ever made.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Real
from typing import Any

import mxnet as mx
import numpy as np
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.runtime import num_cores
from d2l_autorec.training import _kernels
from d2l_autorec.training._columns import (
    Batch,
    Threads,
    canonical,
    check_matrix,
    draw_mask,
    no_ratings,
    read_batch,
    sum_parts,
)
from d2l_autorec.training._hidden import backward, forward, pad
from d2l_autorec.training._kernels import compile_kernels, kernels_are_cached
from d2l_autorec.training._state import (
    Dense,
    SparseState,
    emptied,
    own_columns,
    whole_at_end,
    without_gradients,
)
from d2l_autorec.training.batches import rollover_batches
from d2l_autorec.training.distributed import Group
from d2l_autorec.training.history import Epoch

__all__ = [
    "SparseState", "compile_kernels", "evaluate_sparse", "kernels_are_cached", "train_sparse",
]  # fmt: skip

_BETA1, _BETA2 = 0.9, 0.999


def train_sparse(
    net: AutoRec,
    train: sparse.csr_matrix,
    test: sparse.csr_matrix | None = None,
    *,
    num_epochs: int = CHAPTER.num_epochs,
    batch_size: int = CHAPTER.batch_size,
    lr: float | Sequence[float] | Callable[[int], float] = CHAPTER.lr,
    wd: float = CHAPTER.wd,
    objective: str = "mean",
    decay_biases: bool = True,
    clip: tuple[float, float] | None = None,
    num_threads: int | None = None,
    state: SparseState | None = None,
    batches: Iterator[list[np.ndarray]] | None = None,
    keep_net: bool = True,
    group: Group | None = None,
) -> Generator[Epoch, None, None]:
    """Train a net on ratings, epoch by epoch; the net gets the new weights at the end.

    The end is the last epoch, or the moment the generator is closed or fails.

    The order of rows comes from NumPy's global generator and dropout from MXNet's, drawn as the
    chapter's loop draws them. Runs with the same seeds and the same number of threads are equal to
    the last bit.

    Parameters
    ----------
    net : AutoRec
        Initialised.
    train : scipy.sparse.csr_matrix
        Ratings, (num_rows, net.num_inputs); what is stored is rated, zeros and negatives too.
    test : scipy.sparse.csr_matrix, optional
        Held-out ratings of the same shape, for ``Epoch.test_rmse``.
    num_epochs, batch_size : int
        Passes, and rows in a batch.
    lr : float, sequence or function
        Adam's learning rate; a sequence or function gives it for each step, counted from 0.
    wd : float
        Weight decay, added to the gradient as ``wd * weight``.
    objective : {"mean", "sum"}
        A row's loss is half its squared error, divided by ``num_inputs`` (Gluon's ``L2Loss``, the
        chapter), or summed (the paper's equation 2).
    decay_biases : bool
        Whether the decay reaches the biases: it does in the chapter, not in the paper.
    clip : (float, float), optional
        Range that predictions are clipped to in evaluation.
    num_threads : int, optional
        The cores of this process where none is given.
    state : SparseState, optional
        Continue from here, not from the weights of the net; it is changed in place, and is the
        handle for checkpoints (``arrays``) and for the net's weights meanwhile (``write_to``).
    batches : iterator, optional
        Batches of each epoch, of any sizes; ``rollover_batches`` with the rest of an earlier run
        resumes it in step. The chapter's order where none is given.
    keep_net : bool
        False saves memory: the net's large matrices and their gradients are freed until the end,
        so that it can't be called meanwhile, and Adam's moments at the end.
    group : Group, optional
        The workers to share the columns with; ``num_threads`` is of each. Until the end, a state
        holds only the worker's own columns; ``state.gather`` makes it whole for a checkpoint.

    Yields
    ------
    Epoch

    Raises
    ------
    InputError
        If the matrices, the net and the settings do not fit together.
    """
    check_matrix("train", train, (train.shape[0], net.num_inputs))
    if test is not None:
        check_matrix("test", test, train.shape)
    if objective not in ("mean", "sum"):
        raise InputError(f"objective {objective!r} is unknown; use mean or sum.")
    if batches is None:
        batches = rollover_batches(train.shape[0], batch_size)
    threads = num_cores() if num_threads is None else num_threads
    if threads < 1:
        raise InputError(f"num_threads is {threads}; give at least 1.")
    if isinstance(lr, (Sequence, np.ndarray)):
        rows = train.shape[0] * num_epochs + len(getattr(batches, "rest", ()))
        steps = (state.step if state else 0) + rows // batch_size
        if len(lr) < steps:
            raise InputError(f"lr has {len(lr)} values; give one for each of {steps} steps.")
    divisor = train.shape[1] if objective == "mean" else 1
    settings = _Settings(lr, wd, wd if decay_biases else 0.0, divisor)
    if state is not None and (state.hidden, len(state.out_bias)) != (net.hidden, net.num_inputs):
        raise InputError("state belongs to a net of another shape; make it with from_net.")
    return _epochs(
        net, state if state is not None else SparseState.from_net(net), keep_net,
        canonical(train), None if test is None else canonical(test),
        batches, num_epochs, settings, clip, threads, group,
    )  # fmt: skip


@dataclass(frozen=True)
class _Settings:
    lr: Any
    wd: float
    bias_wd: float
    divisor: int

    def rates(self, start: int, count: int) -> np.ndarray:
        """Learning rates of steps ``start`` onwards, corrected for Adam's bias."""
        steps = range(start, start + count)
        if callable(self.lr):
            lrs = [self.lr(step) for step in steps]
        elif isinstance(self.lr, Real):
            lrs = [float(self.lr)] * count
        else:
            lrs = [self.lr[step] for step in steps]
        corrected = [
            lr * math.sqrt(1 - _BETA2 ** (t + 1)) / (1 - _BETA1 ** (t + 1))
            for lr, t in zip(lrs, steps)
        ]
        return np.array(corrected, np.float32)


def _epochs(
    net: AutoRec, state: SparseState, keep_net: bool,
    train: sparse.csr_matrix, test: sparse.csr_matrix | None,
    batches: Iterator[list[np.ndarray]], num_epochs: int, settings: _Settings,
    clip: tuple[float, float] | None, num_threads: int, group: Group | None,
) -> Generator[Epoch, None, None]:  # fmt: skip
    threads = Threads(num_threads, own_columns(group, train))
    with nullcontext() if keep_net else without_gradients(net):
        try:  # also where the caller stops early
            with (
                nullcontext() if keep_net else emptied(net, state),
                whole_at_end(state, group, (threads.lo, threads.hi)) if group else nullcontext(),
            ):
                for epoch in range(1, num_epochs + 1):
                    start = time.perf_counter()
                    loss = _train_epoch(state, train, next(batches), settings, threads, group)
                    seconds = time.perf_counter() - start
                    rmse = None
                    if test is not None:
                        rmse = _evaluate(state, train, test, clip, threads, group)
                    yield Epoch(epoch, loss, rmse, seconds)
        finally:
            state.write_to(net)


def _total(parts: np.ndarray, group: Group | None) -> np.ndarray:
    """Add up what the threads have gathered, here and on the other workers."""
    mine = sum_parts(parts)
    return mine if group is None else group.sum([mine])[0]


def _train_epoch(
    state: SparseState,
    train: sparse.csr_matrix,
    batches: list[np.ndarray],
    settings: _Settings,
    threads: Threads,
    group: Group | None,
) -> float:
    """Take a step for each batch; return the mean loss."""
    V, W, num_cols = state.V, state.W, train.shape[1]
    sizes = [len(rows) for rows in batches]
    largest = max(sizes)
    rates = settings.rates(state.step, len(batches))
    wd, bias_wd = np.float32(settings.wd), np.float32(settings.bias_wd)
    done_V, done_W = np.zeros(num_cols, np.int32), np.zeros(num_cols, np.int32)
    # Each thread adds into arrays of its own.
    pre = np.empty((threads.count, largest, V.weight.shape[1]), np.float32)
    delta = np.empty((threads.count, largest, W.weight.shape[1]), np.float32)
    grad_V = np.empty((threads.count, V.weight.shape[1]), np.float32)
    grad_W = np.empty((threads.count, W.weight.shape[1]), np.float32)

    def encoder_pass(step: int, batch: Batch, back: np.ndarray, following: Batch) -> None:
        size = sizes[step + 1] if step + 1 < len(sizes) else 0

        def share(i: int, lo: int, hi: int) -> None:
            _kernels.encoder_pass(
                lo, hi, batch.ptr, batch.rows, batch.inputs, back,
                following.ptr, following.rows, following.inputs,
                V.weight, V.moments, done_V, step, rates, wd, pre[i, :size], grad_V[i],
            )  # fmt: skip

        threads.run(share, threads.shares(batch, following))

    def decoder_pass(step: int, batch: Batch, code: np.ndarray) -> float:
        scale = np.float32(1 / (settings.divisor * len(code)))

        def share(i: int, lo: int, hi: int) -> float:
            return _kernels.decoder_pass(
                lo, hi, batch.ptr, batch.rows, batch.ratings, code, state.kinds[1], scale,
                W.weight, W.moments, state.out_bias, done_W, step, rates, wd, bias_wd,
                delta[i, : len(code)], grad_W[i],
            )  # fmt: skip

        return sum(threads.run(share, threads.shares(batch, empty)))

    empty = no_ratings(num_cols)
    nothing = np.zeros((1, V.weight.shape[1]), np.float32)
    batch = read_batch(train, batches[0], state.input_dropout)
    ones = mx.np.ones((largest, state.hidden[state.code_layer]))
    drawn = draw_mask(ones[: sizes[0]], state.dropout)
    encoder_pass(-1, empty, nothing, batch)
    loss = 0.0
    for step, size in enumerate(sizes):
        mask = None if drawn is None else drawn.asnumpy()
        outputs, passed = forward(state, _total(pre[:, :size], group), mask)
        loss += 0.5 * decoder_pass(step, batch, pad(passed[-1])) / (settings.divisor * size)

        def update(part: Dense, grad: np.ndarray, rate: np.float32 = rates[step]) -> None:
            decay = bias_wd if part.is_bias else wd
            arrays = (part.value, part.mean, part.var, np.ascontiguousarray(grad))
            value, mean, var, flat = (array.ravel() for array in arrays)
            _kernels.adam(value, mean, var, flat, rate, decay)

        following = empty
        if step + 1 < len(batches):
            following = read_batch(train, batches[step + 1], state.input_dropout)
            # MXNet works on this beside what follows.
            drawn = draw_mask(ones[: sizes[step + 1]], state.dropout)
        back = backward(state, outputs, passed, mask, _total(delta[:, :size], group), update)
        encoder_pass(step, batch, pad(back), following)
        batch = following
    _settle(state, threads, done_V, done_W, rates, wd, bias_wd)
    state.step += len(batches)
    if group is not None:
        loss = group.total(loss)
    return loss / len(batches)


def _settle(
    state: SparseState, threads: Threads, done_V: np.ndarray, done_W: np.ndarray,
    rates: np.ndarray, wd: np.float32, bias_wd: np.float32,
) -> None:  # fmt: skip
    """Bring the columns that were put off up to the end of the epoch."""
    steps = len(rates)
    for part, bias, done in (
        (state.V, state.out_bias[:0], done_V),
        (state.W, state.out_bias, done_W),
    ):

        def share(i: int, lo: int, hi: int, part=part, bias=bias, done=done) -> None:  # type: ignore[no-untyped-def]
            _kernels.settle(
                lo, hi, part.weight, part.moments, done, bias, steps, rates, wd, bias_wd
            )

        # an even share of the steps that are left
        missing = np.cumsum(steps - done[threads.lo : threads.hi])
        cuts = missing[-1] * np.arange(1, threads.count) / threads.count
        bounds = np.r_[0, np.searchsorted(missing, cuts), len(missing)]
        threads.run(share, bounds + threads.lo)


def evaluate_sparse(
    state: SparseState,
    train: sparse.csr_matrix,
    test: sparse.csr_matrix,
    *,
    clip: tuple[float, float] | None = None,
    num_threads: int | None = None,
    batch_size: int = CHAPTER.eval_batch_size,
    group: Group | None = None,
) -> float:
    """Pooled RMSE over held-out ratings, each predicted from its row's training ratings.

    Parameters
    ----------
    state : SparseState
        From ``SparseState.from_net``, or in training.
    train, test : scipy.sparse.csr_matrix
        (num_rows, num_cols); only rows of ``test`` with ratings are read, and only its stored
        entries are predicted.
    clip : (float, float), optional
        Range that predictions are clipped to.
    num_threads : int, optional
        The cores of this process where none is given.
    batch_size : int
        Rows worked on at a time.
    group : Group, optional
        The workers to share the columns with; each needs the state of its own ones only.

    Returns
    -------
    float
        nan where ``test`` is empty.

    Raises
    ------
    InputError
        If the matrices do not fit each other and the state.
    """
    check_matrix("train", train, (train.shape[0], len(state.out_bias)))
    check_matrix("test", test, train.shape)
    train, test = canonical(train), canonical(test)
    count = num_cores() if num_threads is None else num_threads
    threads = Threads(count, own_columns(group, train))
    return _evaluate(state, train, test, clip, threads, group, batch_size)


def _evaluate(
    state: SparseState,
    train: sparse.csr_matrix,
    test: sparse.csr_matrix,
    clip: tuple[float, float] | None,
    threads: Threads,
    group: Group | None,
    batch_size: int = CHAPTER.eval_batch_size,
) -> float:
    low, high = (np.float32(end) for end in clip or (-np.inf, np.inf))
    V, W, num_cols = state.V, state.W, train.shape[1]
    wanted = np.flatnonzero(np.diff(test.indptr))
    empty, nothing = no_ratings(num_cols), np.zeros((1, V.weight.shape[1]), np.float32)
    done, no_rates = np.zeros(num_cols, np.int32), np.zeros(0, np.float32)
    grad = np.empty(V.weight.shape[1], np.float32)  # not used: nothing is updated
    squared = 0.0
    for start in range(0, len(wanted), batch_size):
        rows = wanted[start : start + batch_size]
        batch, held_out = read_batch(train, rows), read_batch(test, rows)
        pre = np.empty((threads.count, len(rows), V.weight.shape[1]), np.float32)

        def encode(i: int, lo: int, hi: int, batch: Batch = batch, pre: Any = pre) -> None:
            _kernels.encoder_pass(
                lo, hi, empty.ptr, empty.rows, empty.inputs, nothing,
                batch.ptr, batch.rows, batch.inputs,
                V.weight, V.moments, done, -1, no_rates, np.float32(0), pre[i], grad,
            )  # fmt: skip

        threads.run(encode, threads.shares(empty, batch))
        code = pad(forward(state, _total(pre, group), None)[1][-1])

        def score(i: int, lo: int, hi: int, batch: Batch = held_out, code: Any = code) -> float:
            return _kernels.squared_error(
                lo, hi, batch.ptr, batch.rows, batch.ratings, code, state.kinds[1],
                W.weight, state.out_bias, low, high,
            )  # fmt: skip

        squared += sum(threads.run(score, threads.shares(empty, held_out)))
    if group is not None:
        squared = group.total(squared)
    return math.sqrt(squared / test.nnz) if test.nnz else math.nan
