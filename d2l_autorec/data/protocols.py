"""Named splits for ``--split``, folds for ``--folds``, and test files for ``--test``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from d2l_autorec.data import known
from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.npz import read_npz
from d2l_autorec.data.split import Rows, load_split, num_held_out, random_split, seq_aware_split
from d2l_autorec.errors import InputError, clip
from d2l_autorec.paths import kind

CANONICAL = ("u1", "u2", "u3", "u4", "u5", "ua", "ub")
NAMES = ("random", "seq-aware", "time", "leave-last", *CANONICAL)


def named_split(name: str, ratings: Ratings, test_ratio: float = 0.1) -> tuple[Rows, Rows]:
    """Split ratings by the name of a split, as given to ``--split``.

    Parameters
    ----------
    name : str
        ``random`` and ``seq-aware`` as the chapter splits, the first with MXNet's global
        generator; ``time``, ``leave-last``; ``u1`` to ``u5``, ``ua`` and ``ub`` of MovieLens 100K;
        or the path of a file that `d2l_autorec.data.split.save_split` wrote.
    ratings : Ratings
    test_ratio : float
        Share held out, for ``random`` and ``time``.

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64

    Raises
    ------
    InputError
        If there is no such split or file, or it does not fit the ratings.
    """
    if name in CANONICAL:
        return canonical_split(name, ratings)
    if name == "random":
        return random_split(ratings.table, test_ratio)
    if name not in NAMES:
        check_name(name)
        return load_split(name, ratings)
    if name == "leave-last":
        return leave_last_split(ratings)
    if name == "time":
        return time_split(ratings, test_ratio)
    _check_times(name, ratings)
    return seq_aware_split(ratings.table)


def check_name(name: str) -> None:
    """Raise an InputError unless a split of this name or a file at this path exists."""
    if name not in NAMES and kind(Path(name)) != "file":
        raise InputError(
            f"--split {clip(name)} is neither a split nor a file; use {', '.join(NAMES)}, or a "
            "file of row numbers that `study --splits` has saved."
        )


def canonical_split(name: str, ratings: Ratings) -> tuple[Rows, Rows]:
    """Return the rows of a split that MovieLens 100K comes with.

    ``u1`` to ``u5`` are five disjoint test sets of a fifth each; ``ua`` and ``ub`` have ten
    ratings of each user. They are those of GroupLens's ``u1.test`` and so on, as row numbers of
    ``u.data``.

    Parameters
    ----------
    name : str
        One of `CANONICAL`.
    ratings : Ratings

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64
        Rising.

    Raises
    ------
    InputError
        If the ratings are not those of MovieLens 100K, byte for byte.
    """
    count = len(ratings.table)
    if ratings.digest != known.DIGESTS["u.data"] or count != known.ML100K_RATINGS:
        raise InputError(
            f"--split {name} is a split of {known.ML100K}, and {ratings.name} is other data; use "
            "random, time or leave-last."
        )
    if name in ("ua", "ub"):
        steps = read_npz(Path(__file__).with_name("ml100k_splits.npz"))[name]
        test_rows = np.cumsum(steps.astype(np.int64))
    else:
        fifth = count // 5
        test_rows = np.arange(fifth) + (int(name[1:]) - 1) * fifth
    return np.delete(np.arange(count), test_rows), test_rows


def time_split(ratings: Ratings, test_ratio: float = 0.1) -> tuple[Rows, Rows]:
    """Hold out the latest ratings; of equal times, those that stand last in the file.

    Parameters
    ----------
    ratings : Ratings
    test_ratio : float
        Share held out, rounded to whole rows but at least 1.

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64
        Rising.

    Raises
    ------
    InputError
        If the ratings have no timestamps, or the share is none.
    """
    _check_times("time", ratings)
    count = len(ratings.table)
    order = np.argsort(ratings.table["timestamp"].to_numpy(), kind="stable")
    test_rows = np.sort(order[count - num_held_out(count, test_ratio) :])
    return np.delete(np.arange(count), test_rows), test_rows


def leave_last_split(ratings: Ratings) -> tuple[Rows, Rows]:
    """Hold out the latest rating of each user who has two or more.

    Of equal times the last in the file is held out. The chapter's ``seq-aware`` differs: it takes
    the first of these, and holds out a user's only rating.

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64
        Rising.

    Raises
    ------
    InputError
        If the ratings have no timestamps, or no user has two ratings.
    """
    _check_times("leave-last", ratings)
    user = ratings.table["user"].to_numpy()
    order = np.lexsort((ratings.table["timestamp"].to_numpy(), user))
    last = order[np.append(np.diff(user[order]) != 0, True)]
    test_rows = np.sort(last[np.bincount(user)[user[last]] > 1])
    if not len(test_rows):
        raise InputError(
            f"{ratings.name}: every user has one rating, and --split leave-last keeps that for "
            "training; use random."
        )
    return np.delete(np.arange(len(user)), test_rows), test_rows


def folds(num_rows: int, count: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield the folds of a cross-validation. Each row is held out once.

    The global generators are left alone.

    Parameters
    ----------
    num_rows : int
        Rows to split, at least ``count``.
    count : int
        How many folds, at least 2; their sizes differ by one at most.
    seed : int
        Seed of the draw.

    Yields
    ------
    train_rows, test_rows : numpy.ndarray of int64
        Rising.

    Raises
    ------
    InputError
        If there are fewer than 2 folds, or more than rows.
    """
    if not 2 <= count <= num_rows:
        raise InputError(f"--folds is {count}; give 2 to {num_rows}, the number of ratings.")
    order = np.random.default_rng(seed).permutation(num_rows)
    return (
        (np.delete(np.arange(num_rows), test_rows), test_rows)
        for test_rows in map(np.sort, np.array_split(order, count))
    )


