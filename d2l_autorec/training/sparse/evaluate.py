"""The error of the sparse engine's weights on held-out ratings."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.training.job import Clip, canonical, check_matrices
from d2l_autorec.training.sparse import kernels
from d2l_autorec.training.sparse.columns import Batch, Threads, no_ratings, read_batch, share_out
from d2l_autorec.training.sparse.hidden import forward, pad
from d2l_autorec.training.sparse.state import SparseState
from d2l_autorec.training.sparse.tuples import Steps


def evaluate_sparse(
    state: SparseState,
    train: sparse.csr_matrix,
    test: sparse.csr_matrix,
    *,
    clip: Clip = None,
    num_threads: int | None = None,
    batch_size: int = CHAPTER.eval_batch_size,
) -> float:
    """Pooled RMSE over held-out ratings, each predicted from its row's training ratings.

    Both matrices are (num_rows, num_cols). Only rows of ``test`` with ratings are read,
    ``batch_size`` at a time, and only its stored entries are predicted, clipped to the range
    ``clip``. The RMSE is nan where there are none.
    """
    check_matrices(train, test, len(state.out_bias))
    train, test = canonical(train), canonical(test)
    threads = share_out(train, None, num_threads)
    return pooled_rmse(state, train, test, clip, threads, batch_size)


def pooled_rmse(
    state: SparseState,
    train: sparse.csr_matrix,
    test: sparse.csr_matrix,
    clip: Clip,
    threads: Threads,
    batch_size: int = CHAPTER.eval_batch_size,
) -> float:
    """Compute the RMSE with matrices that have been checked; see `evaluate_sparse`."""
    low, high = (np.float32(end) for end in clip or (-np.inf, np.inf))
    V, W = state.layers()
    empty, width = no_ratings(train.shape[1]), V.weight.shape[1]
    # nothing is updated
    steps = Steps(-1, np.zeros(0, np.float32), np.float32(0), np.float32(0))
    back, grad = np.zeros((1, width), np.float32), np.empty(width, np.float32)
    wanted = np.flatnonzero(np.diff(test.indptr))
    squared = 0.0
    for start in range(0, len(wanted), batch_size):
        rows = wanted[start : start + batch_size]
        batch, held_out = read_batch(train, rows), read_batch(test, rows)
        pre = np.empty((threads.count, len(rows), width), np.float32)

        def encode(i: int, lo: int, hi: int, batch: Batch = batch, pre: np.ndarray = pre) -> None:
            kernels.encoder_pass(lo, hi, empty.read, back, batch.read, V, steps, pre[i], grad)

        threads.run(encode, threads.shares(empty, batch))
        code = pad(forward(state, threads.total(pre), None)[1][-1])

        def score(
            i: int, lo: int, hi: int, batch: Batch = held_out, code: np.ndarray = code
        ) -> float:
            return kernels.squared_error(lo, hi, batch.rated, code, W, low, high)

        squared += sum(threads.run(score, threads.shares(empty, held_out)))
    if threads.group is not None:
        squared = threads.group.total(squared)
    return math.sqrt(squared / test.nnz) if test.nnz else math.nan
