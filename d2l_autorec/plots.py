"""What all figures share: frame, colours, interval bars, legend and rendering."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from d2l_autorec.config import CHAPTER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from d2l_autorec.experiments.stats import Interval

AUTOREC, OTHER, PRINTED = "tab:orange", "tab:blue", "black"
"""Colours: AutoRec where it is compared, everything else, and what a book or paper prints."""

WIDTH = 7.2  # inches; a wider figure is unreadable on a phone


def images(figure: Figure) -> dict[str, bytes]:
    """Render a figure as SVG and PNG, without a date, so that equal figures are equal files."""
    import matplotlib

    rendered = {}
    for kind, extra in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 150})):
        buffer = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "d2l_autorec"}):
            figure.savefig(buffer, format=kind, bbox_inches="tight", **extra)
        rendered[kind] = buffer.getvalue()
    return rendered


def frame(height: float, panels: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side, each with a grid and two spines.

    ``height`` is in inches; ``options`` are for ``Figure.subplots``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = list(figure.subplots(1, panels, squeeze=False, **options)[0])
    for one in axes:
        tidy(one)
    return figure, axes


def tidy(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """Draw a faint grid, and remove the spines at the top and on the right."""
    axes.grid(alpha=0.3, axis=grid)
    axes.spines[["top", "right"]].set_visible(False)


def legend(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """Put the legend of some axes below the figure, where no point can be."""
    shown = axes.get_legend_handles_labels()
    figure.legend(*shown, frameon=False, fontsize=9, ncols=columns, loc="outside lower center")


def keys(axes: Axes, colors: Mapping[str, str]) -> None:
    """Put a sample of `intervals` into the legend for each label, in its colour."""
    for label, color in colors.items():
        axes.errorbar([], [], xerr=[], fmt="o", capsize=3, color=color, label=label)


def book_line(axes: Axes) -> None:
    """Draw the RMSE that the book prints as a dashed vertical line."""
    rmse = CHAPTER.test_rmse
    axes.axvline(float(rmse), color=PRINTED, ls="--", lw=1, label=f"the book: {rmse}")


def intervals(
    axes: Axes,
    labels: Sequence[str],
    values: Sequence[Interval],
    colors: Sequence[str] | None = None,
    form: str = ".3f",
) -> None:
    """Draw means with their 95% intervals, from top to bottom, each with its label and number.

    ``colors`` has one for each value; ``form`` is the format of the numbers, on the right.
    """
    for place, value in enumerate(values):
        color = OTHER if colors is None else colors[place]
        axes.errorbar(
            value.mean, place, xerr=bar(value), fmt="o", ms=5, capsize=3, color=color, zorder=3
        )
        axes.annotate(
            f"{value.mean:{form}}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    axes.set_yticks(range(len(labels)), [textwrap.fill(label, 36) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.margins(x=0.08)


def curve(axes: Axes, x: Sequence[float], values: Sequence[Interval], label: str = "") -> None:
    """Draw means with their 95% intervals as a line with bars."""
    means, bars = [value.mean for value in values], [bar(value) for value in values]
    axes.errorbar(x, means, bars, marker="o", ms=5, capsize=3, label=label or None)


def bar(value: Interval) -> float:
    """Return the half-width of an interval; zero for a single run, which has none."""
    return 0.0 if math.isnan(value.half_width) else value.half_width


def learning_curve(history: Mapping[str, Sequence[float | None]], book: bool = True) -> Figure:
    """Draw the RMSE on held-out ratings above the train loss.

    The history has ``train_loss`` and ``val_rmse`` or ``test_rmse`` of all epochs, in order. The
    book's result, drawn as a line, is for MovieLens 100K and the chapter's settings.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    epochs = range(1, len(history["train_loss"]) + 1)
    name, what = ("val_rmse", "validation") if "val_rmse" in history else ("test_rmse", "test")
    rmses = [math.nan if rmse is None else rmse for rmse in history[name]]
    marker = "o" if len(epochs) < 40 else None
    above.plot(epochs, rmses, marker=marker, markersize=3, label="this run")
    if book:
        rmse = CHAPTER.test_rmse
        above.axhline(float(rmse), color=PRINTED, ls="--", lw=1, label=f"the book: {rmse}")
        above.legend(frameon=False)
    above.set(ylabel=f"{what} RMSE")
    below.plot(epochs, history["train_loss"], color=AUTOREC, marker=marker, markersize=3)
    below.set(ylabel="train loss", xlabel="epoch", ylim=(0, None))
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        tidy(axes)
    return figure
