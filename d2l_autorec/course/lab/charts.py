"""The lab's two curves, as options of ECharts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from d2l_autorec.config import CHAPTER
from d2l_autorec.course.lab.trainings import Training

NEWEST = "#ff7f0e"
EARLIER = ("#9467bd", "#17becf", "#8c564b", "#bcbd22")
"""Colours of the runs before the newest, the latest of them first."""


class Line(NamedTuple):
    """An RMSE to compare with."""

    name: str
    rmse: float
    color: str


def options(
    runs: Sequence[tuple[Training, str]],
    what: str,
    lines: Sequence[Line] = (),
    most: float | None = None,
) -> dict[str, Any]:
    """Return the options of a chart with a curve of "rmse" or "train_loss" for each run.

    The runs come with their colours, the one on top last; the lines are dashed. The axis ends at
    ``most``, or else shows all that is there.
    """
    last = max([run.settings.num_epochs for run, _ in runs], default=CHAPTER.num_epochs)
    series = [
        _series([[0, line.rmse], [last, line.rmse]], line.color, "dashed", 2) for line in lines
    ]
    for run, color in runs:
        points = [[epoch.epoch, getattr(epoch, what)] for epoch in run.epochs]
        series.append(_series(points, color, "solid", 3, showSymbol=len(points) < 2))
    axis = {"type": "value", "nameLocation": "middle", "nameTextStyle": {"color": "#333"}}
    x = {**axis, "name": "epoch", "nameGap": 28, "min": 0, "max": last, "minInterval": 1}
    y = {**axis, "name": "train loss", "nameGap": 42, "scale": False, "splitNumber": 3}
    if what == "rmse":
        y.update(name="test RMSE (stars)", scale=True, splitNumber=5)
    if most is not None:
        y["max"] = math.ceil(most * 20) / 20
    grid = {"left": 58, "right": 16, "top": 12, "bottom": 46}
    return {"animation": False, "grid": grid, "xAxis": x, "yAxis": y, "series": series}


def _series(
    data: list[list[Any]], color: str, kind: str, width: int, showSymbol: bool = False
) -> dict[str, Any]:
    line = {"type": "line", "data": data, "color": color, "symbolSize": 7}
    return {**line, "lineStyle": {"type": kind, "width": width}, "showSymbol": showSymbol}
