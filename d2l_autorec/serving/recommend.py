"""Recommendations: the best unrated items of each user, and single predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.errors import InputError
from d2l_autorec.serving.filters import Filters
from d2l_autorec.serving.lookup import find_codes, item_columns
from d2l_autorec.serving.model import Model

_CELLS = 16 * 1024**2  # predictions held at once: 64 MiB


def recommend(
    model: Model,
    users: Iterable[Any] | None = None,
    n: int = 10,
    min_ratings: int = 1,
    filters: Filters | None = None,
) -> pd.DataFrame:
    """Return each user's best items among those without a training rating of theirs.

    Parameters
    ----------
    users : iterable of ids, optional
        All users where left out.
    n : int
        Items for each user; fewer where fewer are left.
    min_ratings : int
        Training ratings that an item needs. Of an item with few of them the network has read next
        to nothing; of one without any, its prediction comes from the biases alone.
    filters : Filters, optional
        Which items may be recommended; all by default.

    Returns
    -------
    pandas.DataFrame
        ``user``, ``rank`` from 1, ``item``, ``title``, ``year`` and ``genres`` where known,
        ``prediction`` (clipped to the rating range; the order is that before clipping), and
        ``num_ratings``, the item's training ratings.

    Raises
    ------
    InputError
        If a user is unknown, n or min_ratings cannot be, or from the filters.
    """
    blocks = list(recommend_in_blocks(model, users, n, min_ratings, filters))
    return blocks[0] if len(blocks) == 1 else pd.concat(blocks, ignore_index=True)


def recommend_in_blocks(
    model: Model,
    users: Iterable[Any] | None = None,
    n: int = 10,
    min_ratings: int = 1,
    filters: Filters | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield the table of `recommend` in blocks of whole users, so that memory is bounded."""
    check_numbers(n, min_ratings)
    everybody = np.arange(len(model.user_ids))
    codes = everybody if users is None else find_codes(model, "user", users)
    left_out = (filters or Filters()).left_out(model)
    left_out |= model.trained.counts("item") < min_ratings
    step = max(1, _CELLS // len(model.item_ids))
    for start in range(0, max(len(codes), 1), step):
        some = codes[start : start + step]
        scores = model.trained.score_users(some)  # (users, items)
        row, item, rank = best_unrated(model, some, scores, left_out, n)
        yield ranked(model, item, rank, scores[row, item], user=model.user_ids[some[row]])


def ranked(model: Model, item: Any, rank: Any, value: Any, **first: np.ndarray) -> pd.DataFrame:
    """Make the table of recommendations; ``first`` are the columns that lead."""
    columns = {**first, "rank": rank, **item_columns(model, item)}
    columns["prediction"] = np.clip(value, model.low, model.high)
    return pd.DataFrame({**columns, "num_ratings": model.trained.counts("item")[item]})


def check_numbers(n: int, min_ratings: int = 0) -> None:
    """Raise an InputError unless n is at least 1 and min_ratings at least 0."""
    if n < 1:
        raise InputError(f"n is {n}; ask for at least 1.")
    if min_ratings < 0:
        raise InputError(f"min_ratings is {min_ratings}; give 0 or more.")


def best_unrated(
    model: Model, users: np.ndarray, scores: np.ndarray, left_out: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `best_columns` of scores (users, items), without rated items and those left out.

    The scores of these become ``-inf``.
    """
    seen = model.trained.oriented("user")[users]
    scores[np.repeat(np.arange(len(users)), np.diff(seen.indptr)), seen.indices] = -np.inf
    scores[:, left_out] = -np.inf
    return best_columns(scores, n)


def best_columns(scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, column and rank from 1 of the n largest entries of each row.

    Entries of ``-inf`` are left out. Of equal entries the one further left comes first, so that a
    longer list begins with the shorter one.
    """
    n = min(n, scores.shape[1])
    least = -np.partition(-scores, n - 1, axis=1)[:, n - 1 : n]  # the n-th largest of each row
    equal = scores == least
    room = n - (scores > least).sum(axis=1, keepdims=True)
    taken = (scores > least) | (equal & (np.cumsum(equal, axis=1) <= room))
    best = np.nonzero(taken)[1].reshape(len(scores), n)
    order = np.lexsort((best, -np.take_along_axis(scores, best, axis=1)), axis=1)
    best = np.take_along_axis(best, order, axis=1)  # (rows, n), the largest first
    row, place = np.nonzero(np.take_along_axis(scores, best, axis=1) > -np.inf)
    return row, best[row, place], place + 1


def predict(model: Model, users: Iterable[Any], items: Iterable[Any]) -> pd.DataFrame:
    """Predict single ratings.

    Parameters
    ----------
    model : Model
    users, items : iterables of ids
        Of equal length: one pair for each prediction.

    Returns
    -------
    pandas.DataFrame
        ``user``, ``item``, ``title``, ``year`` and ``genres`` where known, ``prediction`` (clipped
        to the rating range), ``rating`` (in training; nan where there was none) and ``num_read``,
        how many ratings were read for it: with 0 the prediction is one of the biases alone. A
        blend of both kinds reads the item's ratings and the user's.

    Raises
    ------
    InputError
        If an id is unknown or the two differ in length.
    """
    user, item = find_codes(model, "user", users), find_codes(model, "item", items)
    if len(user) != len(item):
        raise InputError(f"There are {len(user)} users and {len(item)} items; give pairs.")
    trained = model.trained
    value = trained.score_pairs(user, item)
    read = np.zeros(len(user), np.int64)
    for by, codes in (("item", item), ("user", user)):
        if any(network.by == by for network in trained.networks):
            read += trained.counts(by)[codes]
    columns = {"user": model.user_ids[user], **item_columns(model, item)}
    columns["prediction"] = np.clip(value, model.low, model.high)
    return pd.DataFrame({**columns, "rating": rated(model, user, item), "num_read": read})


def rated(model: Model, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return the training ratings of pairs of codes; nan where there is none."""
    asked, at_row = np.unique(users, return_inverse=True)
    matrix = model.trained.oriented("user")[asked]
    if not matrix.nnz:
        return np.full(len(users), np.nan, np.float32)
    width = np.int64(matrix.shape[1])
    row = np.repeat(np.arange(len(asked)), np.diff(matrix.indptr))
    place, wanted = row * width + matrix.indices, at_row * width + items
    at = np.minimum(np.searchsorted(place, wanted), len(place) - 1)
    return np.where(place[at] == wanted, matrix.data[at], np.float32(np.nan))
