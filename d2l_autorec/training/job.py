"""The inputs of a training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

import numpy as np
from scipy import sparse

from d2l_autorec.training.updates import Updates

if TYPE_CHECKING:
    from d2l_autorec.training.distributed.group import Group

Clip = Optional[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Job:
    """What a training loop reads, beside the state that it changes.

    Attributes
    ----------
    train, test : scipy.sparse.csr_matrix
        What the network reads, and what is scored after each epoch, if anything is;
        (num_rows, num_cols).
    batches : iterator
        Row numbers of the batches of each epoch.
    updates : Updates
    clip : (float, float) or None
        Range that predictions are clipped to in evaluation.
    group : Group or None
        The workers to share the work with.
    """

    train: sparse.csr_matrix
    test: sparse.csr_matrix | None
    batches: Iterator[list[np.ndarray]]
    updates: Updates
    clip: Clip = None
    group: Group | None = None
