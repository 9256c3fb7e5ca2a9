"""What a training loop is given: matrices, batches, and how a step changes the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Optional, Union

import numpy as np
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import shrunken_means
from d2l_autorec.models.recipe import Recipe

if TYPE_CHECKING:
    from d2l_autorec.training.distributed.group import Group

Clip = Optional[tuple[float, float]]
Rate = Union[float, Sequence[float], np.ndarray, Callable[[int], float]]

_BETA1, _BETA2 = 0.9, 0.999  # MXNet's defaults for Adam


@dataclass(frozen=True)
class Updates:
    """How a step changes the weights; the defaults are the chapter's.

    Attributes
    ----------
    lr : float, sequence or function
        Adam's learning rate; a sequence or function gives it for each step, counted from 0.
    wd : float
        Weight decay, added to the gradient as ``wd * weight``.
    objective : {"mean", "sum"}
        A row's loss is half its squared error, divided by the number of columns (Gluon's
        ``L2Loss``, the chapter), or summed (the paper's equation 2).
    decay_biases : bool
        Whether the decay reaches the biases: it does in the chapter, not in the paper.
    """

    lr: Rate = CHAPTER.lr
    wd: float = CHAPTER.wd
    objective: str = "mean"
    decay_biases: bool = True

    def __post_init__(self) -> None:
        if self.objective not in ("mean", "sum"):
            raise InputError(f"objective {self.objective!r} is unknown; use mean or sum.")

    @classmethod
    def of(cls, recipe: Recipe, num_rows: int, unit: float) -> Updates:
        """Return the settings of a recipe whose λ is for errors times ``unit``."""
        wd = recipe.wd if recipe.lam is None else recipe.lam / (2 * num_rows * unit**2)
        num_steps = num_rows * recipe.num_epochs // min(recipe.batch_size, num_rows)
        lr = Cosine(recipe.lr, num_steps) if recipe.schedule == "cosine" else recipe.lr
        return cls(lr, wd, recipe.objective, recipe.lam is None)

    @property
    def bias_wd(self) -> float:
        """The decay of biases."""
        return self.wd if self.decay_biases else 0.0

    def divisor(self, num_cols: int) -> int:
        """The number that a row's squared error is divided by."""
        return num_cols if self.objective == "mean" else 1

    def rates(self, start: int, count: int) -> list[float]:
        """Return the learning rates of ``count`` steps from ``start`` on.

        Raises
        ------
        InputError
            If ``lr`` is a sequence that is too short.
        """
        steps = range(start, start + count)
        if callable(self.lr):
            return [self.lr(step) for step in steps]
        if isinstance(self.lr, (int, float, np.number)):
            return [float(self.lr)] * count
        if len(self.lr) < start + count:
            raise InputError(
                f"lr has {len(self.lr)} values; give one for each of {start + count} steps."
            )
        return [self.lr[step] for step in steps]

    def corrected_rates(self, start: int, count: int) -> np.ndarray:
        """Return `rates` corrected for Adam's bias: float32."""
        rates = [
            lr * math.sqrt(1 - _BETA2 ** (t + 1)) / (1 - _BETA1 ** (t + 1))
            for t, lr in enumerate(self.rates(start, count), start)
        ]
        return np.array(rates, np.float32)


@dataclass(frozen=True)
class Cosine:
    """A learning rate that falls from ``lr`` to zero along half a cosine."""

    lr: float
    num_steps: int

    def __call__(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        return self.lr * (1 + math.cos(math.pi * min(step / self.num_steps, 1))) / 2


@dataclass(frozen=True, eq=False)
class Job:
    """What a training loop reads, beside the state that it changes."""

    train: sparse.csr_matrix  # (num_rows, num_cols): what the network reads
    test: sparse.csr_matrix | None  # the same shape: what is scored after each epoch
    batches: Iterator[list[np.ndarray]]  # row numbers of the batches of each epoch
    updates: Updates
    clip: Clip = None  # range that predictions are clipped to in evaluation
    group: Group | None = None  # the workers to share the work with

    def canonical(self) -> Job:
        """Return the job with matrices of the types for which kernels are compiled."""
        test = None if self.test is None else canonical(self.test)
        return replace(self, train=canonical(self.train), test=test)

    def column_means(self) -> np.ndarray:
        """Return the shrunken mean of what is read in each column."""
        mean = float(self.train.data.mean())
        left = self.train.data - mean
        return mean + shrunken_means(self.train.indices, left, self.train.shape[1])


def check_matrices(
    train: sparse.csr_matrix, test: sparse.csr_matrix | None, num_cols: int
) -> None:
    """Raise an InputError where compiled code, which checks nothing, could not read a matrix.

    A net of ``num_cols`` columns reads ``train``; it is scored on ``test``, if on anything.
    """
    shape = (train.shape[0], num_cols)
    for name, matrix in {"train": train, "test": test}.items():
        if matrix is None:
            continue
        if not sparse.isspmatrix_csr(matrix):
            kind = type(matrix).__name__
            raise InputError(f"{name} is a {kind}; give a scipy.sparse.csr_matrix.")
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
            raise InputError(
                f"{name} holds an entry twice or unsorted; call sum_duplicates() on it."
            )
        if not np.isfinite(matrix.data).all():
            raise InputError(f"{name} holds a rating that is not finite; take it out.")


def canonical(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """One set of types, for which the kernels are compiled; copies only what differs."""
    result = sparse.csr_matrix(matrix.shape, dtype=np.float32)
    result.data = matrix.data.astype(np.float32, copy=False)
    result.indices = matrix.indices.astype(np.int32, copy=False)
    result.indptr = matrix.indptr.astype(np.int64, copy=False)
    return result
