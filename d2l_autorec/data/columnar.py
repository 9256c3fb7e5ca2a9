"""Parquet, where pyarrow is installed, and the arrays that ``synthetic`` writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.data.blobs import Blob, blob_digest, readable, swells
from d2l_autorec.data.columns import Places, take_columns
from d2l_autorec.data.delimited import Parsed
from d2l_autorec.data.npz import read_npz
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError, plain
from d2l_autorec.packages import require

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

_PYARROW = 15  # before 14.0.1 it could run what a file holds (CVE-2023-47248)
_ROW_BYTES = 24  # two codes and a rating, once read


def read_parquet(blob: Blob, options: ReadOptions) -> Parsed:
    """Read ratings from a Parquet file with columns user, item, rating and, if there, timestamp.

    They go by the same names as in a CSV header. Ids are whole numbers, also as floating point, or
    text. Raises an InputError if pyarrow is missing or does not fit NumPy, the file is damaged or
    would unpack to more than 2 GiB or 200 times its size, a column is missing or of a type that it
    cannot have, or a value is empty.
    """
    what = f"{blob.label} is a Parquet file, which"
    require("pyarrow.parquet", "parquet", what, ", or save the ratings as CSV", _PYARROW)
    import pyarrow

    def where(row: int) -> str:
        return f"{blob.label}, row {row + 1}"

    try:
        with readable(blob.label):
            (frame, places), digest = _read(blob, options), blob_digest(blob)
    except pyarrow.ArrowException as error:  # the few that are no ValueError, OSError or the like
        raise InputError(
            f"{blob.label} is damaged ({plain(error).strip()}); save it again."
        ) from error
    if not len(frame):
        raise InputError(f"{blob.label} is empty; give a file with at least one rating.")
    for column in ("user", "item"):
        empty = frame[column].isna().to_numpy()
        if empty.any():
            row = int(empty.argmax())
            raise InputError(f"{where(row)}: the {column} is empty; correct or remove the row.")
        if frame[column].dtype.kind == "f":
            numbers = frame[column].to_numpy()
            whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)
            if not whole.all():
                row = int(np.argmin(whole))
                raise InputError(
                    f"{where(row)}: the {column} {numbers[row]:g} is not a whole number; save the "
                    f"{column}s as whole numbers or text."
                )
            frame[column] = numbers.astype(np.int64)
        # pandas keeps categories that no row has
        ids = frame[column].astype("category").cat.remove_unused_categories()
        frame[column] = ids.cat.rename_categories([str(name) for name in ids.cat.categories])
    return Parsed(frame, digest, where, "Parquet", places, notices=places.notices)


def _read(blob: Blob, options: ReadOptions) -> tuple[pd.DataFrame, Places]:
    import pyarrow.parquet

    with blob.open() as stream:
        file = pyarrow.parquet.ParquetFile(stream)
        names = file.schema_arrow.names
        places = take_columns(names, dict(options.columns), blob.label)
        about, packed = file.metadata, stream.seek(0, os.SEEK_END)
        groups = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
        size = max(sum(groups), about.num_rows * _ROW_BYTES)
        if swells(size, packed):
            raise InputError(
                f"{blob.label} would unpack to {size:,} bytes ({size / max(packed, 1):.0f} times "
                "its size); split it, or save the ratings as CSV."
            )
        for column, i in places.at.items():
            _check_type(blob.label, column, file.schema_arrow.field(i).type)
        # text stays a dictionary and codes, lest one long id on a million rows be a million texts
        texts = [names[places.at[column]] for column in ("user", "item")]
        file = pyarrow.parquet.ParquetFile(stream, read_dictionary=texts)
        table = file.read(columns=[names[i] for i in places.at.values()])
        frame = table.to_pandas(ignore_metadata=True)
    return frame.rename(columns={names[i]: column for column, i in places.at.items()}), places


def _check_type(label: str, column: str, kind: pyarrow.DataType) -> None:
    from pyarrow import types

    if column in ("user", "item"):
        value = kind.value_type if types.is_dictionary(kind) else kind
        fits = types.is_integer(kind) or types.is_string(value) or types.is_large_string(value)
        fits |= types.is_floating(kind)
        wanted = "whole numbers or text"
    else:
        fits = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
        fits |= column == "timestamp" and types.is_timestamp(kind)
        wanted = "numbers"
    if not fits:
        raise InputError(f"{label}: the {column}s are of type {kind}; save them as {wanted}.")


def read_arrays(blob: Blob, path: Path) -> Parsed:
    """Read the ``.npz`` that `d2l_autorec.data.synthetic_files.write_synthetic` writes.

    Ids are codes + 1, as in the CSV that it writes. Raises an InputError if the file is damaged or
    holds other arrays.
    """
    import pandas as pd

    arrays = read_npz(path)
    kinds = {"user": "i", "item": "i", "rating": "f"}
    if set(arrays) != {*kinds, "name"} or arrays["name"].shape or arrays["name"].dtype.kind != "U":
        raise InputError(
            f"{path} holds no ratings as the synthetic command writes them; save them as CSV."
        )
    name, shape = str(arrays.pop("name")), arrays["rating"].shape
    if (
        len(shape) != 1
        or not shape[0]
        or any((arrays[c].shape, arrays[c].dtype.kind) != (shape, kinds[c]) for c in kinds)
        or min(arrays["user"].min(), arrays["item"].min()) < 0
    ):
        raise InputError(f"{path}: its arrays are not columns of ratings; make it again.")
    frame = pd.DataFrame({"rating": arrays.pop("rating")}, copy=False)
    for column in ("user", "item"):
        codes, labels = pd.factorize(arrays.pop(column), sort=True)
        texts = [str(label + 1) for label in labels.tolist()]
        frame[column] = pd.Categorical.from_codes(codes, texts)
        del codes  # twice as long as what it has become
    places = Places({}, {column: f"array {column!r}" for column in kinds})
    digest = blob_digest(blob)
    return Parsed(frame, digest, lambda row: f"{path}, rating {row + 1}", "npz", places, name=name)
