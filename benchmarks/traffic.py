"""The memory traffic that the sparse engine cannot avoid, in bytes.

A step t has two passes over columns (`d2l_autorec/training/sparse/kernels.py`). With B(t) the
columns that are rated in its batch, and a row a padded row of float32:

- the decoder pass reads and writes W[c] and its two moments for every c in B(t): 6 rows each;
- the encoder pass does the same with V[c] for every c in B(t), after which the same visit also
  reads V[c] for the next batch; a c that is only in B(t + 1) costs 6 rows if steps have to be
  caught up, and 1 row, read for the next batch, if it is level already;
- at the end of an epoch every column that is behind is caught up: 6 rows in W and in V.

However many steps are caught up, it is done on rows that are in the cache by then. Code, deltas
and gradients of a batch (0.5 MB each) stay in the cache and are left out. Of a rating, sorting
reads the column twice and the value once and writes a pair, which the passes then read: 28 bytes.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

ROW_ACCESSES = 6
BYTES_PER_RATING = 2 * 4 + 4 + 8 + 8


def bytes_moved(
    train: sparse.csr_matrix, epochs: list[list[np.ndarray]], row_bytes: int
) -> list[int]:
    """Bytes that each epoch moves, given the rows of its batches and the bytes of a padded row."""
    return [_epoch(train, batches, row_bytes) for batches in epochs]


def _epoch(train: sparse.csr_matrix, batches: list[np.ndarray], row_bytes: int) -> int:
    num_cols = train.shape[1]
    level_V, level_W = np.zeros(num_cols, int), np.zeros(num_cols, int)
    nobody = np.zeros(num_cols, bool)
    rated = [_columns(train, rows) for rows in batches] + [nobody]
    accesses = int(rated[0].sum())  # the first batch is read before the first step
    for step, (now, following) in enumerate(zip(rated, rated[1:])):
        accesses += ROW_ACCESSES * int(now.sum())
        level_W[now] = step + 1
        behind = now | (following & (level_V < step + 1))
        accesses += ROW_ACCESSES * int(behind.sum())
        accesses += int((following & ~behind).sum())
        level_V[behind] = step + 1
    accesses += ROW_ACCESSES * int((level_V < len(batches)).sum() + (level_W < len(batches)).sum())
    ratings = sum(int(np.diff(train.indptr)[rows].sum()) for rows in batches)
    return accesses * row_bytes + ratings * BYTES_PER_RATING


def _columns(train: sparse.csr_matrix, rows: np.ndarray) -> np.ndarray:
    rated = np.zeros(train.shape[1], bool)
    rated[train[rows].indices] = True
    return rated
