"""The results folder of an experiment: tables, figures and ``experiment.json``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2l_autorec import runs
from d2l_autorec.errors import InputError, refused

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SMOKE = "This was a smoke run. It shows that the experiment works and supports no conclusion."


@dataclass(frozen=True)
class Stored:
    """What ``experiment.json`` says; tables and figures are names of files without endings."""

    command: str
    question: str
    answer: list[str]
    tables: list[str]
    figures: list[str]
    settings: dict[str, Any]
    versions: dict[str, str]


def load(folder: Path) -> Stored | None:
    """Read ``experiment.json``; None if there is none, and an InputError if it is damaged."""
    path = folder / "experiment.json"
    try:
        return Stored(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or incomplete ({error!r}); delete it and run the experiment again."
        ) from None


def refuse_to_shrink(folder: Path, command: str, **rows: int) -> None:
    """Raise an InputError if a command would leave less in a folder than is stored there.

    Every option of the stored command must be in the new one, and numbers must be at least as
    large. ``rows`` are those that a table will have, where that is known beforehand.
    """
    stored = load(folder)
    if stored is None:
        return
    before, after = _options(stored.command), _options(command)
    for name, value in before.items():
        new = after.get(name)
        if new is None or (value.isdigit() and new.isdigit() and int(new) < int(value)):
            more = f"{name} {value} or more" if value.isdigit() else f"{name} {value}".rstrip()
            raise InputError(
                f"{folder} holds the results of '{stored.command}', which '{command}' would "
                f"replace by less; give {more + ' or ' if name.startswith('--') else ''}another "
                "--out."
            )
    for name, count in rows.items():
        _check_rows(folder / f"{name}.csv", count)


def save_results(
    folder: Path,
    command: str,
    question: str,
    answer: Sequence[str],
    settings: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
) -> list[str]:
    """Write the results of an experiment: tables, figures, ``experiment.json`` and a page.

    Parameters
    ----------
    folder : Path
    command : str
        The command that makes these results. With ``--quick`` in it the answer is replaced by
        `SMOKE`.
    question : str
        What was asked, in one sentence.
    answer : sequence of str
        What was found, in sentences with their numbers, made from the tables.
    settings : mapping
        What a reader needs to know, in plain values.
    tables, figures : mapping
        By the names of their files, without the endings. A figure becomes an SVG and a PNG.

    Returns
    -------
    list of str
        The answer as stored.

    Raises
    ------
    InputError
        If the folder cannot be written, or a table stored in it would lose rows. Nothing is
        written then.
    """
    from d2l_autorec.experiments.report import page
    from d2l_autorec.plots import images

    stored = load(folder)
    for name in stored.tables if stored else ():
        _check_rows(folder / f"{name}.csv", len(tables[name]) if name in tables else 0)
    if "--quick" in shlex.split(command):
        answer = [SMOKE]
    with refused(f"--out {folder} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        runs.write(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    for name, figure in figures.items():
        for kind, image in images(figure).items():
            runs.write(folder / f"{name}.{kind}", image)
    names = list(tables), list(figures)
    record = Stored(command, question, list(answer), *names, dict(settings), runs.versions())
    runs.write(folder / "experiment.json", json.dumps(vars(record), indent=2) + "\n")
    runs.write(folder / "README.md", page(folder))
    return list(answer)


def _options(command: str) -> dict[str, str]:
    """Return the options of a command with their values, and the subcommand as one of them."""
    _, subcommand, *rest = shlex.split(command)
    options, name = {subcommand: ""}, ""
    for word in rest:
        if word.startswith("--"):
            name = word
        options[name or word] = "" if word == name else word
    return options


def _check_rows(path: Path, count: int) -> None:
    """Raise an InputError if a stored table has more rows than the new one."""
    import pandas as pd

    if path.exists() and (before := len(pd.read_csv(path))) > count:
        raise InputError(
            f"{path} has {before} rows and would be left with {count}; name another --out, or "
            "give the data and install the libraries that it was made with."
        )
