"""The figures of the chapter's exercises, from their tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from d2l_autorec import plots
from d2l_autorec.experiments.stats import Interval

_READABLE = 1.2  # stars; everything worse has the same colour


def hidden_size(table: pd.DataFrame) -> Figure:
    """Draw RMSE against the number of hidden units."""
    figure, (axes,) = plots.frame(4.0)
    sizes = table["hidden"].astype(int).tolist()
    plots.curve(axes, sizes, _intervals(table))
    axes.set(ylabel="test RMSE (95% interval)")
    _widths(axes, sizes, "hidden units")
    return figure


def depth(table: pd.DataFrame) -> Figure:
    """Draw RMSE against width: a line for each depth, a panel for each initialization."""
    figure, panels = plots.frame(4.2, 2, sharey=True)
    titles = {"normal": "Normal(0.01), the chapter's", "xavier": "Xavier initialization"}
    for axes, (init, title) in zip(panels, titles.items()):
        part = table[table["init"] == init]
        sizes = [[int(size) for size in str(hidden).split("-")] for hidden in part["hidden"]]
        even = [len(set(one)) == 1 for one in sizes]
        for layers in (1, 2, 3):
            chosen = [same and len(one) == layers for same, one in zip(even, sizes)]
            widths = [one[0] for one, keep in zip(sizes, chosen) if keep]
            beside = [width * (0.92 + 0.04 * layers) for width in widths]  # bars stay apart
            label = f"{layers} hidden layer{'s' if layers > 1 else ''}"
            plots.curve(axes, beside, _intervals(part[chosen]), label)
        for (_, row), one, same in zip(part.iterrows(), sizes, even):
            if not same:
                point = (max(one) * 1.08, row["test_rmse"], row["test_rmse_half_width"])
                look: dict[str, Any] = {"marker": "D", "ls": "", "color": "tab:red", "capsize": 3}
                axes.errorbar(*point, **look, label=row["hidden"])
        axes.set(title=title)
        _widths(axes, widths, "units in a layer")
    panels[0].set(ylabel="test RMSE (95% interval)")
    plots.legend(figure, panels[0], 4)
    return figure


def _widths(axes: Axes, widths: list[int], label: str) -> None:
    """Make the horizontal axis logarithmic, with a tick for each width."""
    axes.set(xscale="log", xlabel=label)
    axes.set_xticks(widths, labels=list(map(str, widths)))
    axes.minorticks_off()


def _intervals(table: pd.DataFrame) -> list[Interval]:
    """Return the interval of each row's test RMSE."""
    columns = (table[name] for name in ("test_rmse", "test_rmse_half_width", "n"))
    return [Interval(mean, np.nan, half, n) for mean, half, n in zip(*columns)]


def activations(table: pd.DataFrame) -> Figure:
    """Draw a square of RMSEs for each scaling of the ratings."""
    figure, panels = plots.frame(4.4, 2)
    table = table[table["init"] == "normal"]
    names = list(dict.fromkeys(table["encoder"]))
    titles = {"stars": "ratings 1 to 5, as they are", "unit": "ratings divided by 5"}
    for axes, (targets, title) in zip(panels, titles.items()):
        part = table[table["targets"] == targets]
        square = part.pivot(index="encoder", columns="decoder", values="test_rmse")
        values = square.loc[names, names].to_numpy()
        best = float(np.nanmin(table["test_rmse"]))
        axes.imshow(values, cmap="viridis", vmin=best, vmax=max(_READABLE, best + 0.1))
        for (row, column), value in np.ndenumerate(values):
            color = "white" if value < (best + _READABLE) / 2 else "black"
            text = f"{value:.3f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
        axes.set_xticks(range(len(names)), names, rotation=30)
        axes.set_yticks(range(len(names)), names)
        axes.set(title=title, xlabel="decoder (output)")
        axes.grid(False)
    panels[0].set(ylabel="encoder (hidden)")
    figure.suptitle(f"test RMSE; yellow: {_READABLE} or more")
    return figure


DRAWN = {"hidden_size": hidden_size, "depth": depth, "activations": activations}
"""The figure of each table."""
