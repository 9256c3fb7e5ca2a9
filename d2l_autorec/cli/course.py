"""The command ``check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from d2l_autorec.cli.common import Json, app


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Python file with AutoRec and evaluator.")],
    as_json: Json = False,
    seconds: Annotated[float, typer.Option(min=1, help="Time for the submission.")] = 60,
    memory: Annotated[
        float, typer.Option(min=0.1, help="GB that it may use beyond what MXNet takes.")
    ] = 2,
    seed: Annotated[
        Optional[int],  # noqa: UP045  (Typer evaluates it on Python 3.9)
        typer.Option(min=0, help="Of the arrays; drawn anew if left out."),
    ] = None,
    movielens: Annotated[
        bool, typer.Option("--movielens", help="Train on MovieLens 100K too, from the cache.")
    ] = False,
) -> None:
    """Say what is right in your own AutoRec and what is not; exit code 1 if anything is not."""
    from d2l_autorec import doctor

    doctor.preflight()
    from d2l_autorec.course import check_file

    report = check_file(file, seconds, int(memory * 2**30), seed, movielens)
    typer.echo(json.dumps(report.as_record()) if as_json else str(report))
    raise typer.Exit(0 if report.passed else 1)
