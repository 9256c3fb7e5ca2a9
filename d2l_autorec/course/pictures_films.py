"""The pictures of the lessons that show films by title: each draws one idea."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.plots import AUTOREC, OTHER, frame, legend

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

Array = np.ndarray
KINDS = {
    "Children's": ("#009E73", "o"),
    "Sci-Fi": ("#0072B2", "^"),
    "Action": ("#D55E00", "s"),
    "Romance": ("#CC79A7", "D"),
    "other": ("#AAAAAA", "."),
}
"""Colour and marker of genres; colours by Okabe and Ito, which colour-blind people can tell apart.

A film that has several of them is drawn as the first."""


PAPER = {"fc": "white", "lw": 0, "alpha": 0.6, "pad": 1}  # under a title


def shortened(title: str) -> str:
    """Return a title in at most 34 letters."""
    return textwrap.shorten(title, 34, placeholder=" …")


def two_people(titles: Sequence[str], stars: Mapping[str, Array]) -> Figure:
    """Draw what a model predicts of the same films, from top to bottom, for two people."""
    figure, (axes,) = frame(0.9 + 0.3 * len(titles))
    rows = np.arange(len(titles))
    first, second = stars.values()
    axes.hlines(rows, first, second, color="lightgrey", lw=3)
    for (name, values), color, marker in zip(stars.items(), (OTHER, AUTOREC), "oD"):
        axes.scatter(values, rows, 50, color=color, marker=marker, label=name, zorder=3)
    axes.set_yticks(rows, [shortened(title) for title in titles])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set(xlabel="predicted stars")
    legend(figure, axes)
    return figure


def reasons(
    titles: Sequence[str], stars: Sequence[float], changes: Array, headline: str
) -> Figure:
    """Draw what each rating adds to a prediction, from top to bottom."""
    figure, (axes,) = frame(0.9 + 0.36 * len(titles))
    axes.set_axisbelow(True)
    colors = [OTHER if change > 0 else AUTOREC for change in changes]
    bars = axes.barh(np.arange(len(titles)), changes, color=colors)
    axes.bar_label(bars, fmt="%+.2f", padding=4)
    axes.axvline(0, color="black", lw=1)
    names = [f"{shortened(t)}: {s:g} ★" for t, s in zip(titles, stars)]
    axes.set_yticks(np.arange(len(titles)), names)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.grid(False, axis="y")
    axes.set_xlabel("what reading this rating adds, in stars")
    axes.set_title(headline, fontsize=11)
    return figure


def film_map(
    places: Array, films: pd.DataFrame, named: Sequence[str], axis: Sequence[str]
) -> Figure:
    """Draw films, with ``title`` and ``genres``, as points (n, 2) coloured by genre.

    The titles in ``named`` are written where there is room, the most important first. ``axis``
    says what the two axes are.
    """
    flags = films["genres"].str.get_dummies().assign(other=1)
    kind = flags.reindex(columns=list(KINDS), fill_value=0).idxmax(axis=1).to_numpy()
    figure, (axes,) = frame(6.2)
    for name, (color, marker) in KINDS.items():
        x, y = places[kind == name].T
        axes.scatter(x, y, 26, color, marker=marker, label=name, alpha=0.8)
    axes.set(xlabel=axis[0], ylabel=axis[1])
    axes.margins(0.08)
    legend(figure, axes, len(KINDS))
    figure.canvas.draw()
    titles = films["title"].tolist()
    _name_films(axes, places, {titles.index(title): title for title in named if title in titles})
    return figure


def _name_films(axes: Axes, places: Array, named: Mapping[int, str]) -> None:
    """Write each title right of its point, else left, above or below, if one of them is free."""
    sides = [(7, 0, "left", "center"), (-7, 0, "right", "center")]
    sides += [(0, 7, "center", "bottom"), (0, -7, "center", "top")]
    points = axes.transData.transform(places)
    taken: dict[int, Bbox] = {}
    ringed = points[list(named)]
    for (film, title), (right, up, ha, va) in product(named.items(), sides):
        if film in taken:
            continue
        style: dict[str, Any] = {"ha": ha, "va": va, "fontsize": 8.5, "bbox": PAPER}
        offset = (right, up)
        text = axes.annotate(title, places[film], offset, textcoords="offset points", **style)
        box = text.get_window_extent().padded(2)
        outside = not all(axes.bbox.contains(*corner) for corner in box.corners())
        clash = box.count_overlaps(taken.values()) or box.count_contains(ringed)
        if outside or clash or box.count_contains(points) > 3:
            text.remove()
        else:
            taken[film] = box
    x, y = places[list(taken)].T
    axes.scatter(x, y, 60, "none", edgecolors="black")
