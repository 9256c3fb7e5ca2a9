"""Compile the kernels before they are needed, and check whether they are compiled."""

from __future__ import annotations

import numpy as np

from d2l_autorec.training.sparse import columns, kernels
from d2l_autorec.training.sparse.jit import CheckedCache
from d2l_autorec.training.sparse.tuples import Entries, Layer, Steps

KERNELS = (
    columns.sort_by_column,
    columns.share_columns,
    kernels.adam,
    kernels.decoder_pass,
    kernels.encoder_pass,
    kernels.settle,
    kernels.squared_error,
)


def kernels_are_cached() -> bool:
    """Return whether the kernels have been compiled on this machine, so that a start is quick.

    Compiling takes some seconds. Show a notice before the first call if this is False.
    """
    return all(
        isinstance(kernel._cache, CheckedCache) and kernel._cache.holds_any() for kernel in KERNELS
    )


def compile_kernels() -> None:
    """Compile or load every kernel by running it on empty arrays."""
    ints, longs, floats = np.zeros(2, np.int32), np.zeros(2, np.int64), np.zeros(2, np.float32)
    zero, table = np.float32(0), np.zeros((1, 3), np.float32)
    batch, steps = Entries(ints, ints, floats), Steps(0, floats, zero, zero)
    layer = Layer(table, np.zeros((1, 2, 3), np.float32), table, ints, 0)
    columns.sort_by_column(longs, ints, floats, longs[:0], batch)
    columns.share_columns(ints, ints, longs)
    kernels.adam(floats, floats, floats, floats, zero, zero)
    kernels.decoder_pass(0, 0, batch, table, zero, layer, steps, table, floats)
    kernels.encoder_pass(0, 0, batch, table, batch, layer, steps, table, floats)
    kernels.settle(0, 0, layer, steps)
    kernels.squared_error(0, 0, batch, table, layer, zero, zero)
