"""The lab's two curves, as options of ECharts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from d2l_autorec.config import CHAPTER
from d2l_autorec.course.lab.trainings import Training

NEWEST = "#ff7f0e"
EARLIER = ("#9467bd", "#17becf", "#8c564b", "#bcbd22")
"""Colours of the runs before the newest, the latest of them first."""


@dataclass(frozen=True)
class Line:
    """An RMSE to compare with.

    Attributes
    ----------
    name : str
    rmse : float
    color : str
    """

    name: str
    rmse: float
    color: str


def options(
    runs: Sequence[tuple[Training, str]],
    what: str,
    lines: Sequence[Line] = (),
    most: float | None = None,
) -> dict[str, Any]:
    """Return the options of a chart with a curve for each run over its epochs.

    Parameters
    ----------
    runs : sequence of (Training, str)
        With their colours, the one on top last.
    what : {"rmse", "train_loss"}
    lines : sequence of Line
        Drawn dashed.
    most : float, optional
        The upper end of the axis; by default all that is there shows.
    """
    last = max([run.settings.num_epochs for run, _ in runs], default=CHAPTER.num_epochs)
    curves = [
        _series(
            [[epoch.epoch, getattr(epoch, what)] for epoch in run.epochs],
            color,
            showSymbol=len(run.epochs) < 2,
        )
        for run, color in runs
    ]
    dashed = [
        _series([[0, line.rmse], [last, line.rmse]], line.color, "dashed", showSymbol=False)
        for line in lines
    ]
    name = {"rmse": "test RMSE (stars)", "train_loss": "train loss"}[what]
    axis = {"nameLocation": "middle", "nameTextStyle": {"color": "#333"}}
    return {
        "animation": False,
        "grid": {"left": 58, "right": 16, "top": 12, "bottom": 46},
        "xAxis": {
            **axis,
            "type": "value",
            "min": 0,
            "max": last,
            "minInterval": 1,
            "name": "epoch",
            "nameGap": 28,
        },
        "yAxis": {
            **axis,
            "type": "value",
            "scale": what == "rmse",
            **({} if most is None else {"max": math.ceil(most * 20) / 20}),
            "name": name,
            "nameGap": 42,
            "splitNumber": 5 if what == "rmse" else 3,
        },
        "series": [*dashed, *curves],
    }


def _series(data: list[list[Any]], color: str, kind: str = "solid", **more: Any) -> dict[str, Any]:
    line = {"type": kind, "width": 2 if kind == "dashed" else 3}
    return {
        "type": "line",
        "data": data,
        "color": color,
        "lineStyle": line,
        "symbolSize": 7,
        **more,
    }
