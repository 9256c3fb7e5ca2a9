"""Statistics of several runs, computed with SciPy.

The splits of one data set share most of their ratings, so runs on them are not independent. An
interval here describes how the mean varies with the split, not with other people's ratings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from d2l_autorec.evaluation.intervals import Interval, interval
from d2l_autorec.training.result import pooled_rmse

__all__ = [
    "Interval",
    "Paired",
    "interval",
    "next_run",
    "paired",
    "pooled_rmse",
    "share_below",
]


@dataclass(frozen=True)
class Paired:
    """Differences between two models on the same splits.

    Attributes
    ----------
    difference : Interval
        Of ``a - b``. Below zero if `a` has the smaller error.
    p_value : float
        Wilcoxon's signed-rank test, two-sided. 1 if all differences are zero.
    """

    difference: Interval
    p_value: float


def next_run(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the prediction interval of one more run, assuming a normal distribution.

    Parameters
    ----------
    values : sequence of float
        At least two.
    level : float
        Probability that the interval contains the next value.
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
        Errors, with the splits in the same order.
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
