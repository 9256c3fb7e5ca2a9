"""Stored results in the form in which pages show them: captions, headings, rounded numbers."""

from __future__ import annotations

import base64
import json
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from d2l_autorec.errors import InputError
from d2l_autorec.experiments import stored


def texts(name: str) -> dict[str, Any]:
    """Read a file of texts that stands beside the templates."""
    toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    path = Path(__file__).parent / "templates" / name
    return toml.loads(path.read_text(encoding="utf-8"))


WORDS = texts("words.toml")
"""The words of the report: ``titles``, ``captions``, ``headings``, ``quantities``, ``terms``."""

MOST_ROWS = 80


@dataclass(frozen=True)
class Column:
    """A column as shown: its heading, and whether it holds text."""

    heading: str
    text: bool


@dataclass(frozen=True)
class Table:
    """A table as shown. ``stem`` is the name of the CSV file, without its ending."""

    stem: str
    caption: str
    columns: list[Column]
    cells: list[list[str]]

    @property
    def rows(self) -> list[list[tuple[Column, str]]]:
        """Return the rows, each cell with its column."""
        return [list(zip(self.columns, row)) for row in self.cells]


@dataclass(frozen=True)
class Figure:
    """A figure as shown: its file without the ending, and its caption."""

    path: Path
    caption: str

    @property
    def stem(self) -> str:
        """Return the name of the file without its ending."""
        return self.path.name

    @property
    def base64(self) -> str:
        """Return the PNG for a data URL."""
        return base64.b64encode(self.path.with_suffix(".png").read_bytes()).decode()


@dataclass(frozen=True)
class Section:
    """An experiment as shown.

    ``name`` is its folder, ``title`` its heading, and ``record`` the file with its settings.
    """

    name: str
    title: str
    question: str
    answer: list[str]
    command: str
    settings: str
    record: str
    figures: list[Figure]
    tables: list[Table]

    @property
    def terms(self) -> dict[str, str]:
        """Return the definitions of the terms that the section uses."""
        parts = [self.question, *self.answer, *(figure.caption for figure in self.figures)]
        for table in self.tables:
            parts += [table.caption, *(column.heading for column in table.columns)]
            parts += [cell for row in table.cells for cell in row]
        text, terms = "\n".join(parts), WORDS["terms"].items()
        return {term: what for term, (where, what) in terms if re.search(where, text, re.M)}


def section(folder: Path) -> Section:
    """Read an experiment, or the run of ``reproduce``; raise an InputError if it is damaged."""
    name = folder.resolve().name
    try:
        found = stored.load(folder)
        if found is None:
            return _run(name, folder)
        settings = {**found.settings, "versions": found.versions}
        word = [*found.command.split(), ""][1]
        kind = {"": name, "bench": "benchmark", "bench-serving": "serving"}.get(word, word)
        figures = [Figure(folder / stem, _caption(kind, f"{stem}.png")) for stem in found.figures]
        for figure in figures:
            figure.path.with_suffix(".png").read_bytes()
        return Section(
            name,
            WORDS["titles"].get(kind, name),
            found.question,
            found.answer,
            found.command,
            json.dumps(settings, indent=1, ensure_ascii=False),
            "experiment.json",
            figures,
            [table(kind, folder / f"{stem}.csv") for stem in found.tables],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{folder / 'experiment.json'} is damaged or incomplete ({error!r}); run that "
            "experiment again."
        ) from None


def _run(name: str, folder: Path) -> Section:
    """Read the folder of ``d2l-autorec reproduce``."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    book, result = record["book"], record["result"]
    return Section(
        name,
        WORDS["titles"]["reproduce"],
        "What does the chapter's code print?",
        [
            f"With seed {result['seed']} the test RMSE is {result['test_rmse']:.3f} after "
            f"{result['num_epochs']} epochs; the book prints {book['test_rmse']}.",
            f"The mean loss of a batch in the last epoch is {result['train_loss']:.4f}, which d2l "
            f"prints as {result['printed_train_loss']}.",
        ],
        f"d2l-autorec reproduce --seed {result['seed']}",
        json.dumps({**record["settings"], "versions": record["versions"]}, indent=1),
        "run.json",
        [Figure(folder / "curve", _caption("reproduce", "curve.png"))],
        [table("reproduce", folder / "history.csv")],
    )


def _caption(kind: str, file: str) -> str:
    """Return the caption of a table or a figure of a kind of experiment."""
    stem, captions = file.rsplit(".", 1)[0], WORDS["captions"]
    return captions.get(f"{kind}/{file}") or captions.get(f"{kind}/{stem}") or f"{stem}."


def table(kind: str, path: Path) -> Table:
    """Read a CSV file of a kind of experiment for readers.

    ``x`` and ``x_half_width`` become one column, columns that repeat one value go into the
    caption, and headings are those of `WORDS`.
    """
    found = pd.read_csv(path, dtype=str, keep_default_na=False).apply(_shown)
    found = found.replace({"key": WORDS["quantities"]})
    caption = [_caption(kind, path.stem)]
    same = [c for c in found.columns[1:] if len(found) > 2 and found[c].nunique() == 1]
    if same:
        said = "; ".join(f"{_heading(column)} {found[column].iloc[0]}" for column in same)
        caption.append(f"In all rows: {said}.")
    if len(found) > MOST_ROWS:
        caption.append(f"These are the first {MOST_ROWS} of {len(found)} rows.")
    shown = _joined(found.drop(columns=same).head(MOST_ROWS))
    columns = [Column(_heading(c), not shown[c].str.fullmatch(_NUMBER).all()) for c in shown]
    return Table(path.stem, " ".join(caption), columns, shown.to_numpy().tolist())


_NUMBER = r"|[-+]?\d[\d.,]*(e-\d+)?(%| [A-Za-z]{1,2}| ±.*)?|at (most|least) .*"
"""A cell that is set to the right."""


def _heading(column: str) -> str:
    return WORDS["headings"].get(column, column)


def _joined(found: pd.DataFrame) -> pd.DataFrame:
    """Join each mean with its half-width."""
    for column in [c for c in found if f"{c}_half_width" in found]:
        half = found.pop(f"{column}_half_width")
        found[column] = found[column].where(half == "", found[column] + " ± " + half)
    return found


def _shown(cells: pd.Series) -> pd.Series:
    """Return a column as readers need it: four decimals at most, and digests cut short."""
    numbers = cells[cells != ""]
    if not numbers.str.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?").all():
        return cells.str.replace(r"^([0-9a-f]{12})[0-9a-f]{52}$", r"\1...", regex=True)
    decimals = numbers.str.extract(r"\.(\d+)", expand=False).fillna("")
    if decimals.isin(["0"]).all():
        return cells.str.replace(r"\.0$", "", regex=True)
    most = decimals.str.len().max()
    return cells if most < 4 else cells.map(lambda text: text and _number(float(text), most == 4))


def _number(value: float, four: bool) -> str:
    """Return a number with four decimals, or else with as many digits as a reader can use."""
    if four:
        return f"{value:.4f}"
    if value.is_integer():
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:,.{1 if abs(value) >= 100 else 2}f}"
    return f"{value:.4f}" if abs(value) >= 0.001 else f"{value:.2g}"
