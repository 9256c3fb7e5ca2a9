"""The pictures of the lessons that read stored results: each draws one idea."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.plots import AUTOREC, OTHER, book_line, frame, intervals, legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from d2l_autorec.evaluation.intervals import Interval

Array = np.ndarray
Ends = tuple[float, float]


def runs_and_intervals(values: Array, ranges: Mapping[str, Ends], mine: int) -> Figure:
    """Draw runs as dots, intervals below them, and the book's number as a line.

    Parameters
    ----------
    values : numpy.ndarray
        Test RMSE of each run.
    ranges : mapping of str to (float, float)
        Both ends of each interval, by name.
    mine : int
        The run to be marked.
    """
    figure, (axes,) = frame(1.9 + 0.4 * len(ranges))
    book_line(axes)
    low = np.floor(values * 1000) / 1000
    height = np.array([(low[:run] == low[run]).sum() for run in range(len(values))])
    places = -0.3 * height  # equal runs are stacked
    middle = low + 0.0005
    axes.scatter(middle, places, 45, color=OTHER, label="a run", zorder=3)
    axes.scatter(middle[mine], places[mine], 45, color=AUTOREC, label="your run", zorder=4)
    for row, (begin, end) in enumerate(ranges.values(), 1):
        axes.plot([begin, end], [row, row], color="black", lw=5, solid_capstyle="butt")
        axes.annotate(
            f"{begin:.4f} to {end:.4f}",
            ((begin + end) / 2, row - 0.2),
            ha="center",
            va="bottom",
            bbox={"fc": "white", "lw": 0, "pad": 1},
        )
    names = [f"{len(values)} runs", *ranges]
    axes.set_yticks(range(len(names)), names)
    axes.grid(False, axis="y")
    axes.set(xlabel="test RMSE, in stars", ylim=(len(names) - 0.6, places.min() - 0.4))
    legend(figure, axes, 3)
    return figure


def coverage(ends: Array, truth: float) -> Figure:
    """Draw many intervals, those that miss the true mean in another colour.

    Parameters
    ----------
    ends : numpy.ndarray, shape (n, 2)
        Both ends of each.
    truth : float
        The true mean.
    """
    figure, (axes,) = frame(3.2)
    hit = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    for kind, color, label in ((hit, OTHER, "contains it"), (~hit, AUTOREC, "misses it")):
        axes.vlines(
            np.flatnonzero(kind) + 1, *ends[kind].T, color=color, lw=3, label=label, zorder=3
        )
    axes.axhline(truth, color="black", lw=1, label="the true mean")
    axes.grid(False, axis="x")
    axes.set(xlabel="repetition", ylabel="95% interval of the mean", xlim=(0, len(ends) + 1))
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


def split_by_split(first: Array, second: Array, names: tuple[str, str]) -> Figure:
    """Draw two models' test RMSE on the same splits, joined, and their differences.

    Parameters
    ----------
    first, second : numpy.ndarray, shape (n,)
        With the splits in the same order. The differences are ``second - first``.
    names : (str, str)
        What the two are called.
    """
    figure, (left, right) = frame(3.4, 2)
    order = np.argsort(first)
    places = np.arange(1, len(first) + 1)
    left.vlines(places, first[order], second[order], color="lightgrey", lw=3)
    for values, color, name in zip((first, second), (AUTOREC, OTHER), names):
        left.scatter(places, values[order], 40, color=color, label=name, zorder=3)
    left.set(xlabel="split, easiest first", ylabel="test RMSE, in stars", xticks=[])
    right.bar(places, (second - first)[order], color="grey")
    right.axhline(0, color="black", lw=1)
    right.set(xlabel="split, in the same order", ylabel="difference, in stars", xticks=[])
    for axes in (left, right):
        axes.set_axisbelow(True)
        axes.grid(False, axis="x")
    legend(figure, left)
    return figure


def differences(table: Mapping[str, Interval], reference: str, title: str = "") -> Figure:
    """Draw the mean differences of models from one of them, with their intervals.

    Parameters
    ----------
    table : mapping of str to Interval
        Differences by model, from top to bottom; below zero is better than the reference.
    reference : str
        What the differences are taken from.
    title : str
    """
    figure, (axes,) = frame(1 + 0.32 * len(table))
    colors = [AUTOREC if "AutoRec" in name else OTHER for name in table]
    intervals(axes, list(table), list(table.values()), colors, "+.3f")
    axes.axvline(0, color="black", lw=1)
    axes.set(xlabel=f"test RMSE less that of {reference}, in stars", title=title)
    axes.title.set_size(11)
    return figure
