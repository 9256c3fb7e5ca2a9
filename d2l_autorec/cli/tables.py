"""Printing tables: as text, as JSON or as CSV.

Titles and ids come from untrusted files. Control characters, Rich's markup and cells that a
spreadsheet would run as formulas are made harmless.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from d2l_autorec.errors import InputError, plain
from d2l_autorec.serving.records import records

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.serving.model import Model

FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # the last four are those of full width
"""What a formula begins with in one spreadsheet or another."""

MIN_WIDTH = 12

Formats = Mapping[str, tuple[str, str]]
FORMATS = {
    "user": ("user", ""),
    "rank": ("", "d"),
    "item": ("item", ""),
    "title": ("title", ""),
    "prediction": ("predicted", ".2f"),
    "similarity": ("similarity", ".2f"),
    "rating": ("rated", "g"),
    "without": ("without it", ".3f"),
    "change": ("change", "+.3f"),
    "num_ratings": ("ratings", ",d"),
    "num_read": ("ratings read", ",d"),
}
"""Heading and format of each column for people; the year is put behind the title."""


def csv_cell(value: Any) -> Any:
    """Return a value that is harmless in a terminal and that no spreadsheet takes for a formula.

    A text is made `plain`, and gets an apostrophe where it begins as a formula does; the JSON has
    it to the last character.
    """
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def check_one_form(as_json: bool, as_csv: bool) -> None:
    """Raise an InputError if both JSON and CSV are asked for."""
    if as_json and as_csv:
        raise InputError("--json and --csv exclude each other; give one of them.")


def show(
    table: pd.DataFrame,
    record: dict[str, Any],
    as_json: bool,
    as_csv: bool = False,
    formats: Formats = FORMATS,
    remedy: str = "a lower --min-ratings",
) -> None:
    """Print a table: for people the columns of ``formats``, as JSON or CSV all.

    JSON has the record beside the ``rows``. Where there is no row, the remedy may leave more.
    """
    check_one_form(as_json, as_csv)
    if as_json:
        typer.echo(json.dumps({**record, "rows": records(table)}))
    elif as_csv:
        print_csv([table])
    elif len(table):
        _print(table, formats)
    else:
        say(f"Nothing is left to show; {remedy} may leave more.")


def print_csv(blocks: Iterable[pd.DataFrame]) -> None:
    """Print a table as CSV, block by block."""
    for number, block in enumerate(blocks):
        typer.echo(to_csv(block, header=number == 0), nl=False)


def show_lists(
    model: Model,
    table: pd.DataFrame,
    record: dict[str, Any],
    as_json: bool,
    as_csv: bool,
    formats: Formats = FORMATS,
) -> None:
    """Print recommendations, and how diverse each list is."""
    from d2l_autorec.serving.similar import basis, diversity

    if not as_csv:  # which has no room for it
        lists = diversity(model, table)
        record["diversity"] = {"compared": basis(model, "item"), "lists": records(lists)}
    remedy = "a lower --min-ratings or a wider choice of items"
    show(table, record, as_json, as_csv, formats, remedy)
    if as_json or as_csv or lists["intra_list"].isna().all():
        return
    known = lists[lists["intra_list"].notna()]
    text = "Diversity" if len(lists) == 1 else f"Diversity, mean of {len(known):,} lists"
    text += f": {known['intra_list'].mean():.2f} (0: all alike, 1: as if drawn at random)"
    if (known["num_genres"] >= 0).all():
        text += f", genres: {known['num_genres'].mean():.3g}"
    say(f"{text}.")


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """Print a table of texts, the first columns aligned to the left, the others to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for i, heading in enumerate(headings):
        # Text: what looks like markup is none, and the name may come from a file
        table.add_column(Text(plain(heading)), justify="left" if i < left else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def say(text: str) -> None:
    """Print a sentence, harmless, with lines that fit the terminal."""
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(plain(text)))


def to_csv(table: pd.DataFrame, header: bool = True) -> str:
    """Return the table as CSV that is safe to open in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(table.columns)
    writer.writerows(map(csv_cell, row.values()) for row in records(table))
    return text.getvalue()


def titled(row: Mapping[str, Any]) -> str:
    """Return a title with its year, harmless; the empty string where there is none."""
    year = f" ({row['year']})" if row.get("year") is not None else ""
    return plain((row.get("title") or "") + year)


def _print(table: pd.DataFrame, formats: Formats) -> None:
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows, console = records(table), Console()
    shown = {str(name): formats[name] for name in table.columns if name in formats}
    columns = {name: [_cell(row, name, form) for row in rows] for name, (_, form) in shown.items()}
    widths = {
        name: max(map(cell_len, [shown[name][0], *cells])) for name, cells in columns.items()
    }
    # 3 a column go for the space between
    _narrow(widths, console.width - 3 * len(widths) - 1)
    grid = Table(box=box.SIMPLE_HEAD)
    for name, (heading, form) in shown.items():
        justify: Any = "right" if form else "left"
        cut = name == "title"  # an id goes on in the next line
        overflow: Any = "ellipsis" if cut else "fold"
        grid.add_column(
            heading, justify=justify, no_wrap=cut, overflow=overflow, width=widths[name]
        )
    for row in zip(*columns.values()):
        grid.add_row(*map(Text, row))  # Text: what looks like markup is none
    console.print(grid)


def _narrow(widths: dict[str, int], room: int) -> None:
    """Take from the title, then from the wider of the ids, until the columns fit."""
    for names in (("title",), ("user", "item")):
        while sum(widths.values()) > room:
            wide = {name: widths[name] for name in names if widths.get(name, 0) > MIN_WIDTH}
            if not wide:
                break
            widths[max(wide, key=wide.__getitem__)] -= 1


def _cell(row: Mapping[str, Any], name: str, form: str) -> str:
    if name == "title":
        return titled(row)
    return "" if row[name] is None else plain(format(row[name], form))
