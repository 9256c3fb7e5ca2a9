"""The folder of a run: ``run.json``, ``history.csv``, ``curve.svg`` and ``curve.png``."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from d2l_autorec.atomic import is_leftover, write_atomic
from d2l_autorec.errors import InputError, refused
from d2l_autorec.stack import installed

_PACKAGES = ("d2l-autorec", "mxnet", "d2l", "numpy", "pandas")


def new_folder(out: Path | None, name: str, make: bool = True) -> Path:
    """Return the folder for a new run: the one asked for, or ``runs/<time>-<name>`` below this.

    Unless it is to be made now, it is only checked: `save` makes it, so that a run that is
    interrupted leaves no empty folder. An InputError says that it cannot be made or written, or
    holds more than a killed process leaves.
    """
    folder = out or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    with refused(f"--out {folder} cannot be used", "name another folder"):
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        occupied = place == folder and not all(map(is_leftover, place.iterdir()))
        writable = place.is_dir() and os.access(place, os.W_OK)
    if occupied:
        raise InputError(f"--out {folder} is not empty; name a new folder.")
    if not writable:
        raise InputError(f"--out {folder} cannot be written; name another folder.")
    return folder


def write(path: Path, content: str | bytes) -> None:
    """Write a file atomically; raise an InputError if it cannot be written."""
    data = content.encode() if isinstance(content, str) else content
    with refused(f"{path} cannot be written", "make room or name another place"):
        write_atomic(path, lambda file: file.write(data))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    found = {name: version for name in _PACKAGES if (version := installed(name))}
    return {"python": platform.python_version(), **found}


def save(
    folder: Path, record: dict[str, Any], columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write ``history.csv``, the learning curve and, last, ``run.json``; make their folder.

    The record is the content of ``run.json`` without the versions. The history has a row for each
    epoch and the columns that `plots.learning_curve` draws. A full disk is an InputError.
    """
    from d2l_autorec import plots

    rows = list(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    with refused(f"{folder} cannot be made", "name another folder with --out"):
        folder.mkdir(parents=True, exist_ok=True)
    write(folder / "history.csv", text.getvalue())
    history = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    curve = plots.learning_curve(history, book=record["command"] == "reproduce")
    for kind, image in plots.images(curve).items():
        write(folder / f"curve.{kind}", image)
    write_record(folder, record)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``run.json``: a record, and the versions of Python and packages."""
    text = json.dumps({**record, "versions": versions()}, indent=2)
    write(folder / "run.json", text + "\n")
