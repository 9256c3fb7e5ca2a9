"""The figures."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from d2l_autorec.config import CHAPTER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def images(figure: Figure) -> dict[str, bytes]:
    """Render a figure as SVG and as PNG, both without a date, so that equal runs are equal."""
    import matplotlib

    rendered = {}
    for kind, extra in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 150})):
        buffer = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "d2l_autorec"}):
            figure.savefig(buffer, format=kind, bbox_inches="tight", **extra)
        rendered[kind] = buffer.getvalue()
    return rendered


def tidy(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """Give axes a faint grid, and take away the frame above and on the right."""
    axes.grid(alpha=0.3, axis=grid)
    axes.spines[["top", "right"]].set_visible(False)


def learning_curve(history: Mapping[str, Sequence[float | None]], book: bool = True) -> Figure:
    """Draw the RMSE over held-out ratings above the train loss.

    Parameters
    ----------
    history : mapping
        ``train_loss`` and ``val_rmse`` or ``test_rmse`` of all epochs, in order.
    book : bool
        Draw the book's result as a line; it stands for MovieLens 100K and the chapter's settings.
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
        above.axhline(float(rmse), color="black", ls="--", lw=1, label=f"the book: {rmse}")
        above.legend(frameon=False)
    above.set(ylabel=f"{what} RMSE")
    below.plot(epochs, history["train_loss"], color="tab:orange", marker=marker, markersize=3)
    below.set(ylabel="train loss", xlabel="epoch", ylim=(0, None))
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        tidy(axes)
    return figure
