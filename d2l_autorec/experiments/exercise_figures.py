"""The figures of the chapter's exercises, from their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.experiments.plots import tidy

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_READABLE = 1.2  # stars; worse ones share a colour


def hidden_size(table: pd.DataFrame) -> Figure:
    """Draw RMSE over the number of hidden units, with intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    sizes = table["hidden"].astype(int)
    axes.errorbar(sizes, table["test_rmse"], table["half_width"], marker="o", capsize=3)
    axes.set(
        xscale="log", xlabel="hidden units", ylabel="test RMSE (95% interval)", xticks=sizes,
        xticklabels=sizes,
    )  # fmt: skip
    axes.minorticks_off()
    tidy(axes)
    return figure


def depth(table: pd.DataFrame) -> Figure:
    """Draw RMSE over width, a line for each depth, a panel for each start."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"normal": "start: Normal(0.01), the chapter's", "xavier": "start: Xavier"}
    for axes, (init, title) in zip(panels, titles.items()):
        part = table[table["init"] == init]
        sizes_of = [[int(size) for size in str(hidden).split("-")] for hidden in part["hidden"]]
        part = part.assign(sizes=sizes_of)
        for layers in (1, 2, 3):
            level = part[
                [len(sizes) == layers and len(set(sizes)) == 1 for sizes in part["sizes"]]
            ]
            widths = [sizes[0] for sizes in level["sizes"]]
            beside = [width * (0.92 + 0.04 * layers) for width in widths]  # intervals stay apart
            axes.errorbar(
                beside, level["test_rmse"], level["half_width"], marker="o", capsize=3,
                label=f"{layers} hidden layer{'s' if layers > 1 else ''}",
            )  # fmt: skip
            ticks = widths
        for _, row in part[[len(set(sizes)) > 1 for sizes in part["sizes"]]].iterrows():
            axes.errorbar(
                max(row["sizes"]) * 1.08, row["test_rmse"], row["half_width"], marker="D", ls="",
                color="tab:red", capsize=3, label=row["hidden"],
            )  # fmt: skip
        axes.set(xscale="log", xlabel="units in a layer", title=title)
        axes.set_xticks(ticks, ticks)
        axes.minorticks_off()
        tidy(axes)
    panels[0].set(ylabel="test RMSE (95% interval)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=len(labels), loc="outside lower center")
    return figure


def activations(table: pd.DataFrame) -> Figure:
    """Draw a square of RMSEs for each scaling of the ratings."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 5.0), layout="constrained")
    panels = figure.subplots(1, 2)
    table = table[table["init"] == "normal"]
    names = list(dict.fromkeys(table["encoder"]))
    titles = {"stars": "ratings 1 to 5, as they are", "unit": "ratings brought to 0..1"}
    for axes, (targets, title) in zip(panels, titles.items()):
        part = table[table["targets"] == targets]
        square = part.pivot(index="encoder", columns="decoder", values="test_rmse")
        values = square.loc[names, names].to_numpy()
        best = float(np.nanmin(table["test_rmse"]))
        axes.imshow(values, cmap="viridis", vmin=best, vmax=max(_READABLE, best + 0.1))
        for (row, column), value in np.ndenumerate(values):
            light = value < (best + _READABLE) / 2
            axes.text(
                column, row, f"{value:.3f}", ha="center", va="center", fontsize=9,
                color="white" if light else "black",
            )  # fmt: skip
        axes.set_xticks(range(len(names)), names, rotation=30)
        axes.set_yticks(range(len(names)), names)
        axes.set(title=title, xlabel="decoder (output)")
    panels[0].set(ylabel="encoder (hidden)")
    figure.suptitle(f"test RMSE; yellow: {_READABLE} or worse")
    return figure
