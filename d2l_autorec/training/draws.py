"""Random draws in training, from the book's two global generators or from one NumPy generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Union

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.runtime import seed_everything

Mask = Callable[[], np.ndarray]


class GlobalDraws:
    """The book's draws: dropout from MXNet's global generator, the order of rows from NumPy's.

    Initial weights come from MXNet's too, when a net is initialised.
    """

    def seed(self, seed: int) -> None:
        """Seed both generators."""
        seed_everything(seed)

    def shuffle(self, rows: np.ndarray) -> None:
        """Bring row numbers into a random order, in place, as Gluon's sampler does."""
        np.random.shuffle(rows)  # noqa: NPY002

    def mask(self, shape: tuple[int, ...], rate: float) -> Mask:
        """Begin to draw dropout's mask, 0 or ``1 / (1 - rate)``; return a function to get it.

        MXNet draws what ``nn.Dropout`` would, beside what follows.
        """
        import mxnet as mx

        with mx.autograd.train_mode():
            return mx.npx.dropout(mx.np.ones(shape), p=rate).asnumpy


class NumPyDraws:
    """The same from one NumPy generator. MXNet is not needed."""

    def __init__(self, seed: int) -> None:
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Seed the draws."""
        self.generator = np.random.default_rng(seed)

    def shuffle(self, rows: np.ndarray) -> None:
        """Bring row numbers into a random order, in place."""
        self.generator.shuffle(rows)

    def mask(self, shape: tuple[int, ...], rate: float) -> Mask:
        """Draw dropout's mask; return a function to get it."""
        kept = self.generator.random(shape, np.float32) >= rate
        mask = kept * np.float32(1 / (1 - rate))
        return lambda: mask

    def weight(self, shape: tuple[int, ...], init: str) -> np.ndarray:
        """Draw an initial weight (out, in): float32.

        From the chapter's "normal" distribution, or as MXNet's default for "xavier": uniform
        within ``sqrt(6 / (in + out))``, from Glorot and Bengio (2010).
        """
        if init == "normal":
            return np.float32(CHAPTER.sigma) * self.generator.standard_normal(shape, np.float32)
        bound = math.sqrt(6 / sum(shape))
        return self.generator.uniform(-bound, bound, shape).astype(np.float32)


Draws = Union[GlobalDraws, NumPyDraws]


def has_mxnet() -> bool:
    """Return whether MXNet can be imported."""
    try:
        import mxnet  # noqa: F401
    except (ImportError, OSError, AttributeError):  # not there, without its libraries, or too old
        return False
    return True
