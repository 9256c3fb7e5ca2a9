"""What the subcommands share: the application, options, notices and the table at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from d2l_autorec import __version__, runtime
from d2l_autorec.errors import plain

app = typer.Typer(
    help="AutoRec, the chapter of Dive into Deep Learning: reproduce it and use it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Optional[Path],
    typer.Option(help="MovieLens 100K: its folder, ml-100k.zip or u.data. Found by itself."),
]
Ratings = Annotated[
    Optional[Path],
    typer.Option(help="CSV, TSV, Parquet or MovieLens. MovieLens 100K if left out."),
]
Out = Annotated[Optional[Path], typer.Option(help="New folder for the run.")]
Seed = Annotated[int, typer.Option(min=0, help="For both random generators.")]
Devices = Annotated[str, typer.Option(help="cpu, cpu:2, gpu or gpu:0,1.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no notices.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def tell(text: str | None, quiet: bool) -> None:
    """Write a notice to standard error, where there is one."""
    if text and not quiet:
        typer.echo(text, err=True)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Handle what stands before a subcommand."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand != "launch":  # there, each worker gets its share of the cores
        runtime.set_threads()


def report(
    folder: Path,
    record: dict[str, Any],
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    as_json: bool,
) -> None:
    """Print what a run came to: as JSON for programs, else as a table."""
    if as_json:
        typer.echo(json.dumps({**record, "folder": str(folder)}))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for i, title in enumerate(header):
        # Text: what looks like markup is none, and the name may come from a file
        table.add_column(Text(plain(title)), justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    typer.echo(f"run.json, history.csv, curve.png and curve.svg are in {folder}")
