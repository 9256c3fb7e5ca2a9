"""A mean over several runs, with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval. ``str`` gives ``mean ± half-width (n)``.

    Attributes
    ----------
    mean, sd : float
        Mean and sample standard deviation (n - 1) of the values.
    half_width : float
        Half-width of the interval, from Student's t. nan for a single value.
    n : int
        Number of values.
    """

    mean: float
    sd: float
    half_width: float
    n: int

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half_width

    def __str__(self) -> str:
        half = "" if math.isnan(self.half_width) else f" ± {self.half_width:.4f}"
        return f"{self.mean:.4f}{half} ({self.n})"


def interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """Return the mean of values with its confidence interval.

    Parameters
    ----------
    values : sequence of float
        At least one.
    level : float
        Confidence level.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n == 1:
        return Interval(float(values[0]), math.nan, math.nan, 1)
    half = stats.t.ppf(0.5 + level / 2, n - 1) * stats.sem(values)
    return Interval(float(values.mean()), float(values.std(ddof=1)), float(half), n)