def with_test_file(ratings: Ratings, test: Ratings) -> tuple[Ratings, tuple[Rows, Rows]]:
    """Join the ratings of a file to train on and of a file to test on, as ``--test`` does.

    Parameters
    ----------
    ratings, test : Ratings

    Returns
    -------
    both : Ratings
        Users and items of either file; the rows to train on come first.
    rows : (numpy.ndarray of int64, numpy.ndarray of int64)
        The rows to train on, and those to test on.

    Raises
    ------
    InputError
        If a pair is rated in both files, so that the score would be of what was trained on.
    """
    import pandas as pd

    columns, ids = {}, []
    for column, own, other in (
        ("user", ratings.user_ids, test.user_ids),
        ("item", ratings.item_ids, test.item_ids),
    ):
        if own.dtype != other.dtype:
            own, other = (np.array([str(i) for i in side], dtype=object) for side in (own, other))
        union = np.union1d(own, other)
        ids.append(union)
        codes = [
            np.searchsorted(union, side)[table[column].to_numpy()]
            for side, table in ((own, ratings.table), (other, test.table))
        ]
        columns[column] = np.concatenate(codes)
    tables = pd.concat([ratings.table, test.table], ignore_index=True)
    pairs = columns["item"] * len(ids[0]) + columns["user"]
    first, second = np.split(np.arange(len(pairs)), [len(ratings.table)])
    shared = int(np.isin(pairs[second], pairs[first]).sum())
    if shared:
        raise InputError(
            f"{test.name}: {shared:,} of its {len(second):,} ratings are of pairs that are also "
            f"in {ratings.name}, so that the score would be of what was trained on; leave them "
            "out of one file."
        )
    items = None
    if ratings.items is not None or test.items is not None:
        known_items = pd.concat([side.items for side in (ratings, test) if side.items is not None])
        known_items = known_items.assign(item_id=known_items["item_id"].astype(ids[1].dtype))
        known_items = known_items.sort_values("title", kind="stable", na_position="last")
        items = known_items.drop_duplicates("item_id").set_index("item_id").reindex(ids[1])
        items = items.reset_index(names="item_id")
    digest = hashlib.sha256((ratings.digest + test.digest).encode()).hexdigest()
    table = tables.assign(**columns)
    joined = replace(
        ratings, table=table, user_ids=ids[0], item_ids=ids[1], items=items, digest=digest
    )
    return joined, (first, second)


def _check_times(name: str, ratings: Ratings) -> None:
    if ratings.table["timestamp"].to_numpy().any():
        return
    said = ratings.understood.notices if ratings.understood else ()
    ignored = (text for text in said if text.startswith("The timestamps are ignored"))
    reason = next((f" ({text[:-1]})" for text in ignored), "")
    raise InputError(
        f"--split {name} needs timestamps, which {ratings.name} has not{reason}; name their "
        "column with --columns, or use random."
    )
