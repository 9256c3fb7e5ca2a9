"""CSV, TSV and the like: from a blob of text to four columns, in file order.

pandas reads; only when something is wrong is the file read a second time, line by line, to say
where.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from d2l_autorec.data.blobs import Blob, Scan, readable, scan
from d2l_autorec.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("user", "item", "rating", "timestamp")
ALIASES = {
    "user": ("user", "userid", "user_id", "uid"),
    "item": ("item", "itemid", "item_id", "movie", "movieid", "movie_id", "iid"),
    "rating": ("rating", "score", "stars"),
    "timestamp": ("timestamp", "time", "ts"),
}
MAX_FIELDS = 256  # with a hundred thousand columns, pandas takes the better part of a minute
_PART = 2**18  # rows read at a time


@dataclass(frozen=True)
class Parsed:
    """Columns as read, before ids become codes.

    Attributes
    ----------
    frame : pandas.DataFrame
        ``user`` and ``item`` as categories of strings, ``rating`` float64, ``timestamp`` int64.
    digest : str
        SHA-256 of the file's bytes (unpacked, where it was gzipped), in hex.
    where : callable
        Takes a row number and returns ``"FILE, line N"``; it reads the file again.
    """

    frame: pd.DataFrame
    digest: str
    where: Callable[[int], str]


@dataclass(frozen=True)
class Form:
    """How a file is laid out: its separator, the name of each field, and whether a header leads.

    Fields that are not needed are called by their position, ``#4`` and so on. MovieLens 1M's
    ``::`` is taken as ``:`` with an empty field between each two, which pandas reads ten times
    faster than a separator of two characters.
    """

    separator: str
    names: tuple[str, ...]
    header: bool


def clip(text: object) -> str:
    """Quote a value from a file, shortened to what fits into a sentence."""
    shown = str(text)
    return repr(shown if len(shown) <= 40 else shown[:37] + "...")


def split_fields(line: str, separator: str, where: str) -> list[str]:
    """Split one line of CSV; an InputError says where it is none."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(
            f"{where}: it is no CSV ({error}); look for an unclosed quote."
        ) from error


def match_columns(fields: list[str]) -> dict[str, int]:
    """Find the columns' positions in a header; recbole's ``user_id:token`` is understood too."""
    plain = [field.strip().lower().split(":")[0] for field in fields]
    found = {}
    for column, aliases in ALIASES.items():
        at = [i for i, name in enumerate(plain) if name in aliases]
        if at:
            found[column] = at[0]
    return found


def check_columns(found: dict[str, int], where: str) -> None:
    """Raise an InputError that names the columns a header lacks."""
    missing = [column for column in COLUMNS[:3] if column not in found]
    if missing:
        raise InputError(
            f"{where}: the header has no column {' and no column '.join(missing)}; "
            "name the columns user, item, rating and, if known, timestamp."
        )


def find_form(blob: Blob, seen: Scan) -> Form:
    """Tell a file's form from its first line that is not blank."""
    text = seen.head.decode("utf-8-sig", errors="ignore")  # a character may be cut at the end
    # str.splitlines would also break at characters that may stand inside an id
    numbered = enumerate(re.split("\r\n|\r|\n", text), 1)
    lines = [(number, line) for number, line in numbered if line.strip()]
    if not lines:
        raise InputError(f"{blob.label} is empty; give a file with one rating on each line.")
    number, first = lines[0]
    where = f"{blob.label}, line {number}"
    separators = [s for s in ("\t", "::", ",", ";") if s in first]
    if not separators:
        raise InputError(
            f"{where}: no tab, comma, semicolon or '::' stands between the fields; "
            "write user, item and rating as CSV or TSV."
        )
    # an id may hold one of them; then it is the next that parts three fields
    parted = {s: split_fields(first, s[0], where) for s in separators}
    separator = next((s for s in separators if len(parted[s][:: len(s)]) >= 3), separators[0])
    fields = parted[separator]
    if len(fields) > MAX_FIELDS:
        raise InputError(
            f"{where}: it has {len(fields):,} fields; write one rating on each line, in at most "
            f"{MAX_FIELDS} fields."
        )
    step = len(separator)
    found = match_columns(fields[::step])
    header = bool(found)
    if header:
        check_columns(found, where)
    elif len(fields[::step]) < 3:
        raise InputError(
            f"{where}: it has {len(fields[::step])} fields where user, item and rating are "
            "needed; add the missing columns."
        )
    elif not _is_float(fields[2 * step]):
        raise InputError(
            f"{where}: it names no columns and its third field, {clip(fields[2 * step])}, is no "
            "rating; write user, item and rating there, or their names."
        )
    else:
        found = {column: i for i, column in enumerate(COLUMNS) if i < len(fields[::step])}
    names = [f"#{i}" for i in range(len(fields))]
    for column, i in found.items():
        names[i * step] = column
    return Form(separator, tuple(names), header)


