"""A person's own ratings as Letterboxd, IMDb and Goodreads export them."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from d2l_autorec.data.blobs import Blob
from d2l_autorec.data.rows import Row, split_rows
from d2l_autorec.data.scan import Scan, read_text, scan
from d2l_autorec.errors import InputError, clip

MAX_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Site:
    """The names of a site's columns, and its scale of ratings."""

    name: str
    known_by: tuple[str, ...]  # are in every export, beside title and rating
    titles: tuple[str, ...]
    years: tuple[str, ...]  # the first that holds one counts
    ids: tuple[str, ...]
    rating: str
    low: float
    high: float
    not_rated: tuple[str, ...] = ()  # what stands for no rating, beside nothing


SITES = (
    Site("Letterboxd", ("Letterboxd URI",), ("Name",), ("Year",), (), "Rating", 0.5, 5),
    Site(
        "IMDb",
        ("Const",),
        ("Title", "Original Title"),
        ("Year",),
        ("Const",),
        "Your Rating",
        1,
        10,
    ),
    Site(
        "Goodreads",
        ("Book Id",),
        ("Title",),
        ("Original Publication Year", "Year Published"),
        ("ISBN", "ISBN13"),
        "My Rating",
        1,
        5,
        ("0",),
    ),
)


@dataclass(frozen=True)
class Entry:
    """One rating of an export."""

    line: int  # of the file, from 1
    titles: tuple[str, ...]  # the title, and the original title where it differs
    year: int | None
    ids: tuple[str, ...]  # an IMDb id such as tt0114709, or ISBNs
    rating: float


@dataclass(frozen=True)
class Export:
    """The ratings of an export."""

    site: Site
    entries: tuple[Entry, ...]
    not_rated: int  # how many entries have no rating


def read_export(blob: Blob, encoding: str | None = None) -> Export | None:
    """Read ``ratings.csv`` of Letterboxd or IMDb, or ``goodreads_library_export.csv``.

    Returns None where the header is of none of these sites. Raises an InputError if the file
    cannot be read, or an entry has no title or a rating beyond the scale. The sentence names the
    line.
    """
    seen = scan(blob, encoding, MAX_BYTES)
    first = seen.head.lstrip("\ufeff").partition("\n")[0]
    header = [name.strip().strip('"') for name in first.split(",")]
    of_site = (s for s in SITES if {*s.known_by, s.titles[0], s.rating} <= set(header))
    site = next(of_site, None)
    if site is None:
        return None
    rows = _rows(blob, seen)
    _, names = next(rows)
    at = {name.strip(): i for i, name in reversed(list(enumerate(names)))}
    read = [_entry(site, at, fields, line, blob.label) for line, fields in rows]
    entries = tuple(entry for entry in read if entry is not None)
    if not entries:
        raise InputError(f"{blob.label}: no entry has a rating; rate some at {site.name}.")
    return Export(site, entries, len(read) - len(entries))


def _rows(blob: Blob, seen: Scan) -> Iterator[Row]:
    return split_rows(io.StringIO(read_text(blob, seen), newline=None), ",", True, blob.label)


def _entry(
    site: Site, at: Mapping[str, int], fields: list[str], line: int, label: str
) -> Entry | None:
    said = {name: fields[i].strip() for name, i in at.items() if i < len(fields)}
    where, text = f"{label}, line {line}", said.get(site.rating, "")
    if text in ("", *site.not_rated):
        return None
    try:
        rating = float(text)
    except ValueError:
        rating = math.nan
    if not site.low <= rating <= site.high:
        raise InputError(
            f"{where}: the rating {clip(text)} is not from {site.low:g} to {site.high:g}, as "
            f"{site.name} rates; export the file again, or say with --columns how to read it."
        )
    titles = tuple(dict.fromkeys(said[name] for name in site.titles if said.get(name)))
    if not titles:
        raise InputError(f"{where}: the entry has no title; export the file again.")
    years = [said.get(name, "") for name in site.years]
    year = next((int(text) for text in years if re.fullmatch("[0-9]{4}", text)), None)
    # Goodreads writes ="0439785960", so that Excel takes it for a text
    ids = [said.get(name, "").strip('="') for name in site.ids]
    return Entry(line, titles, year, tuple(name for name in ids if name), rating)


def read_links(blob: Blob) -> dict[str, str]:
    """Read MovieLens's ``links.csv``: from IMDb's ids, such as ``tt0114709``, to item ids.

    Raises an InputError if the file is none; the sentence names the line.
    """
    rows = _rows(blob, scan(blob, None, MAX_BYTES))
    line, names = next(rows)
    places = [i for name in ("movieId", "imdbId") for i, n in enumerate(names) if n == name]
    if len(places) != 2:
        raise InputError(
            f"{blob.label}, line {line}: the header names no movieId and imdbId; name MovieLens's "
            "links.csv."
        )
    links = {}
    for line, fields in rows:
        number = fields[places[1]].strip() if len(fields) > max(places) else ""
        if not re.fullmatch("[0-9]{1,12}", number):
            raise InputError(f"{blob.label}, line {line}: it has no IMDb id; correct the line.")
        links[f"tt{int(number):07d}"] = fields[places[0]].strip()
    return links
