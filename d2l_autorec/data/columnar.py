"""Parquet, where pyarrow is installed."""

from __future__ import annotations

from d2l_autorec.data.blobs import MAX_UNPACKED, Blob, blob_digest, readable
from d2l_autorec.data.delimited import COLUMNS, Parsed, check_columns, match_columns
from d2l_autorec.errors import InputError


def read_parquet(blob: Blob) -> Parsed:
    """Read ratings from a Parquet file with columns user, item, rating and, if there, timestamp.

    Parameters
    ----------
    blob : Blob
        The file; its columns go by the same names as in a CSV header.

    Returns
    -------
    Parsed

    Raises
    ------
    InputError
        If pyarrow is missing, the file is damaged or would unpack to more than 2 GiB, a column is
        missing, or a value is empty or not a number.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"{blob.label} is a Parquet file, which needs pyarrow; "
            "install it (pip install pyarrow) or save the ratings as CSV."
        ) from error
    with readable(blob.label), blob.open() as stream:
        file = pyarrow.parquet.ParquetFile(stream)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        if sum(group.total_byte_size for group in groups) > MAX_UNPACKED:
            raise InputError(f"{blob.label} holds more than {MAX_UNPACKED:,} bytes; split it.")
        names = file.schema_arrow.names
        found = match_columns(names)
        check_columns(found, blob.label)
        frame = file.read(columns=[names[i] for i in found.values()]).to_pandas()
        digest = blob_digest(blob)
    frame = frame.rename(columns={names[i]: column for column, i in found.items()})

    def where(row: int) -> str:
        return f"{blob.label}, row {row + 1}"

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
    try:
        frame = frame.astype({"rating": "float64", "timestamp": "int64"})
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{blob.label}: a rating or timestamp is not a number ({error}); correct the column."
        ) from error
    for column in ("user", "item"):
        frame[column] = frame[column].astype(str).astype("category")
    return Parsed(frame[list(COLUMNS)], digest, where)
