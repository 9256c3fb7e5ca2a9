"""Parquet, where pyarrow is installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.data.blobs import MAX_UNPACKED, Blob, blob_digest, readable, swells
from d2l_autorec.data.delimited import COLUMNS, Parsed, check_columns, match_columns
from d2l_autorec.errors import InputError, plain

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

_PYARROW = 15  # before 14.0.1 it could run what a file holds (CVE-2023-47248)
_ROW_BYTES = 24  # two codes and a rating, once read


def read_parquet(blob: Blob) -> Parsed:
    """Read ratings from a Parquet file with columns user, item, rating and, if there, timestamp.

    Parameters
    ----------
    blob : Blob
        The file; its columns go by the same names as in a CSV header. Ids are whole numbers or
        text.

    Returns
    -------
    Parsed

    Raises
    ------
    InputError
        If pyarrow is missing or does not fit NumPy, the file is damaged or would unpack to more
        than 2 GiB or 200 times its size, a column is missing or of a type that it cannot have, or
        a value is empty.
    """
    try:
        import pyarrow.parquet

        if int(pyarrow.__version__.split(".")[0]) < _PYARROW:
            raise ImportError(f"{pyarrow.__version__} is too old")
    except ImportError as error:
        raise InputError(
            f"{blob.label} is a Parquet file, which needs pyarrow ({error}); "
            'install it (pip install "d2l-autorec[parquet]") or save the ratings as CSV.'
        ) from error

    def where(row: int) -> str:
        return f"{blob.label}, row {row + 1}"

    try:
        with readable(blob.label):
            frame, digest = _read(blob), blob_digest(blob)
    except pyarrow.ArrowException as error:  # the few that are no ValueError, OSError or the like
        raise InputError(
            f"{blob.label} is damaged ({plain(error).strip()}); save it again."
        ) from error
    if not len(frame):
        raise InputError(f"{blob.label} is empty; give a file with at least one rating.")
    for column in frame.columns:
        empty = frame[column].isna().to_numpy()
        if empty.any():
            raise InputError(
                f"{where(int(empty.argmax()))}: the {column} is empty; correct or remove the row."
            )
    if "timestamp" not in frame:
        frame["timestamp"] = 0
    times = frame["timestamp"].to_numpy()
    if times.dtype.kind == "f" and not (within := np.abs(times) < 2**63).all():
        row = int(np.argmin(within))
        raise InputError(
            f"{where(row)}: the timestamp {times[row]:g} is no time; correct or remove the row."
        )
    frame = frame.astype({"rating": "float64", "timestamp": "int64"})
    for column in ("user", "item"):
        # pandas keeps categories that no row has
        ids = frame[column].astype("category").cat.remove_unused_categories()
        frame[column] = ids.cat.rename_categories(ids.cat.categories.astype(str))
    return Parsed(frame[list(COLUMNS)], digest, where)


def _read(blob: Blob) -> pd.DataFrame:
    import pyarrow.parquet

    with blob.open() as stream:
        file = pyarrow.parquet.ParquetFile(stream)
        names = file.schema_arrow.names
        found = match_columns(names)
        check_columns(found, blob.label)
        _check_size(blob.label, stream.seek(0, os.SEEK_END), file.metadata)
        for column, i in found.items():
            _check_type(blob.label, column, file.schema_arrow.field(i).type)
        # text stays a dictionary and codes, lest one long id on a million rows be a million texts
        texts = [names[found[column]] for column in ("user", "item")]
        file = pyarrow.parquet.ParquetFile(stream, read_dictionary=texts)
        table = file.read(columns=[names[i] for i in found.values()])
        frame = table.to_pandas(ignore_metadata=True)
    return frame.rename(columns={names[i]: column for column, i in found.items()})


def _check_size(label: str, packed: int, metadata: pyarrow.parquet.FileMetaData) -> None:
    groups = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    size = max(sum(groups), metadata.num_rows * _ROW_BYTES)
    if size > MAX_UNPACKED or swells(size, packed):
        raise InputError(
            f"{label} would unpack to {size:,} bytes ({size / max(packed, 1):.0f} times its "
            "size); split it, or save the ratings as CSV."
        )


def _check_type(label: str, column: str, kind: pyarrow.DataType) -> None:
    from pyarrow import types

    if column in ("user", "item"):
        value = kind.value_type if types.is_dictionary(kind) else kind
        fits = types.is_integer(kind) or types.is_string(value) or types.is_large_string(value)
        wanted = "whole numbers or text"
    else:
        fits = types.is_integer(kind) or types.is_floating(kind)
        fits |= column == "timestamp" and types.is_timestamp(kind)
        wanted = "numbers"
    if not fits:
        raise InputError(f"{label}: the {column}s are of type {kind}; save them as {wanted}.")
