"""What all visitors of the lab share: the ratings, their split and the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.known import ML100K
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.data.split import holdout_split
from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import fit_biases
from d2l_autorec.training.run import baselines

MAX_RATINGS = 2_000_000
"""Ratings that the lab trains on; a class does not wait for more."""

MAX_CELLS = 3_000_000
"""Entries of a matrix that the lab trains on without the mask; MovieLens 100K has 1.6 million."""


@dataclass(frozen=True, eq=False)
class Material:
    """Ratings that are split once, and what the mean and the biases reach on them.

    Attributes
    ----------
    train, test : scipy.sparse.csr_matrix
        float32, (num_items, num_users). What is stored is rated.
    mean_rmse, biases_rmse : float
        On the test ratings, of the mean and of user and item biases fitted to the others.
    mean : float
        Of the training ratings.
    of_items : numpy.ndarray of float64, shape (num_items,)
        The items' biases.
    """

    ratings: Ratings
    train: sparse.csr_matrix
    test: sparse.csr_matrix
    mean_rmse: float
    biases_rmse: float
    mean: float
    of_items: np.ndarray

    @classmethod
    def of(cls, ratings: Ratings) -> Material:
        """Hold out the chapter's share of the ratings; too few or too many are refused."""
        count = len(ratings.table)
        if not 2 <= count <= MAX_RATINGS:
            raise InputError(
                f"{ratings.name} has {count:,} ratings, and the lab takes from 2 to "
                f"{MAX_RATINGS:,}; give others, or use d2l-autorec train."
            )
        rows, held_out = holdout_split(count, CHAPTER.test_ratio, 0)
        shape = (ratings.num_users, ratings.num_items)
        train, test = ratings.table.iloc[rows], ratings.table.iloc[held_out]
        items, users, stars = (train[name].to_numpy() for name in ("item", "user", "rating"))
        mean, of_items, _ = fit_biases(items, users, stars, shape[::-1])
        mean_rmse, biases_rmse = baselines(train, shape, test)
        made, held = (interaction_csr(part, *shape) for part in (train, test))
        return cls(ratings, made, held, mean_rmse, biases_rmse, mean, of_items)

    @property
    def is_chapters(self) -> bool:
        """Whether the book's result is for these ratings."""
        return self.ratings.name == ML100K

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest training rating."""
        return float(self.train.data.min()), float(self.train.data.max())

    @cached_property
    def unmasked(self) -> sparse.csr_matrix:
        """The training ratings with every other entry stored too, as a rating of zero.

        Training on it is the chapter's training without the mask: the loss is over all entries.
        Too many entries are refused with an InputError.
        """
        rows, columns = self.train.shape
        if rows * columns > MAX_CELLS:
            raise InputError(
                f"Without the mask there are {rows * columns:,} entries to train on, and the lab "
                f"takes up to {MAX_CELLS:,}; leave the mask on."
            )
        every = np.tile(np.arange(columns), rows)
        ends = np.arange(rows + 1) * columns
        return sparse.csr_matrix((self.train.toarray().ravel(), every, ends), (rows, columns))

    @cached_property
    def by_popularity(self) -> list[int]:
        """The codes of the items, those with the most training ratings first."""
        return np.argsort(-np.diff(self.train.indptr), kind="stable").tolist()

    def title(self, code: int) -> str:
        """Return an item's title and year; its id where no title is known."""
        items = self.ratings.items
        if items is None or not isinstance(title := items["title"].iloc[code], str):
            return f"Item {self.ratings.item_ids[code]}"
        year = items["year"].iloc[code]
        return f"{title} ({year})" if isinstance(year, (int, np.integer)) else title
