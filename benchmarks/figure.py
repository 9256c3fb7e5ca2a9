"""The cost of an epoch against ratings and against cells, both axes logarithmic."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.sizes import LARGE
from d2l_autorec import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "fast": "MXNet dense (fast)",
    "sparse": "sparse",
    LARGE: LARGE,
    "torch": "PyTorch, default Adam",
    "torch-fused": "PyTorch, fused Adam",
}
# Lines that lie on each other stay visible: a wide pale one below a thin dashed one.
STYLES: dict[str, dict[str, Any]] = {
    "fast": {"marker": "o", "lw": 4, "alpha": 0.4, "color": "tab:blue"},
    "sparse": {"marker": "o", "color": "tab:orange"},
    LARGE: {"marker": "s", "color": "tab:green"},
    "torch": {"marker": "^", "ls": "--", "color": "tab:red"},
    "torch-fused": {"marker": "v", "ls": ":", "color": "tab:purple"},
}


def points(record: dict[str, Any], engine: str) -> list[tuple[int, int, float]]:
    """Ratings, cells and median seconds of an epoch, at each size measured."""
    found = []
    for part in record["parts"].values():
        if part["part"] != "train":
            continue
        values = [r["value"] for r in part["readings"] if r["case"] == engine]
        if values:
            found.append((part["ratings"], part["cells"], median(values)))
    return sorted(found)


def slope(x: Any, y: Any) -> float:
    """Exponent of the power law through some points."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def cost(record: dict[str, Any]) -> Figure | None:
    """Draw the medians against ratings and against cells; None if no training was measured."""
    lines = {engine: points(record, engine) for engine in LABELS}
    lines = {engine: found for engine, found in lines.items() if found}
    if not lines:
        return None
    figure, panels = plots.frame(4.4, 2, sharey=True)
    for i, (axes, of) in enumerate(zip(panels, ("ratings", "cells of the matrix"))):
        for engine, found in lines.items():
            x, y = [point[i] for point in found], [point[2] for point in found]
            label = LABELS[engine]
            if len(found) > 2:  # two points make no slope
                label += f": slope {slope(x, y):.2f}"
            axes.loglog(x, y, markersize=6, label=label, **STYLES[engine])
        axes.set(xlabel=of)
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.45, -0.16))
    panels[0].set(ylabel="seconds of an epoch")
    return figure
