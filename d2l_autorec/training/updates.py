"""The settings of a training step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe

Rate = Union[float, Sequence[float], np.ndarray, Callable[[int], float]]


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
        batch_size = min(recipe.batch_size, num_rows)
        num_steps = num_rows * recipe.num_epochs // batch_size
        lr: Rate = recipe.lr
        if recipe.schedule == "cosine":
            lr = Cosine(recipe.lr, num_steps)
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


@dataclass(frozen=True)
class Cosine:
    """A learning rate that falls from ``lr`` to zero along half a cosine."""

    lr: float
    num_steps: int

    def __call__(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        return self.lr * (1 + math.cos(math.pi * min(step / self.num_steps, 1))) / 2
