"""Titles, years and genres of the items, for people to read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

from d2l_autorec.data.blobs import Blob, readable, scan
from d2l_autorec.data.delimited import split_fields
from d2l_autorec.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MAX_TITLES = 256 * 1024**2

# The order of the 19 flags at the end of each line of u.item.
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)

Entry = tuple[str, str, Optional[int], str]


def read_titles(blob: Blob, item_ids: Any) -> pd.DataFrame:
    """Read a titles file of MovieLens, and put it in the order of the item codes.

    Parameters
    ----------
    blob : Blob
        ``u.item`` or recbole's ``ml-100k.item``, ``movies.dat``, or ``movies.csv``; the name tells
        which. The two forms of MovieLens 100K give the same table.
    item_ids : numpy.ndarray, shape (num_items,)
        The original ids, by code.

    Returns
    -------
    pandas.DataFrame, num_items rows
        Indexed by item code: ``item_id``; ``title`` without the year; ``year`` (nullable Int64);
        ``genres`` joined by ``|``. An item the file does not know has no title.

    Raises
    ------
    InputError
        If a line is not of the file's form; the sentence names the line.
    """
    import pandas as pd

    forms = {"u.item": _u_item, "ml-100k.item": _recbole, "movies.dat": _movies_dat}
    read = forms.get(blob.name, _movies_csv)
    known = {entry[0]: entry for entry in read(blob)}
    rows = [known.get(str(item), (str(item), None, None, None)) for item in item_ids]
    items = pd.DataFrame(rows, columns=["item_id", "title", "year", "genres"])
    items["item_id"] = item_ids
    items["year"] = items["year"].astype("Int64")
    return items


def _lines(blob: Blob, encodings: tuple[str, ...], what: str) -> Iterator[tuple[str, str]]:
    """Yield each line that is not blank, with a sentence for the case that it is malformed."""
    scan(blob, utf8=encodings == ("utf-8-sig",), limit=MAX_TITLES)
    with readable(blob.label), blob.open() as stream:
        content = stream.read()
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    # str.splitlines would also break at characters that stand inside titles
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            fault = f"{blob.label}, line {number}: it is not {what}; fetch the file again."
            yield line.rstrip("\r"), fault


def _entry(item: str, title: str, year: str, genres: str) -> Entry:
    """Take the year off the title, where ``(1995)`` or, for a video, ``(1995) (V)`` ends it."""
    match = re.fullmatch(r"(.*?)\s*\(([0-9]{4})\)\s*(?:\(V\))?\s*", title)
    if match:
        title, year = match[1], match[2]
    number = int(year) if re.fullmatch("[0-9]{4}", year) else None
    return item.strip(), title.strip(), number, genres


def _u_item(blob: Blob) -> Iterator[Entry]:
    for line, fault in _lines(blob, ("iso-8859-1",), "an id, a title and 19 genre flags"):
        fields = line.split("|")
        flags = fields[5:]
        if len(flags) != len(GENRES) or not set(flags) <= {"0", "1"}:
            raise InputError(fault)
        genres = "|".join(genre for genre, flag in zip(GENRES, flags) if flag == "1")
        yield _entry(fields[0], fields[1], "", genres)


def _recbole(blob: Blob) -> Iterator[Entry]:
    lines = _lines(blob, ("utf-8-sig",), "an id, a title, a year and genres between tabs")
    for i, (line, fault) in enumerate(lines):
        fields = line.split("\t")
        if len(fields) != 4:
            raise InputError(fault)
        if i > 0:
            item, title, year, genres = fields
            title = "unknown" if title == "unkonwn" else title  # recbole's slip, item 267
            yield _entry(item, title, year, genres.replace(" ", "|"))


def _movies_dat(blob: Blob) -> Iterator[Entry]:
    # MovieLens 1M is ISO-8859-1, MovieLens 10M is UTF-8
    lines = _lines(blob, ("utf-8", "iso-8859-1"), "an id, a title and genres between '::'")
    for line, fault in lines:
        item, _, rest = line.partition("::")
        title, found, genres = rest.rpartition("::")
        if not found:
            raise InputError(fault)
        yield _entry(item, title, "", _listed(genres))


def _movies_csv(blob: Blob) -> Iterator[Entry]:
    lines = list(_lines(blob, ("utf-8-sig",), "an id, a title and genres as CSV"))
    for i, (line, fault) in enumerate(lines):
        fields = split_fields(line, ",", fault.rpartition(": it is not")[0])
        if len(fields) != 3 or (i == 0 and fields != ["movieId", "title", "genres"]):
            raise InputError(fault)
        if i > 0:
            yield _entry(fields[0], fields[1], "", _listed(fields[2]))


def _listed(genres: str) -> str:
    return "" if genres.strip() == "(no genres listed)" else genres.strip()
