"""Write made-up ratings as CSV, or as NumPy's ``.npz``, which is read faster."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, Any, Callable

import numpy as np

from d2l_autorec.atomic import write_atomic
from d2l_autorec.data.synthetic import Chunk, Synthetic, chunks
from d2l_autorec.errors import refused
from d2l_autorec.paths import check_new_file

HEADER = "user,item,rating:synthetic\n"
"""`read_ratings` takes what follows the colon for a type."""
KINDS = (".csv", ".csv.gz", ".npz")


def write_synthetic(
    path: Path, what: Synthetic, advance: Callable[[int], object] = lambda made: None
) -> None:
    """Make ratings and write them as they are made, so that memory does not grow with them.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.csv.gz``: ids from 1 and "synthetic" in the header; `read_ratings`
        reads it. ``.npz``: arrays ``user``, ``item`` (codes from 0, int32) and ``rating``
        (float32), and ``name``.
    what : Synthetic
        What to make.
    advance : callable
        Told how many ratings have been made since the last call.

    Raises
    ------
    InputError
        If the path cannot be used.
    """
    check_new_file("--out", path, KINDS)

    def parts() -> Iterator[Chunk]:
        for part in chunks(what):
            yield part
            advance(len(part[0]))

    write = _write_npz if path.suffix == ".npz" else _write_csv
    with refused(f"--out {path} cannot be written", "name another folder"):
        write_atomic(path, lambda file: write(file, path, what, parts()))


def _write_csv(file: IO[bytes], path: Path, what: Synthetic, parts: Iterable[Chunk]) -> None:
    import pandas as pd

    out: Any = nullcontext(file)
    if path.suffix == ".gz":  # without name and time, so that equal ratings are equal files
        out = gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)
    with out as text:
        text.write(HEADER.encode())
        for user, item, rating in parts:
            if not what.half_stars:
                rating = rating.astype(np.int8)
            table = pd.DataFrame({"user": user + 1, "item": item + 1, "rating": rating})
            text.write(table.to_csv(index=False, header=False, lineterminator="\n").encode())


def _write_npz(file: IO[bytes], path: Path, what: Synthetic, parts: Iterable[Chunk]) -> None:
    """Write the arrays one after the other; two of them wait in temporary files."""
    kinds = {"user": "<i4", "item": "<i4", "rating": "<f4"}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        waiting = {name: Path(folder, name) for name in kinds}
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in waiting.values()]
            for part in parts:
                for column, kind, out in zip(part, kinds.values(), files):
                    column.astype(kind, copy=False).tofile(out)
        with zipfile.ZipFile(file, "w") as archive:
            with _member(archive, "name") as member:
                np.lib.format.write_array(member, np.array(what.name))
            for name, kind in kinds.items():
                with _member(archive, name) as member, waiting[name].open("rb") as column_file:
                    header = {"descr": kind, "fortran_order": False, "shape": (what.num_ratings,)}
                    np.lib.format.write_array_header_1_0(member, header)
                    shutil.copyfileobj(column_file, member, 1 << 20)


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
