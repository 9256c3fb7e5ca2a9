"""Ratings files of every known form -> one table: user, item, rating, timestamp."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Callable

import numpy as np

from d2l_autorec.data import known
from d2l_autorec.data.blobs import Blob, file_blob, open_archive, readable, unpacked
from d2l_autorec.data.columnar import read_arrays, read_parquet
from d2l_autorec.data.delimited import Parsed, read_delimited
from d2l_autorec.data.form import clip
from d2l_autorec.data.json_lines import read_json
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.titles import read_titles
from d2l_autorec.data.understanding import Understanding, counts_of, suspicions, time_range
from d2l_autorec.data.values import id_codes, rated_rows, rating_values, time_values
from d2l_autorec.data.workbook import is_workbook, sheet_as_csv
from d2l_autorec.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# Which file of titles goes with which file of ratings; recbole's .inter has an .item beside it.
LAYOUTS = {
    "u.data": ("u.item", "ml-100k.item"),
    "ratings.dat": ("movies.dat",),
    "ratings.csv": ("movies.csv",),
}
_PARTS = re.compile(r"u[1-5ab]\.(base|test)")  # of u.data
PARQUET = (".parquet", ".pq")
# What may lie beside the one file of ratings in an archive or a folder.
_BESIDE = re.compile(
    r"(?i)(readme|licen[cs]e|copying|changelog|citation)|.*\.(md|pdf|html?|rst|py|sh|pl|item)$"
)


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings, with what is needed to get back from codes to people and films.

    Attributes
    ----------
    table : pandas.DataFrame
        In file order: ``user`` and ``item`` (codes from 0, int64), ``rating`` (float32),
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


@dataclass(frozen=True)
class Located:
    """A ratings file, the titles that go with it if there are any, and the data's name."""

    ratings: Blob
    titles: Blob | None
    name: str


