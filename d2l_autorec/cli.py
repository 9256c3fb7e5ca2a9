"""The subcommands; each one calls one function. MXNet is imported when a command needs it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from d2l_autorec import __version__
from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError

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
Out = Annotated[Optional[Path], typer.Option(help="New folder for the run.")]
Seed = Annotated[int, typer.Option(min=0, help="For both random generators.")]
Devices = Annotated[str, typer.Option(help="cpu, cpu:2, gpu or gpu:0,1.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no notices.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _notice(text: str | None, quiet: bool) -> None:
    if text and not quiet:
        typer.echo(text, err=True)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Handle what stands before a subcommand."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def reproduce(
    seed: Seed = 0,
    devices: Devices = "cpu",
    epochs: Annotated[int, typer.Option(min=1, help="The book trains 25.")] = CHAPTER.num_epochs,
    data: Data = None,
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the chapter as printed and set its result beside the book's."""
    from d2l_autorec import doctor, runs, runtime

    doctor.preflight()
    contexts, notice = runtime.parse_devices(devices)
    _notice(notice, quiet)
    from d2l_autorec.data.sources import load_ml100k
    from d2l_autorec.experiments import reproduce as experiment

    ratings = load_ml100k(data, quiet=quiet)
    experiment.check(ratings, contexts)
    folder = runs.new_folder(out, f"reproduce-seed{seed}")
    result, training = experiment.reproduce(ratings, seed, contexts, epochs, quiet)
    epoch_rows = zip(range(1, epochs + 1), training.train_loss, training.test_rmse)
    runs.save(folder, result.record(), experiment.COLUMNS, epoch_rows)
    if as_json:
        typer.echo(json.dumps({**result.record(), "folder": str(folder)}))
    else:
        _print_table(("", "the book", "this run"), result.rows())
        typer.echo(f"run.json, history.csv, curve.png and curve.svg are in {folder}")


@app.command()
def doctor() -> None:
    """Check whether this machine can run the package, and say what to do if not."""
    from d2l_autorec import doctor as checks

    failed = 0
    for check in [*checks.quick_checks(), checks.check_import()]:
        failed += bool(check.remedy)
        typer.echo(f"{'NO ' if check.remedy else 'ok '} {check.name}: {check.found}")
        if check.remedy:
            typer.echo(f"    {check.remedy}")
    if failed:
        raise InputError(f"{failed} of the checks above failed; follow their remedies in order.")


def _print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for i, title in enumerate(header):
        table.add_column(title, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
