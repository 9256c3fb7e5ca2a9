"""The commands ``paper``, ``best``, ``foldin``, ``updating`` and ``own-data``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from d2l_autorec.cli.common import Json, Quiet, app
from d2l_autorec.cli.experiments_chapter import Folder, Quick, begin, end

if TYPE_CHECKING:
    import pandas as pd

Named = Annotated[
    Optional[Path],
    typer.Option(help="ml-1m.zip or a CSV: all questions. MovieLens 100K is always measured."),
]
Splits = Annotated[int, typer.Option(min=2, help="Random splits: seeds 0, 1, ...")]

Searched = Annotated[
    Optional[int],
    typer.Option(min=2, help="Splits with a search inside the training part, if fewer."),
]
Slow = Annotated[
    Optional[int],
    typer.Option(
        min=1, help="Of deep pre-training and other libraries, if fewer; stored ones count too."
    ),
]
SlowSplits = Annotated[
    Optional[int],
    typer.Option(
        min=0, help="Of all models but the mean and biases, if fewer; stored ones count too."
    ),
]


@app.command()
def paper(
    data: Named = None,
    splits: Splits = 5,
    slow_splits: Slow = None,
    quick: Quick = False,
    out: Folder = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare with the paper's results (about a minute on two cores; with ML-1M over an hour)."""
    folder = begin("paper", out, quick)
    from d2l_autorec.experiments.paper import paper as experiment

    table = experiment(
        folder, data, 2 if quick else splits, quiet, quick=quick, slow_splits=slow_splits
    )
    _show("paper", table, folder, as_json, quick)


@app.command()
def best(
    splits: Splits = 10,
    searched: Searched = None,
    quick: Quick = False,
    out: Folder = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Lower AutoRec's RMSE on MovieLens 100K step by step (about 30 minutes on two cores)."""
    folder = begin("best", out, quick)
    from d2l_autorec.experiments.best import best as experiment

    splits = 2 if quick else splits
    _show("best", experiment(folder, splits, searched, quiet, quick=quick), folder, as_json, quick)


@app.command()
def foldin(
    seeds: Annotated[int, typer.Option(min=2, help="Draws of the new users.")] = 5,
    quick: Quick = False,
    out: Folder = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the predictions for new users (about a minute on two cores)."""
    folder = begin("foldin", out, quick)
    from d2l_autorec.experiments.foldin import foldin as experiment

    table = experiment(folder, 2 if quick else seeds, quiet, quick=quick)
    _show("foldin", table, folder, as_json, quick)


@app.command()
def updating(
    splits: Splits = 10,
    quick: Quick = False,
    out: Folder = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure `update` against training again (about 3 minutes on two cores)."""
    folder = begin("updating", out, quick)
    from d2l_autorec.experiments.updating import updating as experiment

    table = experiment(folder, 2 if quick else splits, quiet, quick=quick)
    _show("updating", table, folder, as_json, quick)


@app.command("own-data")
def own_data(
    sets: Annotated[list[str], typer.Argument(help="Data sets, each as NAME=FILE.")],
    splits: Splits = 5,
    slow_splits: SlowSplits = None,
    quick: Quick = False,
    out: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Score recipes and libraries on data of your own (about 5 minutes on two cores a set)."""
    folder = begin("own-data", out, quick)
    from d2l_autorec.experiments import own_data as experiment

    named = experiment.parse_sets(sets)
    splits, names = (2, experiment.QUICK) if quick else (splits, None)
    end(folder, experiment.own_data(folder, named, splits, slow_splits, names, quiet, quick))


def _show(name: str, table: pd.DataFrame, folder: Path, as_json: bool, quick: bool) -> None:
    """Print the table of an experiment, and how many runs were read and made."""
    from d2l_autorec.experiments.runner import tally
    from d2l_autorec.experiments.stored import SMOKE
    from d2l_autorec.serving.records import records

    if as_json:
        counts = {"read": len(tally.read), "made": len(tally.made)}
        record = {"command": name, "folder": str(folder), "quick": quick, **counts}
        record["rows"] = records(table)
        typer.echo(json.dumps(record))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(table.columns):
        grid.add_column(heading, no_wrap=i > 0)  # a number is never broken
    for row in table.itertuples(index=False):
        grid.add_row(*map(str, row))
    Console().print(grid)
    end(folder, [SMOKE] if quick else [])
