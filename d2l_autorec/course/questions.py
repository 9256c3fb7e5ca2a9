"""The ratings and parameters that a submission is asked about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray

NOISE = 0.3


def ratings(rng: np.random.Generator, num_items: int, num_users: int, share: float) -> Array:
    """Draw a matrix of ratings 1 to 5; every row and column has known and unknown entries."""
    while True:
        known = rng.random((num_items, num_users)) < share
        if all(known.any(axis).all() and not known.all(axis).any() for axis in (0, 1)):
            return (rng.integers(1, 6, known.shape) * known).astype("f4")


def synthetic(rng: np.random.Generator, num_items: int, num_users: int) -> tuple[Array, Array]:
    """Draw ratings that two kinds of users give two kinds of items, and hide half of them.

    Both parts are (num_items, num_users), and 0 where there is none.
    """
    taste = rng.choice([-1, 1], (num_items, 1)) * rng.choice([-1, 1], (1, num_users))
    full = 3 + 1.4 * taste + NOISE * rng.standard_normal(taste.shape)
    full = np.clip(full, 1, 5).astype("f4")
    known = rng.random(full.shape) < 0.5
    return full * known, full * ~known


def values(rng: np.random.Generator, shapes: Sequence[Sequence[int]]) -> list[Array]:
    """Draw parameters under which the activations can be told apart."""
    return [
        (rng.standard_normal(shape) * (0.25 if len(shape) > 1 else 1.0)).astype("f4")
        for shape in shapes
    ]
