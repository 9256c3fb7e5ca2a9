"""The pictures of the lessons that read stored results: each draws one idea."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.plots import AUTOREC, OTHER, book_line, frame, legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
Ends = tuple[float, float]


def runs_and_intervals(values: Array, intervals: Mapping[str, Ends], mine: int) -> Figure:
    """Draw runs as dots, intervals below them, and the book's number as a line.

    Parameters
    ----------
    values : numpy.ndarray
        Test RMSE of each run.
    intervals : mapping of str to (float, float)
        Both ends of each interval, by name.
    mine : int
        The run to be marked.
    """
    figure, (axes,) = frame(1.9 + 0.4 * len(intervals))
    book_line(axes)
    low = np.floor(values * 1000) / 1000
    height = np.array([(low[:run] == low[run]).sum() for run in range(len(values))])
    places = -0.3 * height  # equal runs are stacked
    middle = low + 0.0005
    axes.scatter(middle, places, 45, color=OTHER, label="a run", zorder=3)
    axes.scatter(middle[mine], places[mine], 45, color=AUTOREC, label="your run", zorder=4)
    for row, (begin, end) in enumerate(intervals.values(), 1):
        axes.plot([begin, end], [row, row], color="black", lw=5, solid_capstyle="butt")
        axes.annotate(
            f"{begin:.4f} to {end:.4f}",
            ((begin + end) / 2, row - 0.2),
            ha="center",
            va="bottom",
            bbox={"fc": "white", "lw": 0, "pad": 1},
        )
    names = [f"{len(values)} runs", *intervals]
    axes.set_yticks(range(len(names)), names)
    axes.grid(False, axis="y")
    axes.set(xlabel="test RMSE, in stars", ylim=(len(names) - 0.6, places.min() - 0.4))
    legend(figure, axes, 3)
    return figure


def coverage(intervals: Array, truth: float) -> Figure:
    """Draw many intervals, those that miss the true mean in another colour.

    Parameters
    ----------
    intervals : numpy.ndarray, shape (n, 2)
        Both ends of each.
    truth : float
        The true mean.
    """
    figure, (axes,) = frame(3.2)
    hit = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
    for kind, color, label in ((hit, OTHER, "contains it"), (~hit, AUTOREC, "misses it")):
        axes.vlines(
            np.flatnonzero(kind) + 1, *intervals[kind].T, color=color, lw=3, label=label, zorder=3
        )
    axes.axhline(truth, color="black", lw=1, label="the true mean")
    axes.grid(False, axis="x")
    axes.set(xlabel="repetition", ylabel="95% interval of the mean", xlim=(0, len(intervals) + 1))
    legend(figure, axes, 3)
    return figure


def two_spreads(values: Mapping[str, Array]) -> Figure:
    """Draw how far the runs of some models lie from their own mean, AutoRec first."""
    figure, (axes,) = frame(0.9 + 0.65 * len(values))
    for row, of_one in enumerate(values.values()):
        away = of_one - of_one.mean()
        color = OTHER if row else AUTOREC
        axes.scatter(away, np.full(len(away), row), 40, color=color, alpha=0.6, lw=0)
        axes.annotate(f"standard deviation {of_one.std(ddof=1):.4f}", (0, row - 0.2), ha="center")
    axes.set_yticks(range(len(values)), list(values))
    axes.grid(False, axis="y")
    axes.set(
        xlabel="test RMSE of a split less the model's mean, in stars",
        ylim=(len(values) - 0.6, -0.6),
    )
    return figure
