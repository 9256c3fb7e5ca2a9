"""A ratings table -> the matrix whose rows the network reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def interaction_matrix(
    table: pd.DataFrame,
    num_users: int,
    num_items: int,
    rows: np.ndarray | None = None,
    by_user: bool = False,
) -> np.ndarray:
    """Make the dense matrix that ``d2l.load_data_ml100k`` returns as ``inter``.

    d2l fills it one element at a time, and cuts ratings to whole numbers; here half stars stay.
    Where a pair is rated twice, the last rating stands, as in d2l.

    Parameters
    ----------
    table : pandas.DataFrame
        Ratings with ``user`` and ``item`` codes from 0.
    num_users, num_items : int
        The matrix's size.
    rows : numpy.ndarray of int64, optional
        The rows of the table to use, such as a split's; all by default.
    by_user : bool
        Give a row to each user instead of each item.

    Returns
    -------
    numpy.ndarray of float32, shape (num_items, num_users), or transposed with ``by_user``
        Zero where there is no rating.
    """
    users, items, values = _columns(table, rows)
    if by_user:
        users, items, num_users, num_items = items, users, num_items, num_users
    matrix = np.zeros((num_items, num_users), dtype=np.float32)
    matrix[items, users] = values  # NumPy assigns in order, so that the last of a pair stands
    return matrix


def interaction_csr(
    table: pd.DataFrame,
    num_users: int,
    num_items: int,
    rows: np.ndarray | None = None,
    by_user: bool = False,
) -> Any:
    """Make the same matrix in compressed sparse rows, without a dense one.

    Parameters
    ----------
    table, num_users, num_items, rows, by_user
        As for `interaction_matrix`.

    Returns
    -------
    scipy.sparse.csr_matrix of float32, shape (num_items, num_users)
        Transposed with ``by_user``; columns sorted. What is stored is what was rated, a rating
        of zero included.
    """
    from scipy import sparse

    users, items, values = _columns(table, rows)
    if by_user:
        users, items, num_users, num_items = items, users, num_items, num_users
    shape = (num_items, num_users)
    matrix = sparse.coo_matrix((values, (items, users)), shape=shape).tocsr()
    if matrix.nnz < len(values):  # SciPy has added up pairs that were rated twice
        pair = items.astype(np.int64) * num_users + users
        _, from_end = np.unique(pair[::-1], return_index=True)
        last = np.sort(len(values) - 1 - from_end)
        kept = (values[last], (items[last], users[last]))
        matrix = sparse.coo_matrix(kept, shape=shape).tocsr()
    matrix.sort_indices()
    return matrix


def _columns(
    table: pd.DataFrame, rows: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chosen = slice(None) if rows is None else rows
    user, item = table["user"].to_numpy()[chosen], table["item"].to_numpy()[chosen]
    return user, item, table["rating"].to_numpy(dtype=np.float32)[chosen]
