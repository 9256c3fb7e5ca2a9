"""Titles, years and genres of the items."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

from d2l_autorec.data.blobs import Blob
from d2l_autorec.data.columns import find_columns, simple_name
from d2l_autorec.data.rows import split_rows
from d2l_autorec.data.scan import read_text, scan
from d2l_autorec.errors import InputError, clip

if TYPE_CHECKING:
    import pandas as pd

TITLE_NAMES = (
    {"title", "movietitle", "booktitle", "itemtitle", "itemname", "filmtitle", "primarytitle"},
    {"originaltitle", "songtitle", "trackname", "artistname", "businessname", "productname"},
    {"name", "movie", "film", "book"},
)
MAX_TITLES = 256 * 1024**2

# The order of the 19 flags at the end of each line of u.item.
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)

Entry = tuple[str, str, Optional[int], str]


def read_titles(
    blob: Blob, item_ids: Any, column: str = "", encoding: str | None = None
) -> pd.DataFrame:
    """Read a file of titles, and put it in the order of the items' original ids.

    It is ``u.item`` of MovieLens 100K, a file with ``::`` between id, title and genres, or a table
    whose header names its columns, such as ``movies.csv`` or recbole's ``ml-100k.item``. The two
    forms of MovieLens 100K give the same table. A column of the name that the ratings have for the
    item, ``column``, holds the ids. Raises an InputError if the file is not of such a form; the
    sentence names the line.

    Returns
    -------
    pandas.DataFrame, num_items rows
        Indexed by item code: ``item_id``; ``title`` without the year; ``year`` (nullable Int64);
        ``genres`` joined by ``|``. An item the file does not know has no title.
    """
    import pandas as pd

    latin = encoding or ("iso-8859-1" if blob.name == "u.item" else None)
    try:
        seen = scan(blob, latin, MAX_TITLES)
    except InputError:
        if latin:
            raise
        seen = scan(blob, "cp1252", MAX_TITLES)  # a title's letters are worth no refusal
    text = read_text(blob, seen)
    first = next(line for line in text.split("\n") if line.strip())
    if first.count("|") == 4 + len(GENRES):
        entries = _u_item(_lines(blob, text, "an id, a title and 19 genre flags"))
    elif "::" in first:
        entries = _movies_dat(_lines(blob, text, "an id, a title and genres between '::'"))
    else:
        entries = _table(blob, text, column)
    known = {entry[0]: entry for entry in entries}
    rows = [known.get(str(item), (str(item), None, None, None)) for item in item_ids]
    items = pd.DataFrame(rows, columns=["item_id", "title", "year", "genres"], dtype=object)
    items["item_id"] = item_ids
    items["year"] = items["year"].astype("Int64")
    return items


def _lines(blob: Blob, text: str, what: str) -> Iterator[tuple[str, str]]:
    """Yield each line that is not blank, with a sentence for the case that it is malformed."""
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


def _u_item(lines: Iterator[tuple[str, str]]) -> Iterator[Entry]:
    for line, fault in lines:
        fields = line.split("|")
        flags = fields[5:]
        if len(flags) != len(GENRES) or not set(flags) <= {"0", "1"}:
            raise InputError(fault)
        genres = "|".join(genre for genre, flag in zip(GENRES, flags) if flag == "1")
        yield _entry(fields[0], fields[1], "", genres)


def _movies_dat(lines: Iterator[tuple[str, str]]) -> Iterator[Entry]:
    for line, fault in lines:
        item, _, rest = line.partition("::")
        title, found, genres = rest.rpartition("::")
        if not found:
            raise InputError(fault)
        yield _entry(item, title, "", _listed(genres))


def _table(blob: Blob, text: str, column: str) -> Iterator[Entry]:
    """Read a table by its header, or id, year and title without one, as Netflix has them."""
    first = text.split("\n", 1)[0]
    separator = max("\t,;|", key=first.count)
    rows = split_rows(io.StringIO(text, newline=""), separator, separator in ",;", blob.label)
    line, names = next(rows)
    where = f"{blob.label}, line {line}"
    at = {c: places[0] for c, places in find_columns(names, ("year", "genres")).items()}
    simple = [simple_name(name) for name in names]
    titles = [i for known in TITLE_NAMES for i, name in enumerate(simple) if name in known]
    others = ["" if i in titles else name for i, name in enumerate(names)]
    ids = [i for i, name in enumerate(simple) if column and name == simple_name(column)]
    ids += find_columns(others, ("item",)).get("item", [])
    ids += [i for i, name in enumerate(simple) if name == "id"]
    if titles and ids:
        at.update(item=ids[0], title=titles[0])
    elif len(names) > 2 and re.fullmatch("[0-9]{4}|NULL", names[1].strip()):
        for row in filter(str.strip, text.split("\n")):  # titles may hold the separator
            item, year, title = (*row.split(separator, 2), "", "")[:3]
            yield _entry(item, title, year, "")
        return
    else:
        raise InputError(
            f"{where}: the header names no {'title' if ids else 'item id'} among "
            f"{', '.join(map(clip, names[:8]))}; name the columns movieId, title, year, genres."
        )
    flagged = simple[at["genres"]] == "class" if "genres" in at else False
    for line, fields in rows:
        if len(fields) <= max(at["item"], at["title"]):
            raise InputError(
                f"{blob.label}, line {line}: it has too few fields; correct the line."
            )
        said = {name: fields[i] for name, i in at.items() if i < len(fields)}
        title = "unknown" if said["title"] == "unkonwn" else said["title"]  # recbole, item 267
        year = said.get("year", "").strip().removesuffix(".0")
        genres = said.get("genres", "")
        genres = genres.replace(" ", "|") if flagged else _listed(genres)
        yield _entry(said["item"], title, year, genres)


def _listed(genres: str) -> str:
    return "" if genres.strip() == "(no genres listed)" else genres.strip()
