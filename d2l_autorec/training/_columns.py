"""What the sparse engine works on: ratings by column, threads, dropout's draws."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import mxnet as mx
import numpy as np
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.training import _kernels


def check_matrix(name: str, matrix: sparse.csr_matrix, shape: tuple[int, int]) -> None:
    """Raise an InputError where compiled code, which checks nothing, could not read a matrix."""
    if not sparse.isspmatrix_csr(matrix):
        raise InputError(f"{name} is a {type(matrix).__name__}; give a scipy.sparse.csr_matrix.")
    if matrix.shape != shape:
        raise InputError(
            f"{name} has the shape {matrix.shape} and {shape} is needed; "
            "transpose it, or make the net to its size."
        )
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise InputError(f"{name} is damaged ({error}); build it anew.") from None
    if not matrix.has_canonical_format:
        raise InputError(f"{name} holds an entry twice or unsorted; call sum_duplicates() on it.")
    if not np.isfinite(matrix.data).all():
        raise InputError(f"{name} holds a rating that is not finite; take it out.")


def canonical(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """One set of types, for which the kernels are compiled; copies only what differs."""
    parts = (
        matrix.data.astype(np.float32, copy=False),
        matrix.indices.astype(np.int32, copy=False),
        matrix.indptr.astype(np.int64, copy=False),
    )
    result = sparse.csr_matrix(matrix.shape, dtype=np.float32)
    result.data, result.indices, result.indptr = parts
    return result


@dataclass(frozen=True)
class Batch:
    """The ratings of some rows, sorted by column; ``inputs`` differ by dropout only."""

    ptr: np.ndarray  # (num_cols + 1,)
    rows: np.ndarray  # (ratings,)
    ratings: np.ndarray  # (ratings,)
    inputs: np.ndarray  # (ratings,)


def read_batch(matrix: sparse.csr_matrix, rows: np.ndarray, input_dropout: float = 0.0) -> Batch:
    """Take some rows of a matrix, and draw their input's dropout."""
    count = int((matrix.indptr[rows + 1] - matrix.indptr[rows]).sum())
    ptr = np.empty(matrix.shape[1] + 1, np.int32)
    places, ratings = np.empty(count, np.int32), np.empty(count, np.float32)
    _kernels.sort_by_column(matrix.indptr, matrix.indices, matrix.data, rows, ptr, places, ratings)
    inputs = ratings
    if input_dropout > 0 and count > 0:
        inputs = ratings * draw_mask(mx.np.ones((count,)), input_dropout).asnumpy()
    return Batch(ptr, places, ratings, inputs)


def no_ratings(num_cols: int) -> Batch:
    """Make a batch without any."""
    none = np.empty(0, np.float32)
    return Batch(np.zeros(num_cols + 1, np.int32), np.empty(0, np.int32), none, none)


def draw_mask(ones: Any, rate: float) -> Any:
    """Start to draw, from MXNet's generator, what ``nn.Dropout`` would: 0 or 1 / (1 - rate)."""
    if rate == 0:
        return None
    with mx.autograd.train_mode():
        return mx.npx.dropout(ones, p=rate)


class Threads:
    """Run a kernel on all shares of the columns at once, one thread to a share.

    The columns are ``lo`` to ``hi``. The threads end when the object goes.
    """

    def __init__(self, count: int, span: tuple[int, int]) -> None:
        self.count = count
        self.lo, self.hi = span
        self.pool = ThreadPoolExecutor(max(count - 1, 1))

    def run(self, kernel: Callable[[int, int, int], Any], bounds: np.ndarray) -> list[Any]:
        """Return the results in the order of the shares, which fixes all sums over them."""
        shares = [(i, int(bounds[i]), int(bounds[i + 1])) for i in range(self.count)]
        others = [self.pool.submit(kernel, *share) for share in shares[1:]]
        return [kernel(*shares[0]), *(other.result() for other in others)]

    def shares(self, batch: Batch, following: Batch) -> np.ndarray:
        """Cut the columns of two batches into shares of about equal work."""
        bounds = np.empty(self.count + 1, np.int64)
        mine = slice(self.lo, self.hi + 1)
        _kernels.share_columns(batch.ptr[mine], following.ptr[mine], bounds)
        return bounds + self.lo


def sum_parts(parts: np.ndarray) -> np.ndarray:
    """Add up what the threads have gathered, in place and in a fixed order."""
    for part in parts[1:]:
        parts[0] += part
    return parts[0]
