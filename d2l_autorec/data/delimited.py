"""CSV, TSV and the like: from a blob of text to four columns, in file order.

pandas reads the file. Only if that fails is it read again, line by line, to locate the fault.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Callable

import numpy as np

from d2l_autorec.data.blobs import Blob
from d2l_autorec.data.columns import Places
from d2l_autorec.data.form import find_form
from d2l_autorec.data.options import COLUMNS, ReadOptions
from d2l_autorec.data.rows import Form, Lines, delimiter_of, records
from d2l_autorec.data.scan import scan
from d2l_autorec.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 500_000  # records
_NAMES = {"\t": "tab", " ": "white space", ",": "comma", ";": "semicolon"}
_IN_BLOCKS = ("column 1 of a block", "the number before a block", "column 2", "column 3")
_NETFLIX = Places({"user": 0, "rating": 1, "timestamp": 2}, dict(zip(COLUMNS, _IN_BLOCKS)))
_GUESSED = {"iso-8859-1": "Latin-1", "cp1252": "Windows-1252"}


@dataclass(frozen=True)
class Parsed:
    """Columns as read, before their texts become values and codes.

    The frame has ``user``, ``item``, ``rating`` and, where the file has it, ``timestamp``, as
    categories of strings or as numbers. Its index counts the file's records from 0.
    """

    frame: pd.DataFrame
    digest: str  # SHA-256 of the file's bytes, unpacked, in hex
    where: Callable[[int], str]  # from a record's number to "FILE, line N"; may read it again
    kind: str  # of file, for people
    places: Places
    encoding: str | None = None
    separator: str | None = None
    notices: tuple[str, ...] = ()  # what was left out or repaired
    name: str | None = None  # of the data, if the file says so


def read_delimited(
    blob: Blob, options: ReadOptions, needed: Sequence[str] = COLUMNS[:3]
) -> Parsed:
    """Read the ratings in a text file: one on each line, or in Netflix's blocks.

    A header names the columns. Without one the order is that of the columns ``needed`` or, if
    these are user, item and rating, with a timestamp behind them if there is one. Raises an
    InputError if the file cannot be read as such; the sentence names the file and the line.
    """
    seen = scan(blob, "utf-8-sig" if options.strict else options.encoding)
    first = next((line for line in seen.head.split("\n") if line.strip()), "")
    netflix = re.fullmatch(r"\s*[0-9]+:\s*", first) is not None
    if netflix:
        form = Form(seen.encoding, ",", False, 3, _NETFLIX, 0, ())
    else:
        form = find_form(blob, seen, options, needed)

    def where(row: int) -> str:
        found = next(islice(records(blob, form), row, None), None)
        return f"{blob.label}, line {found[0]}" if found else blob.label

    frame = _read_frame(blob, form)
    if netflix:
        frame = _blocks(frame, where)
    elif any("" in frame[column].cat.categories for column in _required(frame)):
        find_fault(blob, form)  # a line that was cut short is no missing rating
    notices = [*form.places.notices]
    if seen.encoding in _GUESSED and not options.encoding:
        notices.append(
            f"The text is not UTF-8 and was read as {_GUESSED[seen.encoding]}; if letters look "
            "wrong, give --encoding."
        )
    if form.comments:
        count = len(form.comments)
        lines = "1 line that begins" if count == 1 else f"{count:,} lines that begin"
        notices.append(f"Left out as comments: {lines} with #.")
    return Parsed(
        frame,
        seen.digest,
        where,
        "Netflix blocks" if netflix else "text",
        form.places,
        seen.encoding.replace("-sig", "").upper(),
        _NAMES.get(form.separator, repr(form.separator)),
        tuple(notices),
    )


def _read_frame(blob: Blob, form: Form) -> pd.DataFrame:
    import pandas as pd

    fault: Exception | None = None
    for whole in ("timestamp", "") if "timestamp" in form.places.at else ("",):
        try:
            frame = _read(blob, form, whole)
            break
        except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
            fault = error
    else:
        find_fault(blob, form)
        raise InputError(
            f"{blob.label} cannot be read as a table ({' '.join(str(fault).split())}); "
            "write it anew as plain CSV."
        )
    empty = np.ones(len(frame), bool)  # of separators alone, as spreadsheets leave them
    for column in _required(frame):
        blank = np.array([not text for text in texts_of(frame[column])])
        empty &= blank[frame[column].cat.codes.to_numpy()]
    if empty.any():
        frame = frame[~empty].copy()
    if not len(frame):
        raise InputError(f"{blob.label} has a header but no rating; add some.")
    for column in _required(frame):
        if empty.any():
            frame[column] = frame[column].cat.remove_unused_categories()
        if not form.quoted:
            frame[column] = _unquoted(frame[column])
    return frame


def _required(frame: pd.DataFrame) -> list[str]:
    """Return the names of the columns that no record may lack."""
    return [column for column in frame.columns if column != "timestamp"]


def _read(blob: Blob, form: Form, whole: str) -> pd.DataFrame:
    """Read the columns that are needed, ``whole`` as whole numbers, with pandas in parts."""
    import pandas as pd

    texts: dict[str, dict[str, int]] = {column: {} for column in form.places.at}
    parts: dict[str, list[np.ndarray]] = {column: [] for column in form.places.at}
    numbers = form.places.at.get(whole)
    with warnings.catch_warnings(), Lines(blob, form) as lines:
        # else a row longer than the header loses its surplus fields with no more than a warning
        warnings.simplefilter("error", pd.errors.ParserWarning)
        with pd.read_csv(
            lines,
            sep=r"\s+" if form.separator == " " else delimiter_of(form.separator),
            header=None,
            names=list(range(form.width + 1)),
            dtype={i: "int64" if i == numbers else object for i in range(form.width + 1)},
            index_col=False,
            keep_default_na=False,  # "NA" may be somebody's id
            skipinitialspace=True,
            quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
            skiprows=[number - form.skip - 1 for number in form.comments],
            chunksize=CHUNK,
        ) as reader:
            for chunk in reader:
                if (chunk[form.width] != "").any():
                    raise ValueError("surplus fields")
                for column, i in form.places.at.items():
                    values = chunk[i].to_numpy()
                    if column != whole:
                        codes, found = pd.factorize(values)
                        known = texts[column]
                        new = [known.setdefault(text, len(known)) for text in found]
                        values = np.array(new, np.int32)[codes]
                    parts[column].append(values)
    columns = {column: np.concatenate(part) for column, part in parts.items()}
    for column, codes in columns.items():
        if column != whole:
            columns[column] = pd.Categorical.from_codes(codes, list(texts[column]))
    return pd.DataFrame(columns)


def texts_of(column: pd.Series) -> list[str]:
    """Return the categories of a column, without white space around them."""
    return [str(text).strip() for text in column.cat.categories]


def _unquoted(column: pd.Series) -> pd.Series:
    """Remove quotation marks that enclose a whole field."""
    texts = texts_of(column)
    quoted = [text for text in texts if text.startswith('"')]
    if not quoted or not all(len(text) > 1 and text.endswith('"') for text in quoted):
        return column
    bare = [text[1:-1].replace('""', '"') if text.startswith('"') else text for text in texts]
    return recoded(column, bare)


def recoded(column: pd.Series, texts: list[str]) -> pd.Series:
    """Rename the categories of a column; several may get the same name."""
    import pandas as pd

    codes, labels = pd.factorize(np.array(texts, dtype=object))
    values = pd.Categorical.from_codes(codes[column.cat.codes.to_numpy()], list(labels))
    return pd.Series(values, index=column.index)


def _blocks(frame: pd.DataFrame, where: Callable[[int], str]) -> pd.DataFrame:
    """Give each rating the item of its block; a block begins with a line such as ``17:``."""
    import pandas as pd

    texts = texts_of(frame["user"])
    heads = np.array([re.fullmatch("[0-9]+:", text) is not None for text in texts])
    begins = heads[frame["user"].cat.codes.to_numpy()]
    if begins.all():
        raise InputError(f"{where(0)}: no rating follows; add lines of user, rating and date.")
    items = recoded(frame["user"][begins], [text.rstrip(":") for text in texts])
    sizes = np.diff(np.flatnonzero(begins), append=len(begins)) - 1  # ratings of each block
    codes = np.repeat(items.cat.codes.to_numpy(), sizes)
    frame = frame[~begins]
    frame.insert(1, "item", pd.Categorical.from_codes(codes, items.cat.categories))
    return frame


def find_fault(blob: Blob, form: Form) -> None:
    """Raise an InputError for the first record with missing or malformed fields, if any."""
    needed = max(i for column, i in form.places.at.items() if column != "timestamp") + 1
    for line, fields in records(blob, form):
        if not needed <= len(fields) <= form.width + 1 or any(fields[form.width :]):
            raise InputError(
                f"{blob.label}, line {line}: it has {len(fields)} fields where {form.width} are "
                "expected; correct or remove the line."
            )
