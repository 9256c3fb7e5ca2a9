"""The contents of a model folder's files: ratings, ids and titles, each checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import sparse

from d2l_autorec.errors import InputError

TITLE_COLUMNS = ("title", "year", "genres")
AGAIN = "copy the model folder again or save the model anew"


def ratings_matrix(label: str, arrays: dict[str, np.ndarray], shape: tuple[int, int]) -> Any:
    """Make the sparse matrix after checking its parts."""
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
    """Check ids from JSON: sorted and distinct whole numbers or strings; else a ValueError."""
    if not isinstance(values, list) or len(values) != count or len({*map(type, values)}) > 1:
        raise ValueError
    if not values or type(values[0]) not in (int, str):
        raise ValueError
    # as objects: in an array of fixed width one long id would make all of them long
    ids: Any = np.array(values, np.int64 if type(values[0]) is int else object)
    if ids.dtype == object:
        _check_texts(values)
    if not (ids[1:] > ids[:-1]).all():
        raise ValueError
    return ids


def _check_texts(texts: Iterable[str]) -> None:
    """Refuse half of a character, which JSON can name, with a ValueError."""
    "".join(texts).encode()


def take_titles(columns: Any, item_ids: np.ndarray) -> Any:
    """Make the table of titles from JSON; a ValueError or KeyError if it is malformed."""
    import pandas as pd

    items = pd.DataFrame({"item_id": item_ids})
    for name, kind in zip(TITLE_COLUMNS, (str, int, str)):
        values = columns[name]
        if len(values) != len(item_ids) or not {*map(type, values)} <= {kind, type(None)}:
            raise ValueError
        if kind is str:
            _check_texts(filter(None, values))
        items[name] = pd.Series(values, dtype="Int64" if kind is int else object)
    return items
