"""The pictures of lessons 4 and 5: the mask, the predictions, and wrong versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.plots import AUTOREC, OTHER, frame, legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray


def mask(rows: Array, output: Array) -> Figure:
    """Draw the rows that a network reads, its output, the mask, and the masked output."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    known = np.sign(rows)
    cells = (
        ("input", rows, "{:.0f}", known),
        ("output", output, "{:.1f}", np.ones_like(rows)),
        ("mask: sign of the input", known, "{:.0f}", known),
        ("output times mask", output * known, "{:.1f}", known),
    )
    for axes, (title, values, form, shown) in zip(panels, cells):
        axes.imshow(shown, cmap="Blues", vmin=0, vmax=2.5, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            word = form.format(value) if shown[row, column] else "0"
            color = "black" if shown[row, column] else "silver"
            axes.annotate(word, (column, row), ha="center", va="center", color=color)
        axes.set_title(title, fontsize=11)
        axes.spines[:].set_visible(False)
        axes.set(xticks=[], yticks=[], xlabel="users", ylabel="films")
    return figure


def predicted_and_actual(held_out: Array, predicted: Array) -> Figure:
    """Draw the spread of the predictions for each number of stars that was held out."""
    figure, (axes,) = frame(3.6)
    stars = np.unique(held_out[held_out > 0])
    groups = [predicted[held_out == star] for star in stars]
    axes.plot([0.6, 5.4], [0.6, 5.4], color="grey", ls="--", lw=1)
    axes.annotate("as rated", (5.05, 5.2), ha="right", color="grey")
    parts = axes.violinplot(groups, stars, widths=0.8, showextrema=False)
    for body in parts["bodies"]:  # type: ignore[attr-defined]
        body.set(facecolor=OTHER, alpha=0.4)
    means = [group.mean() for group in groups]
    axes.plot(stars, means, marker="o", color=AUTOREC)
    for star, mean in zip(stars, means):
        axes.annotate(
            f"{mean:.1f}", (star, mean), (0, -9), textcoords="offset points", ha="center", va="top"
        )
    axes.set(xlabel="held-out rating, in stars", ylabel="prediction; the line is the mean")
    axes.set(xticks=stars, xlim=(0.5, 5.5), ylim=(0, 6.5))
    return figure


def reported_and_true(scores: Mapping[str, tuple[float, float]], mean: float) -> Figure:
    """Draw the RMSE that each version reports, the true one, and that of the mean rating."""
    figure, (axes,) = frame(0.9 + 0.36 * len(scores))
    names = list(scores)
    reported, true = np.array(list(scores.values())).T
    axes.hlines(names, reported, true, color="lightgrey", lw=4, zorder=1)
    axes.scatter(true, names, 90, color=OTHER, label="true", zorder=2)
    axes.scatter(reported, names, 40, color=AUTOREC, marker="D", label="reported", zorder=3)
    axes.axvline(mean, color="black", ls="--", lw=1, label="the mean rating")
    axes.invert_yaxis()
    axes.set(xlabel="RMSE on held-out ratings, in stars", xlim=(0, None))
    legend(figure, axes, 3)
    return figure
