"""What the subcommands share: the application, options, notices and the table at the end."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Callable, Optional, get_type_hints

import typer

from d2l_autorec import __version__, runtime
from d2l_autorec.cli.groups import Commands, group_of
from d2l_autorec.cli.tables import grid
from d2l_autorec.data.options import ReadOptions, parse_columns


class _App(typer.Typer):
    """A Typer that reads annotations which are text, as Typer itself does from Python 3.10 on."""

    def command(self, name: str | None = None, **options: Any) -> Callable[..., Any]:
        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            group = group_of(name or function.__name__.replace("_", "-"))
            return command(name, rich_help_panel=group, **options)(_resolved(function))

        command = super().command
        return add

    def callback(self, **options: Any) -> Callable[..., Any]:
        add = super().callback(**options)
        return lambda function: add(_resolved(function))


def _resolved(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function a signature whose annotations are objects, and return it."""
    signature = inspect.signature(function)
    # of a class: of a function with the default None, Python 3.9 and 3.10 make the hint Optional
    holder = type(function.__name__, (), {"__annotations__": function.__annotations__})
    hints = get_type_hints(holder, function.__globals__, include_extras=True)
    parameters = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return function


app = _App(
    help="AutoRec, the chapter of Dive into Deep Learning: reproduce it and use it.",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _reading(name: str, kind: Any, text: str, default: Any = None) -> inspect.Parameter:
    kind = Optional[kind] if default is None else kind
    option = typer.Option(help=text, rich_help_panel="How the ratings file is read")
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=Annotated[kind, option])


_READING = (
    _reading(
        "columns", str, "user=NAME,item=NAME,rating=NAME, or positions from 1. Found by itself."
    ),
    _reading("sep", str, "Between fields: ',', ';', '::', tab, space."),
    _reading("decimal", str, "Decimal sign of the ratings: . or ,"),
    _reading("encoding", str, "Of the text: utf-8, latin-1, cp1251, ..."),
    _reading(
        "not_rated", list[str], "A rating that means 'not rated', such as -1. May be repeated."
    ),
    _reading("titles", Path, "File of titles with a header."),
    _reading("duplicates", str, "Of several ratings of a pair: latest, mean or error.", "latest"),
)
READING = tuple(parameter.name for parameter in _READING)
"""The options that `reads_ratings` gives to a command."""

Data = Annotated[
    Optional[Path],
    typer.Option(help="MovieLens 100K: its folder, ml-100k.zip or u.data. Found by itself."),
]
Ratings = Annotated[
    Optional[Path],
    typer.Option(help="CSV, TSV, Parquet or MovieLens. MovieLens 100K if left out."),
]
Out = Annotated[Optional[Path], typer.Option(help="New folder for the run.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="For both random generators.")]
Devices = Annotated[str, typer.Option(help="cpu, cpu:2, gpu or gpu:0,1.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no notices.")]
Model = Annotated[Path, typer.Option(help="Model folder, or the folder of a run that kept one.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def reads_ratings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how a ratings file is read.

    The command takes them as one argument ``reading``, a `d2l_autorec.data.options.ReadOptions`.
    """

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        said = {name: given.pop(name) for name in READING}
        columns, separator = said.pop("columns"), said.pop("sep")
        said["columns"] = parse_columns(columns) if columns else {}
        said["not_rated"] = tuple(said["not_rated"] or ())
        command(**given, reading=ReadOptions(separator=separator, **said))

    own = inspect.signature(_resolved(command))
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own.parameters.values()
        if parameter.name != "reading"
    ]
    parameters = [*kept, *_READING]
    wrapper.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    del wrapper.__wrapped__
    return wrapper


def stands_there(context: typer.Context, name: str) -> bool:
    """Whether an option was given on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Handle what stands before a subcommand."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)  # with Rich, Typer has printed it
        raise typer.Exit
    if context.invoked_subcommand != "launch":  # there, each worker gets its share of the cores
        runtime.set_threads()


def report(
    folder: Path,
    record: dict[str, Any],
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    as_json: bool,
    left: str = "run.json, history.csv, curve.png and curve.svg are",
) -> None:
    """Print what a run came to: as JSON for programs, else as a table and what it has left."""
    if as_json:
        typer.echo(json.dumps({**record, "folder": str(folder)}))
        return
    grid(header, rows)
    typer.echo(f"{left} in {folder}")
