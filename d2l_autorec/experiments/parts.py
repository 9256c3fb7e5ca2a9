"""Parts of the ratings, for training, validation and test, and scores on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.data.protocols import named_split
from d2l_autorec.data.split import Rows, holdout_split
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.result import pooled_rmse

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]

RANGE = (1.0, 5.0)  # of the ratings, which predictions are clipped to
VAL_RATIO = 0.1


def split_rows(ratings: Ratings, split: str, seed: int) -> tuple[Rows, Rows]:
    """Seed both generators and split by name, as the book's code is run."""
    seed_everything(seed)
    return named_split(split, ratings, CHAPTER.test_ratio)


def split_parts(ratings: Ratings, split: str, seed: int) -> tuple[Part, Part]:
    """Return the training and the test part of `split_rows`."""
    train, test = split_rows(ratings, split, seed)
    return Part(ratings, train), Part(ratings, test)


@dataclass(frozen=True)
class Part:
    """Some rows of a table of ratings."""

    ratings: Ratings
    rows: Rows

    @classmethod
    def whole(cls, ratings: Ratings) -> Part:
        """Take all ratings."""
        return cls(ratings, np.arange(len(ratings.table)))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users and of items, of all ratings."""
        return self.ratings.num_users, self.ratings.num_items

    @cached_property
    def table(self) -> pd.DataFrame:
        """The ratings as a table with ``user``, ``item`` and ``rating``."""
        return self.ratings.table.iloc[self.rows]

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """The ratings as a matrix (num_items, num_users)."""
        return interaction_csr(self.ratings.table, *self.shape, rows=self.rows)

    @cached_property
    def stars(self) -> np.ndarray:
        """The ratings alone, as float64."""
        return self.table["rating"].to_numpy(float)

    def divide(self, seed: int, ratio: float = VAL_RATIO) -> tuple[Part, Part]:
        """Hold out an exact share, for validation; see `holdout_split`."""
        kept, held_out = holdout_split(len(self.rows), ratio, seed)
        return Part(self.ratings, self.rows[kept]), Part(self.ratings, self.rows[held_out])

    def predicted(self, predict: Predict) -> np.ndarray:
        """Return a model's predictions of these ratings, as float64."""
        users, items = (self.table[name].to_numpy(np.int64) for name in ("user", "item"))
        return np.asarray(predict(users, items), float)

    def rmse(self, predicted: np.ndarray) -> float:
        """Score predictions of these ratings."""
        return pooled_rmse(predicted, self.stars)
