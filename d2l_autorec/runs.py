"""The folder a run leaves behind: ``run.json``, ``history.csv``, ``curve.svg``, ``curve.png``."""

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

from d2l_autorec.atomic import write_atomic
from d2l_autorec.errors import InputError
from d2l_autorec.stack import installed

PACKAGES = ("d2l-autorec", "mxnet", "d2l", "numpy", "pandas")


def new_folder(out: Path | None, name: str) -> Path:
    """Make the folder for a run.

    Parameters
    ----------
    out : Path or None
        The folder asked for; by default ``runs/<time>-<name>`` below the current one.
    name : str
        Says what the run is.

    Raises
    ------
    InputError
        If the folder holds something already or cannot be made or written.
    """
    folder = out or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
        writable = os.access(folder, os.W_OK)
    except OSError as error:
        raise InputError(
            f"--out {folder} cannot be used ({error.strerror}); name another folder."
        ) from None
    if occupied:
        raise InputError(f"--out {folder} is not empty; name a new folder.")
    if not writable:
        raise InputError(f"--out {folder} cannot be written; name another folder.")
    return folder


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        write_atomic(path, lambda file: file.write(data))
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}); make room or name another "
            "place."
        ) from None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    found = {name: version for name in PACKAGES if (version := installed(name))}
    return {"python": platform.python_version(), **found}


def save(
    folder: Path, record: dict[str, Any], columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write ``history.csv``, the learning curve and, last, ``run.json``.

    Parameters
    ----------
    folder : Path
        From `new_folder`.
    record : dict
        What ``run.json`` is to hold, besides the versions.
    columns : sequence of str
        Of the history; ``epoch``, ``train_loss`` and ``test_rmse`` are drawn.
    rows : iterable of sequences
        One row per epoch.
    """
    from d2l_autorec.experiments import plots

    rows = list(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write(folder / "history.csv", text.getvalue())
    history = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    curve = plots.learning_curve(history, book=record["command"] == "reproduce")
    for kind, image in plots.images(curve).items():
        write(folder / f"curve.{kind}", image)
    record = {**record, "versions": versions()}
    write(folder / "run.json", json.dumps(record, indent=2) + "\n")
