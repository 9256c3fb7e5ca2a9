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
    pages: Annotated[
        bool, typer.Option("--pages", help="Also write README.md into each folder of results.")
    ] = False,
) -> None:
    """Write all results as one HTML page, from the stored tables and figures."""
    from d2l_autorec.experiments.report import write_pages, write_report

    names = write_report(results, out)
    typer.echo(f"{out}: {', '.join(names)}")
    if pages:
        typer.echo(f"{len(write_pages(results))} pages below {results}")
