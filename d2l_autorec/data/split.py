"""The book's two splits, a seeded split for validation, and files for splits.

A split is a pair of arrays of row numbers into a ratings table. Only these are ever saved: the
ratings themselves may not be passed on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.atomic import write_atomic, write_npz
from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.npz import read_npz
from d2l_autorec.errors import InputError, refused

if TYPE_CHECKING:
    import pandas as pd

Rows = np.ndarray
_ARRAYS = ("train_rows", "test_rows", "data_digest")  # in the file of a split


def check_ratio(test_ratio: float) -> None:
    """Raise an InputError unless the ratio lies strictly between 0 and 1."""
    if not 0 < test_ratio < 1:
        raise InputError(
            f"A test ratio of {test_ratio} leaves nothing to train or nothing to test; "
            "give one between 0 and 1, such as 0.1."
        )


def random_split(table: pd.DataFrame, test_ratio: float = 0.1) -> tuple[Rows, Rows]:
    """Split as ``d2l.split_data_ml100k(..., split_mode='random')`` does.

    Each rating is drawn on its own, so that the test share is only near ``test_ratio``. The draws
    come from MXNet's global generator: the same seed gives the same rows as d2l.

    Parameters
    ----------
    table : pandas.DataFrame
        Ratings; only its length counts.
    test_ratio : float
        Chance of a rating to be held out.

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64
        Row numbers, rising.
    """
    check_ratio(test_ratio)
    from mxnet import np as mx_np

    draws = mx_np.random.uniform(0, 1, len(table))
    in_train = (draws < 1 - test_ratio).asnumpy().astype(bool)
    return np.flatnonzero(in_train), np.flatnonzero(~in_train)


def seq_aware_split(table: pd.DataFrame) -> tuple[Rows, Rows]:
    """Hold out each user's latest rating, as d2l's ``split_mode='seq-aware'`` does.

    Parameters
    ----------
    table : pandas.DataFrame
        Ratings with timestamps.

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64
        Row numbers in d2l's order: training by user and time, ties in file order; test in the
        order in which the users first appear. Among a user's equal latest times the first in the
        file is held out.

    Raises
    ------
    InputError
        If no rating has a timestamp.
    """
    user, time = table["user"].to_numpy(), table["timestamp"].to_numpy()
    if not time.any():
        raise InputError(
            "The ratings have no timestamps, which the seq-aware split needs; "
            "add a timestamp column or choose the random split."
        )
    rows = np.arange(len(table))
    # a user's latest row is last; of equal times, the first in the file
    by_latest = np.lexsort((-rows, time, user))
    last = np.flatnonzero(np.append(np.diff(user[by_latest]) != 0, True))
    held_out = by_latest[last]  # (num_users,)

    # d2l drops training rows that are equal to a held-out one, not only that one itself
    of_user = np.empty(user.max() + 1, dtype=np.int64)
    of_user[user[held_out]] = held_out
    twin = of_user[user]
    is_test = np.ones(len(table), dtype=bool)
    for column in ("item", "rating", "timestamp"):
        values = table[column].to_numpy()  # each in its own type: float64 cannot hold every int64
        is_test &= values == values[twin]

    by_time = np.lexsort((time, user))
    first_seen = np.unique(user, return_index=True)[1]
    return by_time[~is_test[by_time]], held_out[np.argsort(first_seen)]


def holdout_split(num_rows: int, test_ratio: float, seed: int) -> tuple[Rows, Rows]:
    """Hold out an exact share of the rows, for validation or the paper's 90/10 protocol.

    The global generators are left alone.

    Parameters
    ----------
    num_rows : int
        Rows to split, at least 2.
    test_ratio : float
        Share to hold out, rounded to whole rows but at least 1 and at most ``num_rows - 1``.
    seed : int
        Seed of the draw.

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64
        Row numbers, rising.
    """
    num_test = num_held_out(num_rows, test_ratio)
    order = np.random.default_rng(seed).permutation(num_rows)
    return np.sort(order[num_test:]), np.sort(order[:num_test])


def num_held_out(num_rows: int, test_ratio: float) -> int:
    """Return how many rows `holdout_split` holds out; it says what is refused."""
    check_ratio(test_ratio)
    if num_rows < 2:
        raise InputError(f"{num_rows} rating(s) cannot be split; give at least 2.")
    return min(max(round(num_rows * test_ratio), 1), num_rows - 1)


def split_digest(test_rows: Rows) -> str:
    """SHA-256, in hex, of the held-out row numbers, sorted, as little-endian int64."""
    return hashlib.sha256(np.sort(test_rows).astype("<i8").tobytes()).hexdigest()


def save_split(path: str | Path, train_rows: Rows, test_rows: Rows, ratings: Ratings) -> None:
    """Save a split's row numbers, and the digest of the data that they count in, as ``.npz``.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    path = Path(path)
    columns = train_rows.astype("<i8"), test_rows.astype("<i8"), np.array(ratings.digest)
    arrays = dict(zip(_ARRAYS, columns))
    with refused(f"The split {path} cannot be written", "choose a folder that can be written to"):
        write_atomic(path, lambda file: write_npz(file, arrays, compressed=True))


def load_split(path: str | Path, ratings: Ratings) -> tuple[Rows, Rows]:
    """Load what `save_split` saved, and check that it belongs to these ratings.

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64

    Raises
    ------
    InputError
        If the file is missing, damaged, not a split, or of other data.
    """
    path = Path(path)
    num_rows = len(ratings.table)
    remedy = "save the split again"
    arrays = read_npz(path)
    sizes = [array.nbytes for array in arrays.values()]
    if set(arrays) != set(_ARRAYS) or max(sizes) > 8 * num_rows + 1024:
        raise InputError(f"{path} is not a split of this data; {remedy}.")
    train_rows, test_rows, digest = (arrays[name] for name in _ARRAYS)
    if str(digest) != ratings.digest:
        raise InputError(
            f"{path} splits the data with digest {str(digest)[:12]}..., but the ratings given "
            f"have {ratings.digest[:12]}...; {remedy} or give its data."
        )
    if any(rows.ndim != 1 or rows.dtype != np.int64 for rows in (train_rows, test_rows)):
        raise InputError(f"{path} does not hold row numbers; {remedy}.")
    rows = np.concatenate([train_rows, test_rows])
    if len(rows) and (rows.min() < 0 or rows.max() >= num_rows):
        raise InputError(f"{path} names rows outside 0 to {num_rows - 1}; {remedy}.")
    if len(np.unique(rows)) < len(rows):
        raise InputError(f"{path} names a row twice, so that tests could leak; {remedy}.")
    return train_rows, test_rows
