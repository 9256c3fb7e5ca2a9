"""Predictions of the sparse engine, one by one: for ensembles and for other scores than RMSE."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from d2l_autorec.training._columns import check_matrix
from d2l_autorec.training._hidden import activate, forward
from d2l_autorec.training._state import SparseState

_CHUNK = 4096  # entries worked on at a time: two arrays of them x hidden[-1]


def predict_sparse(
    state: SparseState, train: sparse.csr_matrix, rows: np.ndarray, cols: np.ndarray
) -> np.ndarray:
    """Predict single entries from the ratings of their rows, not clipped.

    Parameters
    ----------
    state : SparseState
    train : scipy.sparse.csr_matrix
        What the net reads, (num_rows, num_cols).
    rows, cols : numpy.ndarray of int
        The entries, any order.

    Returns
    -------
    numpy.ndarray
        float32, (len(rows),)

    Raises
    ------
    InputError
        If `train` does not fit the state.
    """
    check_matrix("train", train, (train.shape[0], len(state.out_bias)))
    wanted, place = np.unique(rows, return_inverse=True)
    pre = train[wanted] @ state.V.weight  # (wanted, padded hidden[0])
    code = forward(state, pre, None)[1][-1]  # (wanted, hidden[-1])
    weight = state.W.weight[:, : code.shape[1]]
    z = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        z[part] = np.einsum("ij,ij->i", code[place[part]], weight[cols[part]])
    return activate(state.kinds[1], z + state.out_bias[cols, 0])
