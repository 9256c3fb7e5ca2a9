"""The drawing of the network, for the README, the site, the lecture and lesson 4.

``python -m d2l_autorec.course.drawing FOLDER`` writes it there as PNG and SVG.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2l_autorec import runs
from d2l_autorec.plots import OTHER, images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READ = ("5", "", "3", "", "", "4", "")
"""An example of the ratings of one film, in the order of the users; empty where there is none."""

GIVEN_BACK = ("4.8", "4.1", "3.1", "2.7", "3.9", "4.2", "3.4")
UNITS = 5  # drawn of the 500
PREDICTED = "#a84300"  # an orange that is readable on white
HEIGHT = 0.86  # of a cell, where two rows are 1 apart


def network() -> Figure:
    """Return a drawing of item-based AutoRec: ratings with gaps, hidden code, all ratings.

    It is 4.7 inches wide, so that its text is readable on a telephone. The background is white
    and opaque, for dark viewers.
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.7, 4.1), facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-1.15, 11.3), ylim=(8.4, -1.6), aspect="auto")
    axes.set_axis_off()
    rows, units = range(len(READ)), [row + 1 for row in range(UNITS)]
    for row in rows:
        for unit in units:
            known = bool(READ[row])
            axes.plot((1.1, 4.6), (row, unit), color=OTHER if known else "0.88", lw=0.7, zorder=1)
            axes.plot((5.4, 8.9), (unit, row), color="0.75", lw=0.7, zorder=1)
    steps = np.linspace(-8, 8, 30)
    for unit in units:
        axes.plot(5, unit, "o", ms=19, mfc="white", mec=OTHER, mew=1.6, zorder=2)
        bent = unit - 0.22 * np.tanh(steps / 3)
        axes.plot(5 + 0.03 * steps, bent, color=OTHER, lw=1.2, zorder=3)
    for row in rows:
        axes.text(-0.25, row, f"user {row + 1}", ha="right", va="center", fontsize=8, color="0.3")
        _cell(axes, 0, row, READ[row], "#dbe9f6" if READ[row] else "white")
        _cell(axes, 9, row, GIVEN_BACK[row], "white" if READ[row] else "#ffe2c4")
    axes.text(5, 6.05, "⋮", ha="center", va="center", fontsize=14)
    words: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10.5}
    titles = {0.5: "ratings of\none film", 5: "500 sigmoid\nunits", 9.8: "a rating for\neverybody"}
    for x, text in titles.items():
        axes.text(x, -1, text, weight="bold", **words)
    for x, text in ((2.85, "encoder"), (7.15, "decoder")):
        axes.text(x, 6.75, text, style="italic", color="0.2", **words)
    axes.text(0.5, 7.65, "no rating:\nread as 0", color="0.3", **words)
    axes.text(9.8, 7.65, "where none was:\na prediction", color=PREDICTED, **words)
    return figure


def _cell(axes: Axes, x: float, row: int, text: str, color: str) -> None:
    """Draw one rating, or a gap."""
    from matplotlib.patches import Rectangle

    width, corner = 1.0 if x == 0 else 1.6, (x, row - HEIGHT / 2)
    style = "-" if text else ":"
    axes.add_patch(Rectangle(corner, width, HEIGHT, fc=color, ec="0.4", lw=1, ls=style))
    axes.text(x + width / 2, row, text, ha="center", va="center", fontsize=10)


def write(folder: Path) -> None:
    """Write the drawing as ``network.png`` and ``network.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, data in images(network()).items():
        runs.write(folder / f"network.{kind}", data)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