def read_delimited(blob: Blob) -> Parsed:
    """Read the ratings in a text file.

    Parameters
    ----------
    blob : Blob
        UTF-8 text with tabs, commas, semicolons or ``::`` between the fields. Without a header the
        order is user, item, rating and, if there, timestamp; a header names the columns.

    Returns
    -------
    Parsed
        The values are numbers where numbers belong; whether they are sensible is not yet known.

    Raises
    ------
    InputError
        If the file cannot be read as such; the sentence names the file and the line.
    """
    import pandas as pd

    seen = scan(blob)
    form = find_form(blob, seen)
    for timestamp in ("int64", "float64"):  # the second for files that write 978300760.0
        try:
            frame = _read(blob, form, timestamp)
            break
        except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
            _find_fault(blob, form)
            fault: Exception = error
    else:
        raise InputError(
            f"{blob.label} cannot be read as a table ({' '.join(str(fault).split())}); "
            "write it anew as plain CSV."
        )
    if form.separator == "::" and not _between_is_empty(frame):
        _find_fault(blob, form)
    if not len(frame):
        raise InputError(f"{blob.label} has a header but no rating; add some.")
    if "timestamp" not in frame:
        frame["timestamp"] = 0
    frame = frame[list(COLUMNS)].astype({"timestamp": "int64"})
    return Parsed(frame, seen.digest, lambda row: _where(blob, form, row))


def _read(blob: Blob, form: Form, timestamp: str) -> pd.DataFrame:
    """Read in parts, each turned into categories: pandas 3.1 would make "007" and "7" one id."""
    import pandas as pd

    types = {"rating": "float64", "timestamp": timestamp}
    texts = [name for name in form.names if name not in types]
    # a number too large for int64 is found later; NumPy 2 warns of the cast
    with warnings.catch_warnings(), np.errstate(invalid="ignore"), readable_text(blob) as text:
        # else a row longer than the header loses its surplus fields with no more than a warning
        warnings.simplefilter("error", pd.errors.ParserWarning)
        with pd.read_csv(
            text,
            sep=form.separator[0],
            header=0 if form.header else None,
            names=list(form.names),
            dtype={name: types.get(name, object) for name in form.names},
            index_col=False,
            keep_default_na=False,  # "NA" may be somebody's id
            skipinitialspace=True,
            chunksize=_PART,
        ) as reader:
            parts = [part.astype(dict.fromkeys(texts, "category")) for part in reader]
    joined = {name: [part[name] for part in parts] for name in form.names}
    return pd.DataFrame(
        {
            name: pd.api.types.union_categoricals(columns) if name in texts else pd.concat(columns)
            for name, columns in joined.items()
        }
    )


def readable_text(blob: Blob) -> Any:
    """Open a blob as UTF-8 text, for pandas and for csv alike."""
    return io.TextIOWrapper(blob.open(), encoding="utf-8-sig", newline="")


def _between_is_empty(frame: pd.DataFrame) -> bool:
    between = frame.columns[1::2]
    return all(list(frame[name].cat.categories) in ([], [""]) for name in between)


def _records(blob: Blob, form: Form) -> Iterator[tuple[int, list[str]]]:
    """Go through the records as pandas counts them, each with the line it starts on."""
    with readable(blob.label), readable_text(blob) as text:
        reader = csv.reader(text, delimiter=form.separator[0], skipinitialspace=True)
        header = form.header
        line = 1
        try:
            for fields in reader:
                if fields and (len(fields) > 1 or fields[0].strip()):
                    if not header:
                        yield line, fields
                    header = False
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{blob.label}, line {line}: it is no CSV ({error}); look for an unclosed quote."
            ) from error


def _where(blob: Blob, form: Form, row: int) -> str:
    for i, (line, _) in enumerate(_records(blob, form)):
        if i == row:
            return f"{blob.label}, line {line}"
    return blob.label


def _find_fault(blob: Blob, form: Form) -> None:
    """Raise for the first record that pandas could not have read, if there is one."""
    step = len(form.separator)
    wanted = len(form.names[::step])
    for line, fields in _records(blob, form):
        where = f"{blob.label}, line {line}"
        if len(fields) != len(form.names) or any(fields[1::2] if step == 2 else ()):
            raise InputError(
                f"{where}: it has {len(fields[::step])} fields where {wanted} are expected; "
                "correct or remove the line."
            )
        for name, text in zip(form.names, fields):
            if name in ("rating", "timestamp") and not _is_number(text):
                raise InputError(
                    f"{where}: the {name} {clip(text)} is not a number; "
                    "correct or remove the line."
                )


def _is_number(text: str) -> bool:
    # neither inf nor nan; int64 ends there
    return _is_float(text) and abs(float(text)) < 2**63


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
