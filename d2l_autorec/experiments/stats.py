"""What the experiments say about numbers from several runs; the mathematics is SciPy's.

The splits of one data set share most of their ratings, so that runs on them are not independent:
an interval here tells how far the mean moves with the draw of the split, not how far it would move
on other people's ratings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval; ``str`` gives ``mean ± half-width (n)``.

    Attributes
    ----------
    mean, sd : float
        Of the values; the standard deviation is that of a sample (n - 1).
    half_width : float
        Of the interval, by Student's t; nan for a single value.
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


@dataclass(frozen=True)
class Paired:
    """Differences of two models over the same splits.

    Attributes
    ----------
    difference : Interval
        Of ``a - b``; below zero where `a` has the smaller error.
    p_value : float
        Wilcoxon's signed-rank test, two-sided; 1 where all differences are zero.
    """

    difference: Interval
    p_value: float


def pooled_rmse(predicted: np.ndarray, stars: np.ndarray) -> float:
    """Root of the mean squared error over all ratings at once, in double precision."""
    return float(np.sqrt(np.mean(np.square(np.asarray(predicted, float) - stars))))


def interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """Return the mean of some values with its confidence interval.

    Parameters
    ----------
    values : sequence of float
        At least one.
    level : float
        Chance that the interval holds the mean.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n == 1:
        return Interval(float(values[0]), math.nan, math.nan, 1)
    half = stats.t.ppf(0.5 + level / 2, n - 1) * stats.sem(values)
    return Interval(float(values.mean()), float(values.std(ddof=1)), float(half), n)


def next_run(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the prediction interval: where one more run ends, if runs are normally distributed.

    Parameters
    ----------
    values : sequence of float
        At least two.
    level : float
        Chance that it holds the next value.
    """
    values = np.asarray(values, float)
    n = len(values)
    reach = stats.t.ppf(0.5 + level / 2, n - 1) * values.std(ddof=1) * math.sqrt(1 + 1 / n)
    return float(values.mean() - reach), float(values.mean() + reach)


def paired(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> Paired:
    """Compare two models split by split.

    Parameters
    ----------
    a, b : sequences of float
        Their errors, in the same order of splits.
    """
    differences = np.asarray(a, float) - np.asarray(b, float)
    p_value = stats.wilcoxon(differences).pvalue if differences.any() else 1.0
    return Paired(interval(differences), float(p_value))


def share_below(
    values: Sequence[float] | np.ndarray, bound: float
) -> tuple[float, tuple[float, float]]:
    """Return the share of values below a bound, and its exact 95% interval (Clopper-Pearson)."""
    values = np.asarray(values, float)
    below = int((values < bound).sum())
    ends = stats.binomtest(below, len(values)).proportion_ci()
    return below / len(values), (float(ends.low), float(ends.high))