def locate(path: str | Path) -> Located:
    """Find the ratings in what a user named: a file, or a folder or zip archive that holds one.

    Raises
    ------
    InputError
        If there is nothing at the path or no ratings in it.
    """
    path = Path(path)
    with readable(str(path)):
        if not path.exists():
            raise InputError(f"{path} does not exist; check the path.")
        if path.is_dir():
            files = {
                str(file.relative_to(path)): file
                for pattern in ("*", "*/*")
                for file in sorted(path.glob(pattern))
                if file.is_file()
            }
            return _choose(
                list(files), lambda name: file_blob(files[name]), path.resolve().name, path
            )
        if not path.is_file():
            raise InputError(f"{path} is no file; save the ratings in one.")
    name = path.name
    if path.suffix in (".zip", ".xlsx", ".xlsm") or _begins(path, b"PK\x03\x04"):
        members = open_archive(path, str(path))
        if is_workbook(members):
            return Located(
                sheet_as_csv(Blob(str(path), name, lambda: open(path, "rb"))), None, name
            )
        if path.suffix != ".npz":
            return _choose(list(members), lambda name: unpacked(members[name]), path.stem, path)
    blob = file_blob(path)
    titles = [path.with_name(name) for name in _titles_of(blob.name)]
    beside = [file_blob(file) for file in titles if file.is_file()]
    if blob.name in LAYOUTS:
        name = known.FOLDER_NAMES.get(path.resolve().parent.name, name)
    return Located(blob, beside[0] if beside else None, name)


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

    Returns
    -------
    ratings : Ratings
    where : callable
        Takes a record's number and names its line, for checks that come after; it is right as long
        as no row was left out.
    """
    options = options or ReadOptions()
    blob = located.ratings
    parsed, called = _parse(blob, options)
    frame, where, notices = parsed.frame, parsed.where, [*parsed.notices]
    values, decimal = rating_values(frame["rating"], options, where)
    keep, missing, not_rated = rated_rows(frame["rating"], values, options, where, notices)
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

    columns = {}
    ids = []
    for column in ("user", "item"):
        columns[column], labels, merged = id_codes(frame[column], where)
        ids.append(labels)
        if merged:
            notices.append(
                f"{merged:,} {column}s are written both like 101 and like 101.0; each is one."
            )
        notices.extend(_alike(labels, column))
    columns["rating"] = values.astype(np.float32)
    columns["timestamp"] = np.zeros(len(frame), np.int64) if times is None else times
    table = pd.DataFrame(columns)
    rows = frame.index.to_numpy()
    table, duplicates = _without_duplicates(
        table, ids, rows, where, options, times is not None, notices
    )
    items = _titles(located, options, ids[1], parsed, notices)
    found = table["rating"].to_numpy()
    first, last = (None, None) if times is None else time_range(table["timestamp"].to_numpy())
    understood = Understanding(
        file=blob.label, kind=parsed.kind, columns=parsed.places.why,
        separator=parsed.separator, encoding=parsed.encoding, decimal=decimal,
        users=len(ids[0]), items=len(ids[1]), ratings=len(table),
        low=float(found.min()), high=float(found.max()), counts=counts_of(found),
        duplicates=duplicates, missing=missing, not_rated=not_rated,
        titles=None if items is None else int(items["title"].notna().sum()),
        timestamps=timestamps, first=first, last=last, notices=tuple(notices),
        warnings=tuple(suspicions(table, len(ids[0]), len(ids[1]))),
    )  # fmt: skip
    ratings = Ratings(
        table=table,
        user_ids=ids[0],
        item_ids=ids[1],
        items=items,
        name=called
        or (known.ML100K if parsed.digest == known.DIGESTS["u.data"] else located.name),
        digest=_digest(parsed.digest, options),
        understood=understood,
    )
    return ratings, where


def _parse(blob: Blob, options: ReadOptions) -> tuple[Parsed, str | None]:
    """Read a file of any kind; only the arrays of ``synthetic`` have a name."""
    if blob.name.endswith(".npz"):
        return read_arrays(blob, Path(blob.label))
    if blob.name.endswith(PARQUET):
        return read_parquet(blob, options), None
    with readable(blob.label), blob.open() as stream:
        start = stream.read(1024)
    if start.startswith(b"PAR1"):
        return read_parquet(blob, options), None
    for magic, said in _OTHERS.items():
        if re.match(magic, start):
            raise InputError(f"{blob.label} {said}; save the ratings as CSV.")
    if re.match(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*"', start):
        return read_json(blob, options), None
    return read_delimited(blob, options), None


_OTHERS = {
    rb"\xd0\xcf\x11\xe0": "is an old Excel workbook (.xls)",
    rb"\x80[\x02-\x05]": "is a pickle, which is not opened because it may run code",
    rb"\x89HDF": "is an HDF5 file",
    rb"SQLite format 3": "is an SQLite database",
    rb"\x93NUMPY": "is a NumPy array",
    rb"(?s).{257}ustar": "is a tar archive; unpack it, or",
}


def _alike(ids: np.ndarray, column: str) -> list[str]:
    """Warn of ids that differ as 101 and 101.0 do, amid others that are no numbers."""
    if ids.dtype.kind == "i":
        return []
    whole = {text for text in ids if re.fullmatch(r"-?[0-9]+", text)}
    both = [text for text in ids if re.fullmatch(r"-?[0-9]+\.0", text) and text[:-2] in whole]
    return (
        [f"{len(both):,} {column}s differ from another as {both[0]} and {both[0][:-2]} do."]
        if both
        else []
    )


def _titles(
    located: Located,
    options: ReadOptions,
    item_ids: np.ndarray,
    parsed: Parsed,
    notices: list[str],
) -> pd.DataFrame | None:
    """Read the titles that were named, or those beside the ratings if they can be read."""
    column = parsed.places.why.get("item", "").strip("'")
    if options.titles is not None:
        if not options.titles.is_file():
            raise InputError(f"--titles {options.titles} is no file; check the path.")
        return read_titles(file_blob(options.titles), item_ids, column, options.encoding)
    if located.titles is None:
        return None
    try:
        return read_titles(located.titles, item_ids, column)
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


def _begins(path: Path, magic: bytes) -> bool:
    with readable(str(path)), open(path, "rb") as file:
        return file.read(len(magic)) == magic


def _titles_of(name: str) -> Sequence[str]:
    """Name the files that may hold the titles for a file of ratings."""
    if name.endswith(".inter"):
        return (name[: -len(".inter")] + ".item",)
    return LAYOUTS.get("u.data" if _PARTS.fullmatch(name) else name, ())


def _choose(names: list[str], blob: Callable[[str], Blob], stem: str, label: Path) -> Located:
    """Choose among a folder's or an archive's files, there also one folder down."""
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    of = dict(zip(paths, names))
    paths = [
        p for p in paths
        if len(p.parts) <= 2 and not any(part.startswith((".", "__MACOSX")) for part in p.parts)
    ]  # fmt: skip
    for fits in (
        *(lambda p, name=name: p.name == name for name in LAYOUTS),
        lambda p: p.suffix == ".inter",
        lambda p: p.name.lower().split(".")[0] == "ratings",
        lambda p: len(p.parts) == 1 and not _BESIDE.match(p.name),
        lambda p: not _BESIDE.match(p.name),
    ):
        found = [p for p in paths if fits(p)]
        shallow = [p for p in found if len(p.parts) == 1] or found
        if len(shallow) > 1:
            listed = ", ".join(clip(p) for p in shallow[:4])
            raise InputError(
                f"{label} holds several files that may be the ratings ({listed}); name the one "
                "that you mean."
            )
        if shallow:
            chosen = shallow[0]
            titles = [chosen.with_name(name) for name in _titles_of(chosen.name)]
            beside = [blob(of[p]) for p in titles if p in of]
            called = known.FOLDER_NAMES.get(chosen.parent.name or stem, stem)
            return Located(blob(of[chosen]), beside[0] if beside else None, called)
    raise InputError(
        f"{label} holds none of {', '.join(LAYOUTS)} and no other file; name a MovieLens folder "
        "or archive, or the ratings file itself."
    )


def _check_values(
    ratings: np.ndarray, rows: pd.Index, where: Callable[[int], str], allow_nonpositive: bool
) -> None:
    with np.errstate(over="ignore"):
        finite = np.isfinite(ratings.astype(np.float32))
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputError(
            f"{where(int(rows[row]))}: the rating {ratings[row]} is not a finite number; "
            "correct or remove the line."
        )
    if not allow_nonpositive and ratings.min() <= 0:
        row = int(np.argmax(ratings <= 0))
        raise InputError(
            f"{where(int(rows[row]))}: the rating {ratings[row]:g} is not above zero, "
            "which here means 'not rated'; correct or remove the line, or give --not-rated "
            f"{ratings[row]:g}."
        )


def _without_duplicates(
    table: pd.DataFrame,
    ids: list[np.ndarray],
    rows: np.ndarray,
    where: Callable[[int], str],
    options: ReadOptions,
    timed: bool,
    notices: list[str],
) -> tuple[pd.DataFrame, int]:
    """Leave one rating of each pair, in the place of the latest."""
    pair = table["item"] * len(ids[0]) + table["user"]
    again = pair.duplicated().to_numpy()
    if not again.any():
        return table, 0
    row = int(np.argmax(again))
    user, item = ids[0][table["user"].iloc[row]], ids[1][table["item"].iloc[row]]
    said = f"{where(int(rows[row]))}: user {clip(user)} has rated item {clip(item)} before"
    if options.duplicates == "error":
        raise InputError(f"{said}; keep one rating of each pair.")
    kept = "last"
    order = np.arange(len(table))
    if timed:
        order, kept = np.argsort(table["timestamp"].to_numpy(), kind="stable"), "latest"
    stays = np.sort(order[~pair.iloc[order].duplicated(keep="last").to_numpy()])
    if options.duplicates == "mean":
        kept = "mean"
        mean = table["rating"].astype("float64").groupby(pair.to_numpy()).mean()
        table = table.assign(rating=mean.loc[pair].to_numpy(np.float32))
    went = len(table) - len(stays)
    notices.append(f"{said}; of each such pair the {kept} rating was kept, and {went:,} went.")
    return table.iloc[stays].reset_index(drop=True), went
