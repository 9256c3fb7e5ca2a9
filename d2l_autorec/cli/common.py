"""What the subcommands share: the application, options, notices and the table at the end."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Callable, Optional, get_args, get_type_hints

import typer

from d2l_autorec import __version__, runtime
from d2l_autorec.cli.groups import Commands, group_of
from d2l_autorec.data.options import ReadOptions, parse_columns
from d2l_autorec.errors import plain


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

Data = Annotated[
    Optional[Path],
    typer.Option(help="MovieLens 100K: its folder, ml-100k.zip or u.data. Found by itself."),
]
Ratings = Annotated[
    Optional[Path],
    typer.Option(help="CSV, TSV, Parquet or MovieLens. MovieLens 100K if left out."),
]
Columns = Annotated[
    Optional[str],
    typer.Option(help="user=NAME,item=NAME,rating=NAME, or positions from 1. Found by itself."),
]
Separator = Annotated[
    Optional[str], typer.Option("--sep", help="Between fields: ',', ';', '::', tab, space.")
]
Decimal = Annotated[Optional[str], typer.Option(help="Decimal sign of the ratings: . or ,")]
Encoding = Annotated[Optional[str], typer.Option(help="Of the text: utf-8, latin-1, cp1251, ...")]
NotRated = Annotated[
    Optional[list[str]],
    typer.Option(help="A rating that means 'not rated', such as -1. May be repeated."),
]
Titles = Annotated[Optional[Path], typer.Option(help="File of titles with a header.")]
Duplicates = Annotated[
    str, typer.Option(help="Of several ratings of a pair: latest, mean or error.")
]
READING = {
    "columns": (Columns, None),
    "sep": (Separator, None),
    "decimal": (Decimal, None),
    "encoding": (Encoding, None),
    "not_rated": (NotRated, None),
    "titles": (Titles, None),
    "duplicates": (Duplicates, "latest"),
}
"""The options that `reads_ratings` gives to a command, and their defaults."""
for _kind, _ in READING.values():
    get_args(_kind)[1].rich_help_panel = "How the ratings file is read"
Out = Annotated[Optional[Path], typer.Option(help="New folder for the run.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="For both random generators.")]
Devices = Annotated[str, typer.Option(help="cpu, cpu:2, gpu or gpu:0,1.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no notices.")]
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
    typer.echo(f"{left} in {folder}")
