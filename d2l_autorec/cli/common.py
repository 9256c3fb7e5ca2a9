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


_COLUMNS = "user=NAME,item=NAME,rating=NAME, or positions from 1. Found by itself."
_NOT_RATED = "A rating that means 'not rated', such as -1. May be repeated."
_READING: dict[str, tuple[Any, str, Any]] = {
    "columns": (Optional[str], _COLUMNS, None),
    "sep": (Optional[str], "Between fields: ',', ';', '::', tab, space.", None),
    "decimal": (Optional[str], "Decimal sign of the ratings: . or ,", None),
    "encoding": (Optional[str], "Of the text: utf-8, latin-1, cp1251, ...", None),
    "not_rated": (Optional[list[str]], _NOT_RATED, None),
    "titles": (Optional[Path], "File of titles with a header.", None),
    "duplicates": (str, "Of several ratings of a pair: latest, mean or error.", "latest"),
}


def _of_reading(kind: Any, text: str) -> Any:
    option = typer.Option(help=text, rich_help_panel="How the ratings file is read")
    return Annotated[kind, option]


READING = {
    name: (_of_reading(kind, text), default) for name, (kind, text, default) in _READING.items()
}
"""The options that `reads_ratings` gives to a command, and their defaults."""

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


Options = dict[str, tuple[Any, Any]]
"""The annotation and the default of each option."""


def give_options(
    wrapper: Callable[..., None], own: inspect.Signature, instead_of: set[str], options: Options
) -> None:
    """Let Typer see a function with some options in place of some parameters of its own."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    kept = [p.replace(kind=keyword) for p in own.parameters.values() if p.name not in instead_of]
    kept += [
        inspect.Parameter(option, keyword, default=default, annotation=kind)
        for option, (kind, default) in options.items()
    ]
    wrapper.__signature__ = own.replace(parameters=kept)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in kept}


def with_options(
    name: str, options: Options, make: Callable[[dict[str, Any]], Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command options, and their values as one argument.

    The command takes what ``make`` returns of the values as its argument ``name``.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(**given: Any) -> None:
            said = {option: given.pop(option) for option in options}
            command(**given, **{name: make(said)})

        give_options(wrapper, inspect.signature(_resolved(command)), {name}, options)
        del wrapper.__wrapped__
        return wrapper

    return decorate


def _reading(said: dict[str, Any]) -> ReadOptions:
    return ReadOptions(
        columns=parse_columns(said["columns"]) if said["columns"] else {},
        separator=said["sep"],
        decimal=said["decimal"],
        encoding=said["encoding"],
        not_rated=tuple(said["not_rated"] or ()),
        titles=said["titles"],
        duplicates=said["duplicates"],
    )


reads_ratings = with_options("reading", READING, _reading)
"""Gives a command the options that say how a ratings file is read, as one `ReadOptions`."""


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
