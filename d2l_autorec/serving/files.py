"""Small files that go with a question: who is asked about, and what somebody has rated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from d2l_autorec.data.blobs import file_blob, scan
from d2l_autorec.data.delimited import clip, match_columns, readable_text, split_fields
from d2l_autorec.errors import InputError
from d2l_autorec.paths import kind

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 256 * 1024**2


def read_columns(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read some of the columns user, item and rating from a CSV or TSV file.

    Parameters
    ----------
    path : Path
        UTF-8. A header names the columns; without one they stand in the order asked for. A file
        of one column has one id on each line.
    columns : tuple of str

    Returns
    -------
    pandas.DataFrame
        Ids as strings, ``rating`` as float.

    Raises
    ------
    InputError
        If the file cannot be read as such; the sentence names the line.
    """
    import pandas as pd

    if kind(path) != "file":
        raise InputError(f"{path} is no file; check the path.")
    blob = file_blob(path)
    scan(blob, limit=MAX_BYTES)
    with readable_text(blob) as text:
        lines = [(number, line.rstrip("\r\n")) for number, line in enumerate(text, 1)]
    lines = [(number, line) for number, line in lines if line.strip()]
    separator = next((s for s in "\t,;" if s in lines[0][1]), ",") if len(columns) > 1 else None
    places = {name: i for i, name in enumerate(columns)}
    rows: list[list[str | float]] = []
    for i, (number, line) in enumerate(lines):
        where = f"{path}, line {number}"
        fields = split_fields(line, separator, where) if separator else [line]
        if i == 0 and (found := match_columns(fields)):
            missing = [name for name in columns if name not in found]
            if missing:
                raise InputError(
                    f"{where}: the header has no column {missing[0]}; name the columns "
                    f"{', '.join(columns)}."
                )
            places = found
            continue
        if len(fields) <= max(places[name] for name in columns):
            raise InputError(f"{where}: it has too few fields; write {', '.join(columns)}.")
        row: list[str | float] = [fields[places[name]].strip() for name in columns]
        if columns[-1] == "rating":
            row[-1] = _rating(str(row[-1]), where)
        rows.append(row)
    if not rows:
        raise InputError(f"{path} has a header and nothing else; add lines.")
    return pd.DataFrame(rows, columns=list(columns))


def _rating(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: the rating {clip(text)} is not a finite number; correct it.")
    return value
