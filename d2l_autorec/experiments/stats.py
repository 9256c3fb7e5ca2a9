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
from d2l_autorec.training.result import pooled_rmse as pooled_rmse  # the score of all experiments


@dataclass(frozen=True)
class Paired:
    """Differences ``a - b`` between two models on the same splits.

    ``p_value`` is that of Wilcoxon's signed-rank test, two-sided; 1 if all differences are zero.
    """

    difference: Interval
    p_value: float


def next_run(values: Sequence[float] | np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the prediction interval of one more run, assuming a normal distribution.

    It takes at least two values. ``level`` is the probability that the next one lies in it.
    """
    values = np.asarray(values, float)
    n = len(values)
    reach = stats.t.ppf(0.5 + level / 2, n - 1) * values.std(ddof=1) * math.sqrt(1 + 1 / n)
    return float(values.mean() - reach), float(values.mean() + reach)


def paired(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> Paired:
    """Compare the errors of two models, given in the same order of the splits."""
    differences = np.asarray(a, float) - np.asarray(b, float)
    p_value = stats.wilcoxon(differences).pvalue if differences.any() else 1.0
    return Paired(interval(differences), float(p_value))


def less(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> Interval:
    """Return the interval of the differences ``a - b`` of `paired`."""
    return paired(a, b).difference


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of all comparisons for their number: Holm's step-down method.

    A comparison is significant at 5% over all of them if its corrected value is below 0.05.
    """
    values = np.asarray(p_values, float)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = raised.clip(max=1.0)
    return corrected.tolist()


def bootstrap_rmse(
    errors: np.ndarray, users: np.ndarray, num_resamples: int = 5000, seed: int = 0
) -> np.ndarray:
    """Draw users with replacement and return the pooled RMSE of their ratings.

    Parameters
    ----------
    errors : numpy.ndarray
        (num_models, num_ratings): the errors of some models on the same ratings.
    users : numpy.ndarray of int
        (num_ratings,): whose rating each is. A user who is drawn brings all ratings.

    Returns
    -------
    numpy.ndarray
        (num_models, num_resamples): all models are scored on the same draws.
    """
    _, codes, counts = np.unique(users, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(codes, np.square(own)) for own in errors])
    draws = np.random.default_rng(seed).multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), num_resamples
    )  # (num_resamples, num_users)
    return np.sqrt((sums @ draws.T) / (counts @ draws.T))


def share_below(
    values: Sequence[float] | np.ndarray, bound: float
) -> tuple[float, tuple[float, float]]:
    """Return the share of values below a bound, and its exact 95% interval (Clopper-Pearson)."""
    values = np.asarray(values, float)
    below = int((values < bound).sum())
    ends = stats.binomtest(below, len(values)).proportion_ci()
    return below / len(values), (float(ends.low), float(ends.high))
