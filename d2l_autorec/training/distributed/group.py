"""The worker's side of a multi-process run over MXNet's KVStore.

What is shared out are the *columns* of the rating matrix: in the chapter's item-based model, the
users. A worker holds the ratings of its users and the weights that belong to them, ``V[:, lo:hi]``
and ``W[lo:hi]``, with their Adam moments. All workers draw the same batches of rows from the same
seed. In a step they sum, over the network::

    V r of the batch               (batch, hidden)   before the activation
    the gradient of that sum       (batch, hidden)   and of the few weights between V and W

and each updates its own columns. Those sums are the only traffic: 1 MB for a batch of 256 with
500 hidden units, whatever the number of users. The usual cut, through the rows of a batch, sums
the gradients of all weights instead: 24 MB in each direction and step on MovieLens 1M, which alone
takes most of the time that a step takes in one process. Either way the updates are those of one
process, dropout included, since every worker draws the same masks.

The server only adds up: it has no optimizer (``update_on_kvstore=False`` in Gluon's words).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.training.distributed.timeout import (
    STEP_TIMEOUT,
    Watch,
    step_timeout_from_environment,
)


class Group:
    """The group of workers, as one of them sees it, with sums over all of them.

    All workers must call the same methods in the same order with arrays of the same shapes. One
    exchange may take ``step_timeout`` seconds before this process gives up: ``watch`` is to stand
    around each wait for other workers. The KVStore ``kv`` is of the type ``dist_sync``.
    """

    def __init__(
        self, kv: Any, rank: int, num_workers: int, step_timeout: float = STEP_TIMEOUT
    ) -> None:
        from mxnet.base import _LIB, check_call

        self.rank, self.num_workers = rank, num_workers
        self.watch = Watch(rank, step_timeout)
        self._kv = kv
        self._keys: dict[tuple[Any, ...], str] = {}
        # Else a worker that fails would wait at its exit for the others, who wait for it.
        check_call(_LIB.MXKVStoreSetBarrierBeforeExit(kv.handle, ctypes.c_int(False)))

    @property
    def is_first(self) -> bool:
        """Whether this worker writes the run folder and shows the progress."""
        return self.rank == 0

    def span(self, work: np.ndarray) -> tuple[int, int]:
        """Return the first column of this worker and the one behind its last.

        The workers get about equal sums of ``work``, what each column costs. Raises an InputError
        if there are fewer columns than workers.
        """
        if len(work) < self.num_workers:
            raise InputError(
                f"--workers is {self.num_workers} and the matrix has {len(work)} columns to share "
                "out; give fewer workers."
            )
        done = np.cumsum(work, dtype=np.float64)
        parts = np.arange(1, self.num_workers) / self.num_workers
        cuts = [0, *np.searchsorted(done, done[-1] * parts), len(work)]
        for i in range(1, self.num_workers):  # nobody is left without a column
            cuts[i] = min(max(cuts[i], cuts[i - 1] + 1), len(work) - self.num_workers + i)
        return int(cuts[self.rank]), int(cuts[self.rank + 1])

    def start_sum(self, arrays: Sequence[Any]) -> None:
        """Begin to add up MXNet arrays over the workers, in place; reading one waits.

        The arrays are float32, on one device; the first ones are sent first. The sums are equal on
        all workers to the last bit. The first time for a form waits too: call it within ``watch``.
        """
        for i, array in enumerate(arrays):
            held, form = array.as_nd_ndarray(), (i, array.shape)
            if form not in self._keys:
                self._keys[form] = str(len(self._keys))
                self._kv.init(self._keys[form], held)  # sums take its place
            self._kv.pushpull(self._keys[form], held, out=held, priority=-i)

    def sum(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Add up NumPy arrays over the workers; the sums are equal on all to the last bit.

        They are float32, of at least one dimension: MXNet's servers add up in no other type.
        """
        return self.begin_sum(arrays)()

    def begin_sum(self, arrays: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        """Begin what `sum` does; return a function that waits for the sums."""
        import mxnet as mx

        with self.watch:
            sums = [mx.np.array(array) for array in arrays]
            self.start_sum(sums)

        def wait() -> list[np.ndarray]:
            with self.watch:
                return [array.asnumpy() for array in sums]

        return wait

    def each(self, row: np.ndarray) -> np.ndarray:
        """Return what every worker gave: (num_workers, len(row)), float32."""
        rows = np.zeros((self.num_workers, len(row)), np.float32)
        rows[self.rank] = row
        return self.sum([rows])[0]

    def total(self, value: float) -> float:
        """Add up one number over the workers, to 14 digits."""
        high = np.float32(value)
        return float(self.each(np.array([high, value - high])).sum(dtype=np.float64))

    def gather(self, array: np.ndarray, lo: int, hi: int, chunk: int = 4096) -> None:
        """Make an array whole, in place, of which each worker has its own rows ``lo`` to ``hi``.

        What stands outside of these is overwritten; ``chunk`` rows are sent at a time.
        """
        for start in range(0, len(array), chunk):
            part = array[start : start + chunk]
            mine = slice(max(lo - start, 0), max(hi - start, 0))
            own = np.zeros_like(part)
            own[mine] = part[mine]
            part[...] = self.sum([own])[0]

    def broadcast(self, array: np.ndarray) -> None:
        """Copy worker 0's array to all workers, in place."""
        self.gather(array, 0, len(array) if self.is_first else 0)

    def agree(self, what: str, text: str) -> None:
        """Raise an InputError on every worker if a text is not the same on all of them."""
        digest = hashlib.sha256(text.encode()).digest()
        seen = self.each(np.frombuffer(digest, np.uint8))
        other = [str(rank) for rank in range(self.num_workers) if (seen[rank] != seen[0]).any()]
        if other:
            raise InputError(
                f"{what} on worker {', '.join(other)} differs from worker 0: give all the same."
            )

    def close(self) -> None:
        """Leave the group, without waiting for any other process.

        A barrier here would cost a finished run if the scheduler hung. None is needed: the last
        sum has been received, and the launcher stops the servers after the last worker.
        """
        from mxnet.base import _LIB, check_call

        if self._kv.handle is not None:
            check_call(_LIB.MXKVStoreFree(self._kv.handle))
            self._kv.handle = None  # the object's own end must not free it again


def group_from_environment() -> Group | None:
    """Join the group that ``d2l-autorec launch`` has started this process in, if it has.

    Raises
    ------
    InputError
        If the environment names another role than a worker's, or no rank or time-out.
    """
    role = os.environ.get("DMLC_ROLE")
    if role is None:
        return None
    if role != "worker":
        raise InputError(f"DMLC_ROLE is {role!r}; unset it, or let d2l-autorec launch set it.")
    import mxnet as mx

    rank_text = os.environ.get("D2L_AUTOREC_RANK", "0")
    if not re.fullmatch("[0-9]{1,6}", rank_text):
        raise InputError(f"D2L_AUTOREC_RANK is {rank_text!r}; give a worker's number, from 0.")
    rank, step_timeout = int(rank_text), step_timeout_from_environment()
    with Watch(rank, step_timeout):
        kv = mx.kv.create("dist_sync")
    rank = rank if "D2L_AUTOREC_RANK" in os.environ else kv.rank
    return Group(kv, rank, kv.num_workers, step_timeout)
