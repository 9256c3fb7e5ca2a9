"""The pictures of lessons 1 to 3: each function draws one idea and returns a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.plots import AUTOREC, OTHER, frame, legend

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = np.ndarray


def stars(table: pd.DataFrame) -> Figure:
    """Draw how often each number of stars was given, and how many ratings the films have."""
    figure, (left, right) = frame(2.9, 2)
    left.set_axisbelow(True)
    counts = table["rating"].value_counts().sort_index()
    left.bar(counts.index, counts / 1000, width=0.8, color=OTHER)
    mean = table["rating"].mean()
    left.axvline(mean, color=AUTOREC, lw=2)
    top = (mean, 0.97)
    left.annotate(f"mean {mean:.2f} ", top, xycoords=("data", "axes fraction"), ha="right")
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
    percent, extent = 100 * shares.mean((1, 3)), (0, users, films, 0)
    shown = axes.imshow(percent, "Blues", aspect="auto", vmin=0, vmax=100, extent=extent)
    axes.grid(False)
    axes.set(
        xlabel=f"{matrix.shape[1]} users, most active first",
        ylabel=f"{matrix.shape[0]} films, most rated first",
        title=f"{known.sum():,} of {matrix.size:,} cells hold a rating: {known.mean():.1%}",
    )
    figure.colorbar(shown, label="% of the cells around that are rated", shrink=0.7)
    return figure


def guesses(scores: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the RMSE of guesses, over all cells, with 0 for "not rated", and over ratings only."""
    figure, panels = frame(2.6, 2, sharey=True)
    titles = ("over all cells, 0 taken for a rating", "over the ratings only")
    for which, (axes, title) in enumerate(zip(panels, titles)):
        axes.set_axisbelow(True)
        values = [score[which] for score in scores.values()]
        colors = [AUTOREC if value == min(values) else OTHER for value in values]
        bars = axes.barh(list(scores), values, color=colors)
        axes.bar_label(bars, fmt="%.2f", padding=4)
        axes.set(xlabel="RMSE, in stars", xlim=(0, max(values) * 1.2))
        axes.set_title(title, fontsize=11)
        axes.invert_yaxis() if which == 0 else None
    return figure


def means_by_count(counts: Array, means: Array, mean: float) -> Figure:
    """Draw the mean rating of each film over the number of its ratings."""
    figure, (axes,) = frame(3.4)
    rated = counts > 0
    axes.scatter(counts[rated], means[rated], 12, color=OTHER, alpha=0.35, lw=0)
    axes.axhline(mean, color=AUTOREC, lw=2)
    axes.annotate(f"mean of all ratings: {mean:.2f}", (1, mean + 0.08), color="black", ha="left")
    ticks = [1, 3, 10, 30, 100, 300]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="training ratings of the film", ylabel="their mean, in stars")
    return figure


def sums(
    model: tuple[float, Array, Array], user: int, films: Mapping[str, int], low: float = 1.0
) -> Figure:
    """Draw predictions of a user's ratings as steps: the mean, the user's and the film's bias.

    The model is the mean, the biases of the films and those of the users. The user and the films
    are their places, the latter by title. The axis of stars begins at ``low``.
    """
    mean, film_bias, user_bias = model
    parts = (
        ("the mean", "lightgrey", 0.84, 0),
        ("the user's bias", OTHER, 0.28, 0),
        ("the film's bias", AUTOREC, 0.28, 0.28),
    )
    figure, (axes,) = frame(0.9 + 0.75 * len(films))
    axes.set_axisbelow(True)
    for row, item in enumerate(films.values()):
        at = low
        lengths = (mean - low, user_bias[user], film_bias[item])
        for length, (_, color, height, down) in zip(lengths, parts):
            axes.barh(row + down, length, height, left=at, color=color)
            at += length
        axes.plot([at, at], [row - 0.45, row + 0.45], color="black", lw=2)
        axes.annotate(f" {at:.2f}", (at, row - 0.28), va="center")
    axes.set_yticks(range(len(films)), list(films))
    axes.grid(False, axis="y")
    axes.invert_yaxis()
    axes.set(xlabel="stars; the black line is the prediction", xlim=(low, 5.3))
    for label, color, *_ in parts:
        axes.barh([0], [0], color=color, label=label)
    legend(figure, axes, 3)
    return figure


def ladder(scores: Mapping[str, float]) -> Figure:
    """Draw the test RMSE of some models, one below the other, with the book's AutoRec last."""
    figure, (axes,) = frame(0.9 + 0.4 * (len(scores) + 1))
    book = "the book's AutoRec, another split"
    values = {**scores, book: float(CHAPTER.test_rmse)}
    names, rmses = list(values), list(values.values())
    colors = [AUTOREC if name == book else OTHER for name in names]
    axes.hlines(names, 0.85, rmses, color=colors, lw=3)
    axes.scatter(rmses, names, 70, color=colors, zorder=3)
    for row, value in enumerate(rmses):
        at = (value, row)
        axes.annotate(f"{value:.3f}", at, (9, 0), textcoords="offset points", va="center")
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set(xlabel="test RMSE, in stars; the axis begins at 0.85", xlim=(0.85, None))
    axes.margins(x=0.12)
    return figure


def factors(rng: np.random.Generator, num_items: int = 9, num_users: int = 12) -> Figure:
    """Draw a matrix as the product of two thin ones, with the parts of one cell marked."""
    from matplotlib.patches import Rectangle

    film, user, length = 3, 8, 2
    of_films = rng.uniform(-1, 1, (num_items, length))
    of_users = rng.uniform(-1, 1, (length, num_users))
    figure, (left, middle, right) = frame(2.9, 3, width_ratios=(length + 1, num_users, num_users))
    product = f"their product\n{num_items} films by {num_users} users"
    parts = (
        (left, of_films, f"$\\mathbf{{Q}}$\n{num_items} films", (0, film, length, 1)),
        (middle, of_users, f"$\\mathbf{{P}}$, turned\n{num_users} users", (user, 0, 1, length)),
        (right, of_films @ of_users, product, (user, film, 1, 1)),
    )
    for axes, values, title, (x, y, width, height) in parts:
        axes.imshow(values, cmap="PuOr", vmin=-1.3, vmax=1.3)
        axes.set_title(title, fontsize=10)
        box = Rectangle((x - 0.5, y - 0.5), width, height, fill=False, lw=2.5, zorder=3)
        axes.add_patch(box)
        axes.axis("off")
    middle.annotate(r"$\times$", (-0.06, 0.5), xycoords="axes fraction", fontsize=14, ha="right")
    right.annotate("=", (-0.04, 0.5), xycoords="axes fraction", fontsize=16, ha="right")
    return figure


def train_and_test(history: Mapping[str, list[float]], baseline: float) -> Figure:
    """Draw the RMSE on training and test ratings over the epochs, and that of the biases."""
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = frame(3.2)
    for name, color in (("train", "grey"), ("test", AUTOREC)):
        values = history[name]
        epochs = range(1, len(values) + 1)
        axes.plot(epochs, values, marker="o", ms=4, color=color)
        end = (len(values), values[-1])
        axes.annotate(f" {name} {values[-1]:.3f}", end, va="center", annotation_clip=False)
    axes.axhline(baseline, color=OTHER, ls="--")
    right = len(history["test"]) * 1.16, baseline
    axes.annotate(f"biases {baseline:.3f} ", right, va="bottom", ha="right", color=OTHER)
    axes.set(xlabel="epoch", ylabel="RMSE, in stars", ylim=(min(history["train"]) - 0.03, 1.1))
    axes.set_xlim(0.8, right[0])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
