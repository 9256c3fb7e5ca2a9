"""What the kernels are given."""

from __future__ import annotations

from typing import NamedTuple

from numpy import float32 as Float
from numpy import ndarray as Array


class Entries(NamedTuple):
    """A batch by column: ``rows[k]`` and ``values[k]``, ``ptr[c] <= k < ptr[c + 1]``."""

    ptr: Array  # (num_cols + 1,)
    rows: Array  # (ratings,)
    values: Array  # (ratings,)


class Layer(NamedTuple):
    """The input or the output layer: a large weight matrix, ``V`` or ``W``, and what goes with it.

    The input layer's bias is not here, but with the layers between, and ``bias`` has no rows.
    """

    weight: Array  # (num_cols, width)
    moments: Array  # (num_cols, 2, width)
    bias: Array  # (num_cols, 3): with its moments
    done: Array  # (num_cols,): steps of this epoch that a column has been through
    kind: int  # the activation's place in ACTIVATIONS


class Steps(NamedTuple):
    """The step at hand, the learning rates of an epoch's steps, and the weight decay."""

    now: int  # the step at hand, from 0; -1 before the first
    rates: Array  # (steps,), corrected for Adam's bias
    wd: Float
    bias_wd: Float
