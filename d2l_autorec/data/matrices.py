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
    rows : numpy.ndarray of int64, optional
        The rows of the table to use, such as a split's; all by default.
    by_user : bool
        Give a row to each user instead of each item.

    Returns
    -------
    numpy.ndarray of float32, shape (num_items, num_users), or transposed with ``by_user``
        Zero where there is no rating.
    """
    shape, cells, values = _cells(table, num_users, num_items, rows, by_user)
    matrix = np.zeros(shape, dtype=np.float32)
    matrix[cells] = values  # NumPy assigns in order, so that the last of a pair stands
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

    shape, cells, values = _cells(table, num_users, num_items, rows, by_user)
    matrix = sparse.coo_matrix((values, cells), shape=shape).tocsr()
    if matrix.nnz < len(values):  # SciPy has added up pairs that were rated twice
        row, column = cells
        pair = row.astype(np.int64) * shape[1] + column
        _, from_end = np.unique(pair[::-1], return_index=True)
        last = np.sort(len(values) - 1 - from_end)
        kept = (values[last], (row[last], column[last]))
        matrix = sparse.coo_matrix(kept, shape=shape).tocsr()
    matrix.sort_indices()
    return matrix


def _cells(
    table: pd.DataFrame, num_users: int, num_items: int, rows: np.ndarray | None, by_user: bool
) -> tuple[tuple[int, int], tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return the matrix's shape, the rows and columns of its ratings, and the ratings."""
    chosen = slice(None) if rows is None else rows
    user, item = table["user"].to_numpy()[chosen], table["item"].to_numpy()[chosen]
    values = table["rating"].to_numpy(dtype=np.float32)[chosen]
    if by_user:
        return (num_users, num_items), (user, item), values
    return (num_items, num_users), (item, user), values
