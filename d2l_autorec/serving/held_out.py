"""Ratings held out to score a saved model, and the score that it had in training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from d2l_autorec.data.formats import Ratings
from d2l_autorec.errors import InputError
from d2l_autorec.serving.lookup import known_codes
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import rated

ERRORS_OF = {"model": "test_rmse", "biases": "biases_rmse", "mean": "mean_rmse"}
"""What is scored, and its name in a run's result."""


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
        user_known = (user_code >= 0) & (model.trained.counts("user")[user_code] > 0)
        item_known = (item_code >= 0) & (model.trained.counts("item")[item_code] > 0)
        users, items, stars = (test.table[name].to_numpy() for name in ("user", "item", "rating"))
        return cls(user_code, item_code, user_known, item_known, users, items, stars.astype(float))

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


def recorded(model: Model) -> dict[str, Any]:
    """Return the score that a model had in training; an InputError if its record has none.

    ``errors`` holds the ``rmse`` of each of `ERRORS_OF` over the ``num_ratings`` held out of
    ``data``, the ratings file, as ``split`` says. ``all_ratings`` says whether the saved model is
    another, trained on these too, and ``updates`` how often ratings have been added since.
    """
    try:
        result, plan = model.record["result"], model.record["plan"]
        rmses = {name: float(result[key]) for name, key in ERRORS_OF.items()}
        score = {
            "errors": {name: {"rmse": rmse} for name, rmse in rmses.items()},
            "num_ratings": int(result["num_test"]),
            "data": str(model.record["data"]["name"]),
            "split": str(plan["split"]),
            "all_ratings": bool(plan["all_ratings"]),
            "updates": len(model.record.get("updates", ())),
        }
        if int(result["num_test"]) <= 0 or not np.isfinite([*rmses.values()]).all():
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(
            "The model does not say what it scored in training; give --test FILE, ratings that it "
            "was not trained on."
        ) from None
    return score


def held_out(model: Model, ratings: Ratings) -> Ratings:
    """Return those ratings of a model's file that were held out when it was trained.

    Raises
    ------
    InputError
        If these are not the ratings that it was trained on, read in the same way, or the model
        does not say how they were divided.
    """
    from d2l_autorec.data.protocols import named_split
    from d2l_autorec.data.split import split_digest
    from d2l_autorec.training import run
    from d2l_autorec.training.plan import TEST_FILE, Plan

    try:
        plan, result = Plan.from_dict(model.record["plan"]), model.record["result"]
        data_digest, split_of_model = result["data_digest"], result["split_digest"]
    except (KeyError, TypeError, ValueError, AttributeError, InputError):
        raise InputError(
            "The model does not say which ratings were held out; give --test FILE, ratings that "
            "it was not trained on."
        ) from None
    if plan.split == TEST_FILE:
        raise InputError("The model was scored on a file of its own; give it as --test FILE.")
    if ratings.digest != data_digest:
        raise InputError(
            f"--data: {ratings.name} is not what the model was trained on, or is read in another "
            "way; give that file with the options that train was given, or --test FILE."
        )
    named = plan.split != "random"
    rows = named_split(plan.split, ratings, plan.test_ratio) if named else None
    _, test_rows = run.split(ratings, plan, rows)
    if split_digest(test_rows) != split_of_model:
        raise InputError(
            f"The split {plan.split} holds out other ratings here than when the model was "
            "trained; give --test FILE."
        )
    return replace(subset(ratings, test_rows), name=f"What was held out of {ratings.name}")


def subset(ratings: Ratings, rows: np.ndarray) -> Ratings:
    """Return some rows as ratings of their own, with the users and items that are in them."""
    table = ratings.table.iloc[rows].reset_index(drop=True)
    users, user = np.unique(table["user"].to_numpy(), return_inverse=True)
    items, item = np.unique(table["item"].to_numpy(), return_inverse=True)
    ids = {"user_ids": ratings.user_ids[users], "item_ids": ratings.item_ids[items]}
    return replace(ratings, table=table.assign(user=user, item=item), items=None, **ids)
