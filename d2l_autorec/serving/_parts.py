"""The contents of a model folder's files: arrays, ratings, ids and titles, each checked."""

from __future__ import annotations

import math
import os
import zipfile
from typing import Any, BinaryIO

import numpy as np
from scipy import sparse

from d2l_autorec.data.stored import read_header
from d2l_autorec.errors import InputError

TITLE_COLUMNS = ("title", "year", "genres")
AGAIN = "copy the model folder again or save the model anew"

_MAX_HEADER = 1024  # of an array; NumPy's take 128 bytes


def read_arrays(
    file: BinaryIO, forms: dict[str, tuple[tuple[int, ...], str]]
) -> dict[str, np.ndarray]:
    """Read an npz of exactly these arrays, each of this shape and type.

    They must lie unpacked, and no bytes may serve for two of them: so they can't take more memory
    than the file takes room.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(info.file_size for info in members) > os.fstat(file.fileno()).st_size:
            raise InputError(f"{file.name} would unpack to more than its own size; {AGAIN}.")
        if sorted(info.filename for info in members) != sorted(f"{name}.npy" for name in forms):
            raise InputError(f"{file.name} holds other arrays than {', '.join(forms)}; {AGAIN}.")
        arrays = {}
        for info in members:
            name = info.filename[: -len(".npy")]
            shape, kind = forms[name]
            size = math.prod(shape) * np.dtype(kind).itemsize
            fits = size < info.file_size <= size + _MAX_HEADER
            if not fits or info.compress_type != zipfile.ZIP_STORED:
                raise _unfit(file, name, shape)
            with archive.open(info) as stream:
                if read_header(stream) != (shape, False, np.dtype(kind)):
                    raise _unfit(file, name, shape)
                content = stream.read()
                if len(content) != size:
                    raise _unfit(file, name, shape)
                arrays[name] = np.frombuffer(content, kind).reshape(shape).copy()
    return {name: arrays[name] for name in forms}


def _unfit(file: BinaryIO, name: str, shape: tuple[int, ...]) -> InputError:
    size = " x ".join(map(str, shape))
    return InputError(
        f"{file.name}: {name} is not the {size} array that model.json implies; {AGAIN}."
    )


def ratings_matrix(label: str, arrays: dict[str, np.ndarray], shape: tuple[int, int]) -> Any:
    """Make the matrix, after checking that it can be one."""
    indptr, indices, data = (arrays[name] for name in ("indptr", "indices", "data"))
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise InputError(f"{label}: indptr does not divide the ratings into rows; {AGAIN}.")
    if len(indices) and (indices.min() < 0 or indices.max() >= shape[1]):
        raise InputError(f"{label} names columns outside 0 to {shape[1] - 1}; {AGAIN}.")
    place = np.repeat(np.arange(shape[0]), np.diff(indptr)) * shape[1] + indices
    if (np.diff(place) <= 0).any():
        raise InputError(f"{label}: a row's columns are not in order, each once; {AGAIN}.")
    if not np.isfinite(data).all():
        raise InputError(f"{label} holds ratings that are not finite; {AGAIN}.")
    return sparse.csr_matrix((data, indices, indptr), shape=shape)


def take_ids(values: Any, count: int) -> np.ndarray:
    """Take ids from JSON: whole numbers or strings, in order, each once; else a ValueError."""
    if not isinstance(values, list) or len(values) != count or len({*map(type, values)}) > 1:
        raise ValueError
    if not values or type(values[0]) not in (int, str):
        raise ValueError
    # as objects: in an array of fixed width one long id would make all of them long
    ids: Any = np.array(values, np.int64 if type(values[0]) is int else object)
    if not (ids[1:] > ids[:-1]).all():
        raise ValueError
    return ids


def take_titles(columns: Any, item_ids: np.ndarray) -> Any:
    """Make the table of titles from JSON; a ValueError or KeyError if it is none."""
    import pandas as pd

    items = pd.DataFrame({"item_id": item_ids})
    for name, kind in zip(TITLE_COLUMNS, (str, int, str)):
        values = columns[name]
        if len(values) != len(item_ids) or not {*map(type, values)} <= {kind, type(None)}:
            raise ValueError
        items[name] = pd.Series(values, dtype="Int64" if kind is int else object)
    return items
