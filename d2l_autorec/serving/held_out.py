"""Test ratings as a saved model sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.serving.lookup import known_codes
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import rated

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Ratings to score a model with, in the model's codes, with -1 for what the model lacks.

    ``user_code`` and ``item_code`` are by code of the test ratings, and ``user_known`` and
    ``item_known`` say whether the model has training ratings of it; the others are by rating.
    """

    user_code: np.ndarray
    item_code: np.ndarray
    user_known: np.ndarray
    item_known: np.ndarray
    test_user: np.ndarray
    test_item: np.ndarray
    stars: np.ndarray

    @classmethod
    def of(cls, model: Model, test: Ratings) -> HeldOut:
        """Look the users and items up in the model."""
        user_code = known_codes(model, "user", test.user_ids.tolist())
        item_code = known_codes(model, "item", test.item_ids.tolist())
        table = test.table
        return cls(
            user_code,
            item_code,
            (user_code >= 0) & (model.trained.counts("user")[user_code] > 0),
            (item_code >= 0) & (model.trained.counts("item")[item_code] > 0),
            table["user"].to_numpy(),
            table["item"].to_numpy(),
            table["rating"].to_numpy().astype(float),
        )

    @property
    def users(self) -> np.ndarray:
        """The model's code of each rating's user."""
        return self.user_code[self.test_user]

    @property
    def items(self) -> np.ndarray:
        """The model's code of each rating's item."""
        return self.item_code[self.test_item]

    @property
    def known(self) -> np.ndarray:
        """Whether each rating's user and item have training ratings."""
        return self.user_known[self.test_user] & self.item_known[self.test_item]

    def check_unseen(self, model: Model, name: str) -> None:
        """Raise an InputError if the model was trained on some of the ratings."""
        known = self.known
        seen = int(np.isfinite(rated(model, self.users[known], self.items[known])).sum())
        if seen:
            raise InputError(
                f"{name}: {seen:,} of its {len(self.stars):,} ratings are of pairs that the model "
                "was trained on, so that the score would be of what it has seen; give others, or "
                "a model of train --save --no-all-ratings."
            )

    def relevant(self, least: float) -> dict[int, list[int]]:
        """Return the relevant items of each known user, negative for unknown items."""
        rows = np.flatnonzero((self.stars >= least) & self.user_known[self.test_user])
        items = np.where(self.items < 0, -1 - self.test_item, self.items)
        wanted: dict[int, list[int]] = {}
        for user, item in zip(self.users[rows].tolist(), items[rows].tolist()):
            wanted.setdefault(user, []).append(item)
        return wanted
