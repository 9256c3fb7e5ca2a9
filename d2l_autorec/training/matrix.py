"""Checks of rating matrices, for code that takes them as they are."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from d2l_autorec.errors import InputError


def check_matrix(name: str, matrix: sparse.csr_matrix, shape: tuple[int, int]) -> None:
    """Raise an InputError where compiled code, which checks nothing, could not read a matrix."""
    if not sparse.isspmatrix_csr(matrix):
        raise InputError(f"{name} is a {type(matrix).__name__}; give a scipy.sparse.csr_matrix.")
    if matrix.shape != shape:
        raise InputError(
            f"{name} has the shape {matrix.shape} and {shape} is needed; "
            "transpose it, or make the net to its size."
        )
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise InputError(f"{name} is damaged ({error}); build it anew.") from None
    if not matrix.has_canonical_format:
        raise InputError(f"{name} holds an entry twice or unsorted; call sum_duplicates() on it.")
    if not np.isfinite(matrix.data).all():
        raise InputError(f"{name} holds a rating that is not finite; take it out.")


def check_matrices(
    train: sparse.csr_matrix, test: sparse.csr_matrix | None, num_cols: int
) -> None:
    """Check what a net of so many columns reads, and what it is scored on, if anything is."""
    check_matrix("train", train, (train.shape[0], num_cols))
    if test is not None:
        check_matrix("test", test, train.shape)


def canonical(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """One set of types, for which the kernels are compiled; copies only what differs."""
    parts = (
        matrix.data.astype(np.float32, copy=False),
        matrix.indices.astype(np.int32, copy=False),
        matrix.indptr.astype(np.int64, copy=False),
    )
    result = sparse.csr_matrix(matrix.shape, dtype=np.float32)
    result.data, result.indices, result.indptr = parts
    return result
