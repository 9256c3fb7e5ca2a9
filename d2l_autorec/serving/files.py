"""Small files that go with a question: who is asked about, and what somebody has rated."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.data.blobs import Blob, file_blob
from d2l_autorec.data.columns import match_columns
from d2l_autorec.data.delimited import read_delimited
from d2l_autorec.data.exports import Export, read_export
from d2l_autorec.data.exports import read_links as read_links_blob
from d2l_autorec.data.ids import id_codes
from d2l_autorec.data.locate import locate
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.scan import read_text, scan
from d2l_autorec.data.values import rating_values
from d2l_autorec.errors import InputError
from d2l_autorec.paths import kind

MAX_BYTES = 256 * 1024**2


def read_columns(
    path: Path, columns: tuple[str, ...], options: ReadOptions | None = None
) -> pd.DataFrame:
    """Read some of the columns user, item and rating from a text file.

    A header names the columns; without one they stand in the order asked for. For one column, each
    line is an id. Ids are strings, ``rating`` is float. An InputError names the line that cannot
    be read; see `d2l_autorec.data.delimited.read_delimited`.
    """
    options = options or ReadOptions()
    blob = _blob(path)
    seen = scan(blob, options.encoding, MAX_BYTES)
    if len(columns) == 1:
        text = read_text(blob, seen)
        lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
        lines = lines[1:] if match_columns(lines[:1]).get(columns[0]) == 0 else lines
        if not lines:
            raise InputError(f"{path} has a header and nothing else; add lines.")
        return pd.DataFrame({columns[0]: lines})
    parsed = read_delimited(blob, options, columns)
    frame, notices = parsed.frame, list(parsed.notices)
    made: dict[str, Any] = {}
    if "rating" in columns:
        values, keep, *_ = rating_values(frame["rating"], options, parsed.where, notices)
        frame, values = frame[keep], values[keep]
        if not len(frame):
            raise InputError(f"{path}: no line has a rating; add some.")
        if np.isinf(values).any():
            row = int(frame.index[np.argmax(np.isinf(values))])
            raise InputError(
                f"{parsed.where(row)}: the rating is not a finite number; correct it."
            )
        made["rating"] = values
    for column in columns[: len(columns) - len(made)]:
        codes, ids, _ = id_codes(frame[column], parsed.where)
        made[column] = np.array([str(name) for name in ids], dtype=object)[codes]
    for text in notices:
        warnings.warn(text, stacklevel=2)
    return pd.DataFrame(made)[list(columns)]


def read_own_export(path: Path, options: ReadOptions | None = None) -> Export | None:
    """Read the export of a site, as it is or in its zip archive.

    Returns None where the file is none, or where columns or a separator are asked for, and raises
    an InputError as `d2l_autorec.data.exports.read_export` does.
    """
    options = options or ReadOptions()
    if options.columns or options.separator or kind(path) != "file":
        return None
    return read_export(locate(path).ratings, options.encoding)


def read_links(path: Path) -> dict[str, str]:
    """Read MovieLens's ``links.csv``; see `d2l_autorec.data.exports.read_links`."""
    return read_links_blob(_blob(path))


def _blob(path: Path) -> Blob:
    if kind(path) != "file":
        raise InputError(f"{path} is no file; check the path.")
    return file_blob(path)
