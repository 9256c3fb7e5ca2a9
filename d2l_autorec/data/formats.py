"""Ratings files of every known form -> one table: user, item, rating, timestamp."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from d2l_autorec.data import known
from d2l_autorec.data.blobs import Blob, file_blob, open_archive, readable
from d2l_autorec.data.columnar import read_parquet
from d2l_autorec.data.delimited import Parsed, clip, read_delimited
from d2l_autorec.data.titles import read_titles
from d2l_autorec.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# Which file of titles goes with which file of ratings.
LAYOUTS = {
    "u.data": ("u.item", "ml-100k.item"),
    "ratings.dat": ("movies.dat",),
    "ratings.csv": ("movies.csv",),
}
PARQUET = (".parquet", ".pq")
MAX_ID = 256


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings, with what is needed to get back from codes to people and films.

    Attributes
    ----------
    table : pandas.DataFrame
        In file order: ``user`` and ``item`` (codes from 0, int64), ``rating`` (float32),
        ``timestamp`` (int64, in the file's unit; 0 where the file has none).
    user_ids, item_ids : numpy.ndarray
        The original id of each code, sorted: int64 by size if all are whole numbers, else strings.
    items : pandas.DataFrame or None
        By item code: ``item_id``, ``title``, ``year``, ``genres``; None where titles are unknown.
    name : str
        What people call the data.
    digest : str
        SHA-256 of the ratings file's bytes (unpacked), in hex.
    """

    table: pd.DataFrame
    user_ids: np.ndarray
    item_ids: np.ndarray
    items: pd.DataFrame | None
    name: str
    digest: str

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
    """Find the ratings in what a user named: a file, a MovieLens folder or a zip archive of one.

    Raises
    ------
    InputError
        If there is nothing at the path or no ratings in it.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if path.is_dir():
        blobs = {
            name: file_blob(path / name) for name in _layout_names() if (path / name).exists()
        }
        return _choose(blobs, path.resolve().name, str(path))
    if not path.is_file():
        raise InputError(f"{path} is no file; save the ratings in one.")
    if path.suffix == ".zip" or _begins(path, b"PK\x03\x04"):
        return _choose(open_archive(path, str(path)), path.stem, str(path))
    blob = file_blob(path)
    titles = [path.with_name(name) for name in LAYOUTS.get(path.name, ())]
    beside = [file_blob(file) for file in titles if file.is_file()]
    name = known.FOLDER_NAMES.get(path.resolve().parent.name) if path.name in LAYOUTS else None
    return Located(blob, beside[0] if beside else None, name or path.name)


def read_ratings(
    path: str | Path, allow_nonpositive: bool = False, strict: bool = False
) -> Ratings:
    """Read ratings from a file, folder or archive of any known form.

    Parameters
    ----------
    path : str or Path
        A folder or zip archive of MovieLens (100K, 1M, 10M, 20M, 25M, latest), or a file: CSV or
        TSV, also gzipped, with or without a header, or Parquet. Ids may be of any kind.
    allow_nonpositive : bool
        Take ratings of zero and below as real values. The chapter cannot: its mask is the sign of
        the rating.
    strict : bool
        Refuse a second rating of the same item by the same user. Without it the last one stays,
        and a UserWarning says how many went.

    Returns
    -------
    Ratings

    Raises
    ------
    InputError
        If the data cannot be used; one sentence names the file and the line.
    """
    return read_located(locate(path), allow_nonpositive, strict)[0]


def read_located(
    located: Located, allow_nonpositive: bool = False, strict: bool = False
) -> tuple[Ratings, Callable[[int], str]]:
    """Read what `locate` found; see `read_ratings`.

    Returns
    -------
    ratings : Ratings
    where : callable
        Takes a row of the file and names its line, for checks that come after.
    """
    blob = located.ratings
    parsed = read_parquet(blob) if blob.name.endswith(PARQUET) else read_delimited(blob)
    _check_values(parsed, allow_nonpositive)
    table = parsed.frame.assign(rating=parsed.frame["rating"].astype("float32"))
    table["user"], user_ids = _encode(table["user"])
    table["item"], item_ids = _encode(table["item"])
    ratings = Ratings(
        table=_without_duplicates(table, parsed, strict, (user_ids, item_ids)),
        user_ids=user_ids,
        item_ids=item_ids,
        items=None if located.titles is None else read_titles(located.titles, item_ids),
        name=known.ML100K if parsed.digest == known.DIGESTS["u.data"] else located.name,
        digest=parsed.digest,
    )
    return ratings, parsed.where


def _layout_names() -> list[str]:
    return [name for ratings, titles in LAYOUTS.items() for name in (ratings, *titles)]


def _begins(path: Path, magic: bytes) -> bool:
    with readable(str(path)), open(path, "rb") as file:
        return file.read(len(magic)) == magic


def _choose(blobs: dict[str, Blob], stem: str, label: str) -> Located:
    """Choose among a folder's or an archive's files, there also one folder down."""
    for name, titles in LAYOUTS.items():
        found = [p for p in map(PurePosixPath, blobs) if p.name == name and len(p.parts) <= 2]
        if len(found) > 1:
            raise InputError(f"{label} holds {name} more than once; name the one that you mean.")
        if found:
            folder = found[0].parent
            beside = [blobs[str(folder / t)] for t in titles if str(folder / t) in blobs]
            called = known.FOLDER_NAMES.get(folder.name or stem, stem)
            return Located(blobs[str(found[0])], beside[0] if beside else None, called)
    raise InputError(
        f"{label} holds none of {', '.join(LAYOUTS)}; name a MovieLens folder or archive, "
        "or the ratings file itself."
    )


def _check_values(parsed: Parsed, allow_nonpositive: bool) -> None:
    ratings = parsed.frame["rating"].to_numpy()
    with np.errstate(over="ignore"):
        finite = np.isfinite(ratings.astype(np.float32))
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputError(
            f"{parsed.where(row)}: the rating {ratings[row]} is not a finite number; "
            "correct or remove the line."
        )
    if not allow_nonpositive and ratings.min() <= 0:
        row = int(np.argmax(ratings <= 0))
        raise InputError(
            f"{parsed.where(row)}: the rating {ratings[row]:g} is not above zero, "
            "which here means 'not rated'; correct or remove the line."
        )
    for column in ("user", "item"):
        labels = parsed.frame[column].cat.categories
        bad = [i for i, label in enumerate(labels) if not 0 < len(label.strip()) <= MAX_ID]
        if bad:
            codes = parsed.frame[column].cat.codes.to_numpy()
            row = int(np.argmax(np.isin(codes, bad)))
            raise InputError(
                f"{parsed.where(row)}: the {column} {clip(labels[codes[row]])} is no id; "
                f"write 1 to {MAX_ID} characters."
            )


def _encode(column: pd.Series) -> tuple[Any, np.ndarray]:
    """Turn a column of categories into codes from 0 and the sorted ids behind them."""
    labels = np.array([label.strip() for label in column.cat.categories])
    # Only what int() writes back unchanged is a number: "007" and "7" are two people.
    if all(re.fullmatch("0|-?[1-9][0-9]{0,17}", label) for label in labels):
        labels = labels.astype(np.int64)
    ids, position = np.unique(labels, return_inverse=True)
    return position.astype(np.int64)[column.cat.codes.to_numpy()], ids


def _without_duplicates(
    table: pd.DataFrame, parsed: Parsed, strict: bool, ids: tuple[np.ndarray, np.ndarray]
) -> pd.DataFrame:
    pair = table["item"] * len(ids[0]) + table["user"]
    if not pair.duplicated().any():
        return table
    rated_again = pair.duplicated(keep="last").to_numpy()
    row = int(np.argmax(pair.duplicated().to_numpy()))
    where = parsed.where(row)
    user, item = ids[0][table["user"].iloc[row]], ids[1][table["item"].iloc[row]]
    if strict:
        raise InputError(
            f"{where}: user {clip(user)} has rated item {clip(item)} before; "
            "keep one rating of each pair."
        )
    warnings.warn(
        f"{where}: user {clip(user)} has rated item {clip(item)} before; of each such pair the "
        f"last rating was kept, and {rated_again.sum():,} went.",
        stacklevel=2,
    )
    return table[~rated_again].reset_index(drop=True)
