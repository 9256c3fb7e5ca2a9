"""The commands ``doctor``, ``install-mxnet`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from d2l_autorec.cli.common import Quiet, app
from d2l_autorec.progress import tell


@app.command("install-mxnet")
def install_mxnet(quiet: Quiet = False) -> None:
    """Add MXNet and d2l, which no resolver accepts beside today's NumPy."""
    from d2l_autorec import stack

    tell("Installing MXNet and d2l; that is 50 MB to download where they are missing.", quiet)
    added = stack.install()
    typer.echo(f"Added: {', '.join(added)}." if added else "Nothing to add: all is there.")


@app.command()
def doctor() -> None:
    """Check whether this machine can run the package, and say what to do if not."""
    from d2l_autorec import doctor as checks

    first = ""
    for part, found in checks.checks():
        typer.echo(part)
        for check in found:
            first = first or check.remedy
            typer.echo(f"{'NO ' if check.remedy else 'ok '} {check.name}: {check.found}")
            if check.remedy:
                typer.echo(f"    {check.remedy}")
    typer.echo(f"Next: {first.partition('Run: ')[2] or first or 'd2l-autorec reproduce'}")
    if first:
        raise typer.Exit(2)


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
