"""Experiments beyond the chapter: ``paper`` and ``best``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from d2l_autorec.cli.common import Json, Quiet, app

Named = Annotated[
    Optional[Path],
    typer.Option(help="ml-1m.zip or a CSV: all questions. MovieLens 100K is always followed."),
]
Splits = Annotated[int, typer.Option(min=1, help="Random splits to measure on.")]


@app.command()
def paper(
    data: Named = None,
    splits: Splits = 5,
    out: Annotated[Path, typer.Option(help="For the results; goes on there.")] = Path(
        "results/paper"
    ),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Follow the paper's objective and protocol and set its figures beside ours."""
    from d2l_autorec import doctor

    doctor.preflight()
    from d2l_autorec.experiments.paper import paper as experiment

    _show(experiment(out, data, splits, quiet), out, as_json)


@app.command()
def best(
    splits: Splits = 10,
    out: Annotated[Path, typer.Option(help="For the results; goes on there.")] = Path(
        "results/best"
    ),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find how low an AutoRec gets on MovieLens 100K, one ingredient after the other."""
    from d2l_autorec import doctor

    doctor.preflight()
    from d2l_autorec.experiments.best import best as experiment

    _show(experiment(out, splits, quiet), out, as_json)


def _show(table: Any, out: Path, as_json: bool) -> None:
    from d2l_autorec.cli.tables import show

    show(table, {name: (name, "") for name in table.columns}, {"folder": str(out)}, as_json)
    if not as_json:
        typer.echo(f"All tables and figures are in {out}")
