"""User and item biases, shrunken towards zero, and the conversion of ratings to targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from d2l_autorec.models.recipe import Recipe

SHRINKAGE = 10.0
"""Ratings of no effect that each bias is averaged with, in the targets of a network."""

_BLOCK = 4 * 1024**2  # ratings


def shrunken_means(
    codes: np.ndarray, values: np.ndarray, size: int, shrinkage: float = SHRINKAGE
) -> np.ndarray:
    """Return the mean of the values of each code, with ``shrinkage`` zeros among them: (size,)."""
    return _sums(codes, values.__getitem__, size) / (_counts(codes, size) + shrinkage)


def _blocks(codes: np.ndarray) -> Iterator[slice]:
    """Yield what is worked on at a time: temporary arrays take several times as much."""
    return (slice(start, start + _BLOCK) for start in range(0, max(len(codes), 1), _BLOCK))


def _counts(codes: np.ndarray, size: int) -> np.ndarray:
    counts = np.zeros(size, np.int64)
    for part in _blocks(codes):
        counts += np.bincount(codes[part], minlength=size)
    return counts


def _sums(codes: np.ndarray, values: Callable[[slice], np.ndarray], size: int) -> np.ndarray:
    """Add up the values of each code, given by blocks, with the bits of a sum over all."""
    first, *others = _blocks(codes)
    sums = np.bincount(codes[first], values(first), size)
    everyone = np.arange(size)
    for part in others:
        both = np.concatenate([everyone, codes[part]])
        sums = np.bincount(both, np.concatenate([sums, values(part)]), size)
    return sums


def fit_biases(
    first: np.ndarray,
    second: np.ndarray,
    ratings: np.ndarray,
    shape: tuple[int, int],
    shrinkage: tuple[float, float] = (SHRINKAGE, SHRINKAGE),
    num_sweeps: int = 10,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Fit ``mean + a[first] + b[second]`` by alternating least squares with shrinkage.

    ``first`` and ``second`` hold each rating's codes of the two sides, such as items and users;
    ``shape`` is the number of codes of each side. A bias is averaged with as many ratings of no
    effect as ``shrinkage`` says for its side. In a sweep the first side is fitted first.

    Returns the mean, ``a`` (shape[0],) and ``b`` (shape[1],), float64.
    """
    mean = float(ratings.mean())
    a, b = np.zeros(shape[0]), np.zeros(shape[1])
    counts = _counts(first, shape[0]), _counts(second, shape[1])
    for _ in range(num_sweeps):
        a = _sums(first, partial(_without, ratings, mean, b, second), shape[0])
        a /= counts[0] + shrinkage[0]
        b = _sums(second, partial(_without, ratings, mean, a, first), shape[1])
        b /= counts[1] + shrinkage[1]
    return mean, a, b


def estimate_shrinkage(
    first: np.ndarray,
    second: np.ndarray,
    ratings: np.ndarray,
    shape: tuple[int, int],
    num_sweeps: int = 30,
) -> tuple[float, float]:
    """Estimate the shrinkage of `fit_biases` from its ratings, for each side, within 0.1 and 1e6.

    The best shrinkage is the variance of the noise over the variance of the biases. Both variances
    are estimated by variational Bayes, with the biases normally distributed about zero: Lim and
    Teh, "Variational Bayesian Approach to Movie Rating Prediction" (2007), without factors.
    """
    left = ratings - ratings.mean(dtype=float)
    codes = (first, second)
    counts = [_counts(own, size) for own, size in zip(codes, shape)]
    shrinkage, noise = [SHRINKAGE, SHRINKAGE], max(float(np.var(left)), 1e-12)
    biases = [np.zeros(size) for size in shape]
    squares = np.empty(len(left))
    for _ in range(num_sweeps):
        for own in (0, 1):
            rest = partial(_without, left, 0.0, biases[1 - own], codes[1 - own])
            sums = _sums(codes[own], rest, shape[own])
            biases[own] = sums / (counts[own] + shrinkage[own])
        spreads = [noise / (count + part) for count, part in zip(counts, shrinkage)]
        for at in _blocks(left):
            error = left[at] - biases[0][first[at]] - biases[1][second[at]]
            squares[at] = error**2 + spreads[0][first[at]] + spreads[1][second[at]]
        noise = float(np.mean(squares))
        for own in (0, 1):
            square = (biases[own] ** 2 + spreads[own])[counts[own] > 0]
            shrinkage[own] = float(np.clip(noise / square.mean(), 0.1, 1e6))
    return shrinkage[0], shrinkage[1]


def _without(
    ratings: np.ndarray, mean: float, biases: np.ndarray, codes: np.ndarray, at: slice
) -> np.ndarray:
    return ratings[at] - mean - biases[codes[at]]


def shrinkage_of(recipe: Recipe, ratings: sparse.csr_matrix) -> Recipe:
    """Return a network's recipe with the shrinkage of training ratings (items, users) in it."""
    if recipe.targets != "biases" or recipe.shrinkage != "ratings":
        return recipe
    at = ratings.tocoo(copy=False)
    of_items, of_users = estimate_shrinkage(at.row, at.col, at.data, ratings.shape)
    return replace(recipe, shrinkage=(of_users, of_items))


@dataclass(frozen=True)
class Scale:
    """The conversion of ratings to the inputs of a network: ``(r - mean - row - col) / unit``.

    ``row`` (num_rows,) and ``col`` (num_cols,), float64, are the biases of the matrix that the
    network reads. The inverse is ``mean + row + col + unit * gain * output``.
    """

    mean: float
    unit: float
    row: np.ndarray
    col: np.ndarray
    gain: float = 1.0

    @classmethod
    def of(cls, train: sparse.csr_matrix, recipe: Recipe) -> Scale:
        """Fit the scale that a recipe's targets ask for to training ratings (rows, columns)."""
        mean, unit = 0.0, 1.0
        row, col = map(np.zeros, train.shape)
        if recipe.scaled or recipe.targets == "unit":
            assert isinstance(recipe.clip, tuple)  # Recipe has seen to it
            low, high = recipe.clip
            unit = high if recipe.targets == "unit" else (high - low) / 4 or 1.0
        if recipe.targets == "mean":
            mean = float(train.data.mean())
        elif recipe.targets == "biases":
            at = train.tocoo(copy=False)
            assert isinstance(recipe.shrinkage, tuple)  # `shrinkage_of` has seen to it
            of_users, of_items = recipe.shrinkage
            by_item = recipe.architecture.by == "item"
            shrinkage = (of_items, of_users) if by_item else (of_users, of_items)
            mean, row, col = fit_biases(at.row, at.col, at.data, train.shape, shrinkage)
        return cls(mean, unit, row, col)

    @property
    def is_stars(self) -> bool:
        """Whether the network reads and predicts the ratings as they are."""
        return self.unit == 1 and not (self.mean or self.row.any() or self.col.any())

    def base(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return the ratings predicted at entries where the network's output is zero."""
        return self.mean + self.row[rows] + self.col[cols]

    def apply(self, matrix: sparse.csr_matrix) -> sparse.csr_matrix:
        """Convert ratings (rows, columns) to the inputs of the network: float32."""
        rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
        data = np.empty(matrix.nnz, np.float32)
        for at in _blocks(data):
            data[at] = (matrix.data[at] - self.base(rows[at], matrix.indices[at])) / self.unit
        return sparse.csr_matrix((data, matrix.indices, matrix.indptr), matrix.shape)
