"""The cost of an epoch against ratings and against cells, both axes logarithmic."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.sizes import LARGE
from d2l_autorec.experiments.plots import tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "fast": "MXNet dense (fast)",
    "sparse": "sparse",
    LARGE: LARGE,
    "torch": "PyTorch, default Adam",
    "torch-fused": "PyTorch, fused Adam",
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
    """Draw what was measured; nothing where no training was."""
    from matplotlib.figure import Figure

    lines = {engine: points(record, engine) for engine in LABELS}
    lines = {engine: found for engine, found in lines.items() if found}
    if not lines:
        return None
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    for i, (axes, of) in enumerate(zip(figure.subplots(1, 2, sharey=True), ("ratings", "cells"))):
        for engine, found in lines.items():
            x, y = [point[i] for point in found], [point[2] for point in found]
            label = LABELS[engine]
            if len(found) > 1:
                label += f": slope {slope(x, y):.2f}"
            axes.loglog(x, y, marker="o", markersize=4, label=label)
        axes.set(xlabel=of if i == 0 else "cells of the matrix")
        axes.legend(frameon=False, fontsize=8)
        tidy(axes)
        if i == 0:
            axes.set(ylabel="seconds of an epoch")
    return figure
