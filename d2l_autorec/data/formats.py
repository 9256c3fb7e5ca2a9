"""Ratings files of every known form -> one table: user, item, rating, timestamp."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import numpy as np

from d2l_autorec.data import known
from d2l_autorec.data.blobs import Blob, file_blob, readable, unchanged
from d2l_autorec.data.columnar import read_arrays, read_parquet
from d2l_autorec.data.delimited import Parsed, read_delimited
from d2l_autorec.data.ids import alike, id_codes, without_duplicates
from d2l_autorec.data.json_lines import read_json
from d2l_autorec.data.locate import Located, locate
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.titles import read_titles
from d2l_autorec.data.understanding import Understanding, of_totals, suspicions, time_range
from d2l_autorec.data.values import rating_values, time_values
from d2l_autorec.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings, with what is needed to get back from codes to people and films.

    Attributes
    ----------
    table : pandas.DataFrame
        In file order: ``user`` and ``item`` (codes from 0, int32), ``rating`` (float32),
        ``timestamp`` (int64, in the file's unit; 0 where the file has none).
    user_ids, item_ids : numpy.ndarray
        The original id of each code, sorted: int64 by size if all are whole numbers, else strings
        (dtype object, so that one long id does not make all of them long).
    items : pandas.DataFrame or None
        By item code: ``item_id``, ``title``, ``year``, ``genres``; None where titles are unknown.
    name : str
        What people call the data.
    digest : str
        SHA-256 of the ratings file's bytes (unpacked), in hex; of these and of the options, where
        some were given that change what is read.
    understood : Understanding or None
        What the reader made of the file.
    """

    table: pd.DataFrame
    user_ids: np.ndarray
    item_ids: np.ndarray
    items: pd.DataFrame | None
    name: str
    digest: str
    understood: Understanding | None = None

    @property
    def num_users(self) -> int:
        """How many users rated."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """How many items were rated."""
        return len(self.item_ids)


def read_ratings(
    path: str | Path, options: ReadOptions | None = None, allow_nonpositive: bool = False
) -> Ratings:
    """Read ratings from a file, folder or archive of any known form.

    Parameters
    ----------
    path : str or Path
        A folder or zip archive of MovieLens (100K, 1M, 10M, 20M, 25M, latest) or one with a single
        file of ratings, or that file: text with commas, tabs, semicolons, ``::``, ``|`` or white
        space between the fields, Netflix's blocks, JSON lines, an Excel workbook, Parquet, or the
        ``.npz`` of ``synthetic``; also packed with gzip, bzip2, xz or Zstandard.
    options : ReadOptions, optional
        How to read it, where the reader is not to find out.
    allow_nonpositive : bool
        Take ratings of zero and below as real values. The chapter cannot: its mask is the sign of
        the rating.

    Returns
    -------
    Ratings
        What was left out or repaired or looks suspicious is said in UserWarnings too.

    Raises
    ------
    InputError
        If the data cannot be used, or may be read in two ways; one sentence names the file and the
        line, and the option that decides.
    """
    ratings = read_located(locate(path), options, allow_nonpositive)[0]
    assert ratings.understood is not None
    for text in (*ratings.understood.notices, *ratings.understood.warnings):
        warnings.warn(text, stacklevel=2)
    return ratings


def read_located(
    located: Located, options: ReadOptions | None = None, allow_nonpositive: bool = False
) -> tuple[Ratings, Callable[[int], str]]:
    """Read what `locate` found, without UserWarnings; see `read_ratings`.

    Returns also what names the line of a record, by its number, for checks that come after; it is
    right as long as no row was left out.
    """
    with unchanged(located.ratings):  # the digest is that of what was parsed
        return _read_located(located, options or ReadOptions(), allow_nonpositive)


def _read_located(
    located: Located, options: ReadOptions, allow_nonpositive: bool
) -> tuple[Ratings, Callable[[int], str]]:
    blob = located.ratings
    parsed = _parse(blob, options)
    frame, where, notices = parsed.frame, parsed.where, [*parsed.notices]
    values, keep, missing, not_rated, decimal = rating_values(
        frame["rating"], options, where, notices
    )
    if not keep.all():
        frame, values = frame[keep], values[keep]
    if not len(frame):
        raise InputError(f"{blob.label}: no row has a rating; give a file with ratings.")
    _check_values(values, frame.index, where, allow_nonpositive)
    times, timestamps = None, "none"
    if "timestamp" in frame:
        times, reason = time_values(frame["timestamp"], where)
        timestamps = "ignored" if times is None else "used"
        if times is None:
            notices.append(f"The timestamps are ignored: {reason}.")
    import pandas as pd

    columns, ids = {}, []
    for column in ("user", "item"):
        columns[column], labels, merged = id_codes(frame[column], where)
        ids.append(labels)
        if merged:
            notices.append(
                f"{merged:,} {column}s are written both like 101 and like 101.0; each is one."
            )
        notices.extend(alike(labels, column))
    totals = of_totals(str(ids[0][columns["user"][-1]]), lambda: where(frame.index[-1]))
    columns["rating"] = values.astype(np.float32, copy=False)
    columns["timestamp"] = np.zeros(len(frame), np.int64) if times is None else times
    table = pd.DataFrame(columns, copy=False)
    table, duplicates = without_duplicates(
        table, ids, frame.index.to_numpy(), where, options, times is not None, notices
    )
    items = _titles(located, options, ids[1], parsed, notices)
    found = table["rating"].to_numpy()
    rating, count = np.unique(found, return_counts=True)
    counts = {f"{r:g}": int(n) for r, n in zip(rating, count)} if len(rating) <= 24 else {}
    first, last = (None, None) if times is None else time_range(table["timestamp"].to_numpy())
    understood = Understanding(
        file=blob.label,
        kind=parsed.kind,
        columns=parsed.places.why,
        separator=parsed.separator,
        encoding=parsed.encoding,
        decimal=decimal,
        users=len(ids[0]),
        items=len(ids[1]),
        ratings=len(table),
        low=float(found.min()),
        high=float(found.max()),
        counts=counts,
        duplicates=duplicates,
        missing=missing,
        not_rated=not_rated,
        titles=None if items is None else int(items["title"].notna().sum()),
        timestamps=timestamps,
        first=first,
        last=last,
        notices=tuple(notices),
        warnings=(*suspicions(table), *totals),
    )
    ml100k = parsed.digest == known.DIGESTS["u.data"]
    name = parsed.name or (known.ML100K if ml100k else located.name)
    digest = _digest(parsed.digest, options)
    return Ratings(table, ids[0], ids[1], items, name, digest, understood), where


def _parse(blob: Blob, options: ReadOptions) -> Parsed:
    if blob.name.endswith(".npz"):
        return read_arrays(blob, Path(blob.label))
    if blob.name.endswith((".parquet", ".pq")):
        return read_parquet(blob, options)
    with readable(blob.label), blob.open() as stream:
        start = stream.read(1024)
    if start.startswith(b"PAR1"):
        return read_parquet(blob, options)
    for magic, said in _OTHERS.items():
        if re.match(magic, start):
            raise InputError(f"{blob.label} {said}; save the ratings as CSV.")
    if re.match(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*"', start):
        return read_json(blob, options)
    return read_delimited(blob, options)


_OTHERS = {
    rb"\xd0\xcf\x11\xe0": "is an old Excel workbook (.xls)",
    rb"\x80[\x02-\x05]": "is a pickle, which is not opened because it may run code",
    rb"\x89HDF": "is an HDF5 file",
    rb"SQLite format 3": "is an SQLite database",
    rb"\x93NUMPY": "is a NumPy array",
    rb"(?s).{257}ustar": "is a tar archive; unpack it, or",
}


def _titles(
    located: Located, options: ReadOptions, ids: np.ndarray, parsed: Parsed, notices: list[str]
) -> pd.DataFrame | None:
    """Read the titles that were named, or those beside the ratings if they can be read."""
    column = parsed.places.why.get("item", "").strip("'")
    if options.titles is not None:
        if not options.titles.is_file():
            raise InputError(f"--titles {options.titles} is no file; check the path.")
        return read_titles(file_blob(options.titles), ids, column, options.encoding)
    if located.titles is None:
        return None
    try:
        return read_titles(located.titles, ids, column)
    except InputError as error:
        if options.strict:
            raise
        notices.append(f"Titles are left out: {error}")
        return None


def _digest(file_digest: str, options: ReadOptions) -> str:
    """Give the data another digest where options give other data."""
    said = replace(options, titles=None, strict=False)
    if said in (ReadOptions(), ReadOptions(duplicates="error")):
        return file_digest
    text = json.dumps(said.as_json(), sort_keys=True)
    return hashlib.sha256((file_digest + text).encode()).hexdigest()


def _check_values(
    ratings: np.ndarray, rows: pd.Index, where: Callable[[int], str], allow_nonpositive: bool
) -> None:
    with np.errstate(over="ignore"):
        finite = np.isfinite(ratings.astype(np.float32))
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputError(
            f"{where(rows[row])}: the rating {ratings[row]} is not a finite number; "
            "correct or remove the line."
        )
    if not allow_nonpositive and ratings.min() <= 0:
        row = int(np.argmax(ratings <= 0))
        raise InputError(
            f"{where(rows[row])}: the rating {ratings[row]:g} is not above zero, which here means "
            f"'not rated'; correct or remove the line, or give --not-rated {ratings[row]:g}."
        )
