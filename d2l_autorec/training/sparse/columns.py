"""What the sparse engine works on: ratings by column, and threads that share the columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import ndarray as Array
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.runtime import num_threads
from d2l_autorec.training.draws import Draws
from d2l_autorec.training.sparse.jit import jit
from d2l_autorec.training.sparse.tuples import Entries

if TYPE_CHECKING:
    from d2l_autorec.training.distributed.group import Group


class Batch(NamedTuple):
    """The ratings of some rows, sorted by column."""

    rated: Entries  # what the output layer predicts
    read: Entries  # what the input layer reads: differs by dropout only

    @property
    def ptr(self) -> np.ndarray:
        """Where each column's ratings begin: (num_cols + 1,)."""
        return self.rated.ptr


@jit
def sort_by_column(
    indptr: Array, indices: Array, data: Array, batch: Array, entries: Entries
) -> None:
    """Counting sort of a batch's entries of a CSR matrix: fills ``entries``."""
    ptr, rows, values = entries
    ptr[:] = 0
    for i in range(batch.size):
        for k in range(indptr[batch[i]], indptr[batch[i] + 1]):
            ptr[indices[k] + 1] += 1
    for c in range(ptr.size - 1):
        ptr[c + 1] += ptr[c]
    # From the back, each entry takes the last free place of its column ...
    for i in range(batch.size - 1, -1, -1):
        for k in range(indptr[batch[i]], indptr[batch[i] + 1]):
            ptr[indices[k] + 1] -= 1
            rows[ptr[indices[k] + 1]] = i
            values[ptr[indices[k] + 1]] = data[k]
    # ... after which ptr[c + 1] is where column c starts.
    for c in range(ptr.size - 1):
        ptr[c] = ptr[c + 1]
    ptr[ptr.size - 1] = rows.size


@jit
def share_columns(ptr: Array, next_ptr: Array, bounds: Array) -> None:
    """Cut the columns into shares of about equal work: ``bounds[i]`` to ``bounds[i + 1]``.

    A column that is in either batch costs about as much as five entries.
    """
    total = 0
    for turn in range(2):
        work, cut = 0, 1
        for c in range(ptr.size - 1):
            entries = ptr[c + 1] - ptr[c] + next_ptr[c + 1] - next_ptr[c]
            if turn == 1:
                while cut < bounds.size - 1 and work * (bounds.size - 1) >= total * cut:
                    bounds[cut] = c
                    cut += 1
            if entries > 0:
                work += entries + 5
        total = work
    bounds[0] = 0
    while cut < bounds.size:
        bounds[cut] = ptr.size - 1
        cut += 1


def read_batch(
    matrix: sparse.csr_matrix,
    rows: np.ndarray,
    input_dropout: float = 0.0,
    draws: Draws | None = None,
) -> Batch:
    """Take some rows of a matrix, and draw their input's dropout."""
    count = int((matrix.indptr[rows + 1] - matrix.indptr[rows]).sum())
    ptr, places = np.empty(matrix.shape[1] + 1, np.int32), np.empty(count, np.int32)
    rated = Entries(ptr, places, np.empty(count, np.float32))
    sort_by_column(matrix.indptr, matrix.indices, matrix.data, rows, rated)
    if draws is None or input_dropout == 0 or count == 0:
        return Batch(rated, rated)
    inputs = rated.values * draws.mask((count,), input_dropout)()
    return Batch(rated, rated._replace(values=inputs))


def no_ratings(num_cols: int) -> Batch:
    """Make a batch without any."""
    ptr, rows = np.zeros(num_cols + 1, np.int32), np.empty(0, np.int32)
    none = Entries(ptr, rows, np.empty(0, np.float32))
    return Batch(none, none)


class Threads:
    """Run a kernel on all shares of the columns at once, one thread to a share.

    The columns are ``lo`` to ``hi``: in a group, this worker's. The threads end when the object
    goes.
    """

    def __init__(self, count: int, span: tuple[int, int], group: Group | None = None) -> None:
        self.count, self.group = count, group
        self.lo, self.hi = span
        self.pool = ThreadPoolExecutor(max(count - 1, 1))

    def run(self, kernel: Callable[[int, int, int], Any], bounds: np.ndarray) -> list[Any]:
        """Return the results in the order of the shares, which fixes all sums over them."""
        shares = [(i, int(bounds[i]), int(bounds[i + 1])) for i in range(self.count)]
        others = [self.pool.submit(kernel, *share) for share in shares[1:]]
        try:
            own = kernel(*shares[0])
        finally:  # whatever fails, nothing is left running on the weights
            wait(others)
        return [own, *(other.result() for other in others)]

    def shares(self, batch: Batch, following: Batch) -> np.ndarray:
        """Cut the columns of two batches into shares of about equal work."""
        bounds = np.empty(self.count + 1, np.int64)
        mine = slice(self.lo, self.hi + 1)
        share_columns(batch.ptr[mine], following.ptr[mine], bounds)
        return bounds + self.lo

    def total(self, parts: np.ndarray) -> np.ndarray:
        """Add up what the threads have gathered, in a fixed order, here and on other workers."""
        return self.begin_total(parts)()

    def begin_total(self, parts: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin what `total` does, and return a function that waits for the other workers."""
        for part in parts[1:]:
            parts[0] += part
        if self.group is None:
            return lambda: parts[0]
        wait = self.group.begin_sum([parts[0]])
        return lambda: wait()[0]

    def gather(self, arrays: Iterable[np.ndarray]) -> None:
        """Make arrays with a row for each column whole, on all workers."""
        for array in arrays:
            if self.group is not None:
                self.group.gather(array, self.lo, self.hi)


def share_out(
    train: sparse.csr_matrix, group: Group | None, num_threads: int | None = None
) -> Threads:
    """Return the threads for a matrix; in a group, for this worker's columns of it."""
    span = (0, train.shape[1])
    if group is not None:  # a column costs as much as its ratings and something for itself
        span = group.span(np.bincount(train.indices, minlength=train.shape[1]) + 5.0)
    return Threads(thread_count(num_threads), span, group)


def thread_count(wanted: int | None) -> int:
    """Return the number of threads to use; an InputError if it is below 1."""
    count = num_threads() if wanted is None else wanted
    if count < 1:
        raise InputError(f"num_threads is {count}; give at least 1.")
    return count
