"""The pictures of the lessons: each function draws one idea and returns a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.plots import AUTOREC, OTHER, frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = np.ndarray


def stars(table: pd.DataFrame) -> Figure:
    """Draw how often each number of stars was given, and how many ratings the films have."""
    figure, (left, right) = frame(2.9, 2)
    counts = table["rating"].value_counts().sort_index()
    left.bar(counts.index, counts / 1000, width=0.8, color=OTHER)
    mean = table["rating"].mean()
    left.axvline(mean, color=AUTOREC, lw=2)
    left.annotate(
        f"mean {mean:.2f} ", (mean, 0.97), xycoords=("data", "axes fraction"), ha="right"
    )
    left.set(xlabel="stars", ylabel="ratings, in thousands", ylim=(0, counts.max() / 1000 * 1.15))
    per_item = np.sort(table["item"].value_counts().to_numpy())[::-1]
    right.plot(np.arange(1, len(per_item) + 1), per_item, color=OTHER, lw=2)
    half = int(np.searchsorted(per_item.cumsum(), per_item.sum() / 2)) + 1
    right.fill_between(np.arange(1, half + 1), per_item[:half], color=AUTOREC, alpha=0.4, lw=0)
    right.annotate(
        f"half of all ratings\nare of these {half} films",
        (half * 0.7, per_item[half] * 0.5),
        (600, per_item[0] * 0.6),
        arrowprops={"arrowstyle": "-", "color": "black"},
    )
    right.set(xlabel="films, most rated first", ylabel="ratings of the film", ylim=(0, None))
    return figure


def sparsity(matrix: Array, block: tuple[int, int] = (7, 5)) -> Figure:
    """Draw where a matrix (num_items, num_users) holds ratings, as the share of each block."""
    figure, (axes,) = frame(5.6)
    known = matrix > 0
    by_film, by_user = (np.argsort(-known.sum(axis), kind="stable") for axis in (1, 0))
    films, users = (size // part * part for size, part in zip(matrix.shape, block))
    ordered = known[by_film][:, by_user][:films, :users]
    shares = ordered.reshape(films // block[0], block[0], users // block[1], block[1])
    shown = axes.imshow(
        100 * shares.mean((1, 3)),
        cmap="Blues",
        vmin=0,
        vmax=100,
        aspect="auto",
        extent=(0, users, films, 0),
    )
    axes.grid(False)
    axes.set(
        xlabel=f"{matrix.shape[1]} users, most active first",
        ylabel=f"{matrix.shape[0]} films, most rated first",
        title=f"{known.sum():,} of {matrix.size:,} cells hold a rating: {known.mean():.1%}",
    )
    figure.colorbar(shown, label="% of the cells around that are rated", shrink=0.7)
    return figure


def guesses(scores: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the RMSE of some guesses, over all cells and over the ratings only.

    Parameters
    ----------
    scores : mapping of str to (float, float)
        For each guess, the RMSE over all cells, with 0 for "not rated", and over the ratings.
    """
    figure, panels = frame(2.6, 2, sharey=True)
    titles = ("over all cells, 0 taken for a rating", "over the ratings only")
    for which, (axes, title) in enumerate(zip(panels, titles)):
        values = [score[which] for score in scores.values()]
        colors = [AUTOREC if value == min(values) else OTHER for value in values]
        bars = axes.barh(list(scores), values, color=colors)
        axes.bar_label(bars, fmt="%.2f", padding=4)
        axes.set(xlabel="RMSE, in stars", title=title, xlim=(0, max(values) * 1.2))
        axes.title.set_size(11)
        axes.invert_yaxis() if which == 0 else None
    return figure
