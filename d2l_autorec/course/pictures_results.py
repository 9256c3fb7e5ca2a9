"""The pictures of the lessons that read stored results: each draws one idea."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.evaluation.intervals import interval
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.plots import AUTOREC, OTHER, book_line, curve, frame, intervals, legend

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pandas.core.groupby.generic import DataFrameGroupBy

    from d2l_autorec.evaluation.intervals import Interval

Array = np.ndarray
Ends = tuple[float, float]


def runs_and_intervals(values: Array, ranges: Mapping[str, Ends], mine: int) -> Figure:
    """Draw the test RMSE of runs as dots, the one that is mine marked, and the book's as a line.

    Below them are intervals, given by name as both their ends.
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
        said, at = f"{begin:.4f} to {end:.4f}", ((begin + end) / 2, row - 0.2)
        axes.annotate(said, at, ha="center", va="bottom", bbox={"fc": "white", "lw": 0, "pad": 1})
    names = [f"{len(values)} runs", *ranges]
    axes.set_yticks(range(len(names)), names)
    axes.grid(False, axis="y")
    axes.set(xlabel="test RMSE, in stars", ylim=(len(names) - 0.6, places.min() - 0.4))
    legend(figure, axes, 3)
    return figure


def coverage(ends: Array, truth: float) -> Figure:
    """Draw intervals, given by their ends (n, 2); those that miss the truth in another colour."""
    figure, (axes,) = frame(3.2)
    hit = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    for kind, color, label in ((hit, OTHER, "contains it"), (~hit, AUTOREC, "misses it")):
        x = np.flatnonzero(kind) + 1
        axes.vlines(x, *ends[kind].T, color=color, lw=3, label=label, zorder=3)
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
    axes.set_xlabel("test RMSE of a split less the model's mean, in stars")
    axes.set_ylim(len(values) - 0.6, -0.6)
    return figure


def split_by_split(first: Array, second: Array, names: tuple[str, str]) -> Figure:
    """Draw two models' test RMSE on the same splits, joined, and the second's less the first's."""
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
    """Draw the mean differences from a reference model, with intervals; below zero is better."""
    figure, (axes,) = frame(1 + 0.32 * len(table))
    colors = [AUTOREC if "AutoRec" in name else OTHER for name in table]
    intervals(axes, list(table), list(table.values()), colors, "+.3f")
    axes.axvline(0, color="black", lw=1)
    axes.set_xlabel(f"test RMSE less that of {reference}, in stars")
    axes.set_title(title, fontsize=11)
    return figure


def validation_curves(curves: Mapping[str, Sequence[float]], highest: float = 1.1) -> Figure:
    """Draw validation RMSE from epoch 1 to the last, and up to the highest to be shown.

    The best epoch of each curve is a dot.
    """
    figure, (axes,) = frame(3.4)
    for name, rmses in curves.items():
        epochs = np.arange(1, len(rmses) + 1)
        (line,) = axes.plot(epochs, rmses, lw=2, label=name)
        best = int(np.argmin(rmses))
        axes.plot(epochs[best], rmses[best], "o", ms=9, color=line.get_color())
    axes.axvline(CHAPTER.num_epochs, color="black", lw=1, ls=":")
    axes.annotate(f" the book's {CHAPTER.num_epochs} epochs", (CHAPTER.num_epochs, highest))
    axes.set(xlabel="epoch; the dot is the best one", ylabel="validation RMSE, in stars")
    axes.set_ylim(min(map(min, curves.values())) - 0.02, highest)
    legend(figure, axes, 3)
    return figure


def by_size(runs: DataFrameGroupBy) -> Figure:
    """Draw test RMSE and best epoch (``test_rmse``, ``epoch``) by the size of the hidden layer."""
    figure, (left, right) = frame(3.2, 2)
    scores = runs["test_rmse"].agg(interval)
    sizes = scores.index.to_numpy()
    curve(left, sizes, scores.tolist())
    left.set(ylabel="test RMSE, in stars")
    right.plot(sizes, runs["epoch"].median(), "o-", ms=5, color=OTHER)
    right.axhline(CHAPTER.num_epochs, color="black", lw=1, ls=":")
    at = (sizes[0], CHAPTER.num_epochs)
    right.annotate(f"the book's {at[1]}", at, (0, 4), textcoords="offset points")
    right.set(ylabel="best epoch (median)", ylim=(0, None))
    ticks = [10, 50, 200, 500, 2000]
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("hidden units")
    return figure


def by_depth(table: pd.DataFrame) -> Figure:
    """Draw test RMSE by the number of equal hidden layers, for both kinds of initial weights.

    The table has ``hidden``, such as "500-500", ``init``, ``test_rmse`` and its half-width.
    """
    figure, panels = frame(3.4, 2, sharey=True)
    sizes = table["hidden"].astype(str).str.split("-")
    equal = sizes.map(lambda layers: len(set(layers)) == 1)
    for axes, (init, name) in zip(panels, (("normal", "the chapter's"), ("xavier", "Xavier's"))):
        chosen = table[equal & (table["init"] == init)]
        for place, size in enumerate(("50", "100", "200", "500")):
            rows = chosen[sizes[chosen.index].str[0] == size]
            x = sizes[rows.index].str.len() + 0.06 * (place - 1.5)
            y, half = rows["test_rmse"], rows["test_rmse_half_width"]
            axes.errorbar(x, y, half, marker="o", ms=5, capsize=2, label=f"{size} units")
        axes.set(xlabel="hidden layers", xticks=[1, 2, 3])
        axes.set_title(f"initial weights: {name}", fontsize=11)
        axes.grid(False, axis="x")
    panels[0].set_ylabel("test RMSE, in stars")
    legend(figure, panels[0], 4)
    return figure


def activation_tables(table: pd.DataFrame) -> Figure:
    """Draw test RMSE of each pair of activations, for ratings as they are and divided by 5.

    The table has ``encoder``, ``decoder``, ``init``, ``targets`` and ``test_rmse``.
    """
    figure, panels = frame(3.7, 2)
    names = {"stars": "ratings as they are", "unit": "ratings divided by 5"}
    for axes, (targets, name) in zip(panels, names.items()):
        rows = table[(table["init"] == "normal") & (table["targets"] == targets)]
        wide = rows.pivot(index="encoder", columns="decoder", values="test_rmse")
        wide = wide.loc[list(ACTIVATIONS), list(ACTIVATIONS)]
        axes.imshow(wide.clip(upper=1.3), cmap="Blues", vmin=0.86, vmax=1.3, aspect="auto")
        for (row, column), value in np.ndenumerate(wide.to_numpy()):
            text = axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9)
            text.set_color("white" if value > 1.12 else "black")
        axes.set_xticks(range(len(ACTIVATIONS)), list(ACTIVATIONS), rotation=45, fontsize=9)
        axes.set_yticks(range(len(ACTIVATIONS)), list(ACTIVATIONS), fontsize=9)
        axes.grid(False)
        axes.set_xlabel("output")
        axes.set_title(name, fontsize=11)
    panels[0].set_ylabel("hidden layer")
    return figure
