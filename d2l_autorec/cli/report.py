"""The command ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from d2l_autorec.cli.common import app


@app.command()
def report(
    results: Annotated[Path, typer.Option(help="Folder with the experiments.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("report.html"),
) -> None:
    """Make one HTML page of all results: question, answer, figure, table, command."""
    from d2l_autorec.experiments.report import write_report

    names = write_report(results, out)
    typer.echo(f"{out}: {', '.join(names)}")
