"""Find the ratings and the titles in a file, a folder or an archive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Callable

from d2l_autorec.data import known
from d2l_autorec.data.blobs import Blob, file_blob, open_archive, readable, unpacked
from d2l_autorec.data.workbook import sheet_as_csv
from d2l_autorec.errors import InputError, clip
from d2l_autorec.paths import kind, open_file

# Which file of titles goes with which file of ratings; recbole's .inter has an .item beside it.
LAYOUTS = {
    "u.data": ("u.item", "ml-100k.item"),
    "ratings.dat": ("movies.dat",),
    "ratings.csv": ("movies.csv",),
}
_PARTS = re.compile(r"u[1-5ab]\.(base|test)")  # of u.data
# What may lie beside the one file of ratings in an archive or a folder.
_BESIDE = re.compile(
    r"(?i)(readme|licen[cs]e|copying|changelog|citation)|.*\.(md|pdf|html?|rst|py|sh|pl|item)$"
)


@dataclass(frozen=True)
class Located:
    """A ratings file, the titles that go with it if there are any, and the data's name."""

    ratings: Blob
    titles: Blob | None
    name: str


def locate(path: str | Path) -> Located:
    """Find the ratings in what a user named: a file, or a folder or zip archive that holds one.

    Raises an InputError if there is nothing at the path or no ratings in it.
    """
    path = Path(path)
    found = kind(path)
    with readable(str(path)):
        if not found:
            raise InputError(f"{path} does not exist; check the path.")
        if found == "folder":
            files = {
                str(file.relative_to(path)): partial(file_blob, file)
                for pattern in ("*", "*/*")
                for file in sorted(path.glob(pattern))
                if kind(file) not in ("", "folder")
            }
            return _choose(files, path.resolve().name, path)
        if found != "file":
            raise InputError(f"{path} is not a file; save the ratings in one.")
        with open_file(path) as file:
            zipped = file.read(4) == b"PK\x03\x04"
    name = path.name
    if zipped or path.suffix in (".zip", ".xlsx", ".xlsm"):
        members = open_archive(path, str(path))
        if "xl/workbook.xml" in members:
            book = Blob(str(path), name, lambda: open_file(path))
            return Located(sheet_as_csv(book), None, name)
        if path.suffix != ".npz":
            packed = {member: partial(unpacked, blob) for member, blob in members.items()}
            return _choose(packed, path.stem, path)
    blob = file_blob(path)
    titles = [path.with_name(name) for name in _titles_of(blob.name)]
    beside = [file_blob(file) for file in titles if kind(file)]
    if blob.name in LAYOUTS:
        name = known.FOLDER_NAMES.get(path.resolve().parent.name, name)
    return Located(blob, beside[0] if beside else None, name)


def _titles_of(name: str) -> Sequence[str]:
    """Return the paths of files that may hold the titles for a ratings file."""
    if name.endswith(".inter"):
        return (name.removesuffix(".inter") + ".item",)
    return LAYOUTS.get("u.data" if _PARTS.fullmatch(name) else name, ())


def _choose(files: Mapping[str, Callable[[], Blob]], stem: str, label: Path) -> Located:
    """Choose among the files of a folder or an archive, in the latter also one folder down."""
    all_paths = [PurePosixPath(name.replace("\\", "/")) for name in files]
    blob_of = dict(zip(all_paths, files.values()))
    paths = [
        p
        for p in all_paths
        if len(p.parts) <= 2 and not any(part.startswith((".", "__MACOSX")) for part in p.parts)
    ]
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
            beside = [blob_of[p]() for p in titles if p in blob_of]
            called = known.FOLDER_NAMES.get(chosen.parent.name or stem, stem)
            return Located(blob_of[chosen](), beside[0] if beside else None, called)
    raise InputError(
        f"{label} holds none of {', '.join(LAYOUTS)} and no other file; name a MovieLens folder "
        "or archive, or the ratings file itself."
    )
