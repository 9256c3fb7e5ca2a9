"""The lines of a text file as records: how it is laid out, and its fields."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from d2l_autorec.data.blobs import Blob, readable
from d2l_autorec.data.columns import Places
from d2l_autorec.errors import InputError

JOINED = "\x1f"  # stands for a separator of several characters, which pandas reads slowly
MISSING = {"", "null", "na", "n/a", "nan", "none", "\\n", "-"}
"""What stands for no value, in lower case."""

NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Form:
    """How a text file is laid out."""

    encoding: str
    separator: str  # " " for any white space
    quoted: bool  # whether a quote sign encloses what may hold a separator
    width: int  # fields of a record; more may follow, if they are empty
    places: Places
    skip: int  # lines before the first record
    comments: tuple[int, ...]  # the lines among the records that are none


def is_number(text: str) -> bool:
    """Tell whether a field is a number, with a point or a comma, or stands for no value."""
    bare = text.strip().strip('"').strip()
    return bool(NUMBER.fullmatch(bare)) or bare.lower() in MISSING | {"inf", "-inf"}


def delimiter_of(separator: str) -> str:
    """Return the character that separates the fields in the text of `Lines`."""
    return JOINED if len(separator) > 1 else separator


def _delimited(text: str, separator: str) -> str:
    if len(separator) > 1:
        return text.replace(separator, JOINED)
    return text.replace("\t", " ") if separator == " " else text


class Lines(io.TextIOBase):
    """The text of a blob from the first record on, in a form that pandas and csv read."""

    def __init__(self, blob: Blob, form: Form) -> None:
        self._text = io.TextIOWrapper(blob.open(), encoding=form.encoding, newline="")
        for _ in range(form.skip):
            self._text.readline()
        self._separator = form.separator

    def read(self, size: int | None = -1) -> str:
        """Read about so many characters."""
        chunk = more = self._text.read(size)
        while len(self._separator) > 1 and more and more[-1] in self._separator:
            more = self._text.read(1)  # the separator may be cut in two
            chunk += more
        return _delimited(chunk, self._separator)

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
        """Read a line."""
        return _delimited(self._text.readline(), self._separator)

    def close(self) -> None:
        """Close the blob."""
        self._text.close()
        super().close()


def records(blob: Blob, form: Form) -> Iterator[Row]:
    """Yield the records as pandas counts them, each with the number of its first line."""
    comments = set(form.comments)
    with readable(blob.label), Lines(blob, form) as text:
        kept = (
            "\n" if number in comments else line for number, line in enumerate(text, form.skip + 1)
        )
        yield from split_rows(kept, form.separator, form.quoted, blob.label, form.skip)


def split_rows(
    lines: Iterator[str], separator: str, quoted: bool, label: str, skip: int = 0
) -> Iterator[Row]:
    """Split lines into fields; blank ones are left out, a quoted field may go over several."""
    lines = (_delimited(line, separator) for line in lines)
    if separator == " ":
        lines = (line.strip() for line in lines)
    reader = csv.reader(
        lines,
        delimiter=delimiter_of(separator),
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=True,
    )
    line = skip + 1
    try:
        for fields in reader:
            if fields and (len(fields) > 1 or fields[0].strip()):
                yield line, fields
            line = reader.line_num + skip + 1
    except csv.Error as error:
        raise InputError(
            f"{label}, line {line}: it is not valid CSV ({error}); look for an unclosed quote."
        ) from error
