"""The score that a model had in training, and the ratings that were held out for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.serving.evaluate import ERRORS_OF
from d2l_autorec.serving.model import Model

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings

_FIELDS = dict(zip(ERRORS_OF, ("test_rmse", "biases_rmse", "mean_rmse")))


@dataclass(frozen=True)
class Recorded:
    """The score that a model had in training.

    Attributes
    ----------
    errors : dict of dict
        For each of `ERRORS_OF`: ``rmse`` over the held-out ratings.
    num_ratings : int
        How many were held out.
    data, split : str
        The ratings file's name, and how they were held out.
    all_ratings : bool
        Whether the saved model is another, which has been trained on these ratings too.
    updates : int
        How often ratings have been added since.
    """

    errors: dict[str, dict[str, float]]
    num_ratings: int
    data: str
    split: str
    all_ratings: bool
    updates: int


def recorded(model: Model) -> Recorded:
    """Return the score that a model had in training.

    Raises
    ------
    InputError
        If its record has none.
    """
    try:
        result, plan = model.record["result"], model.record["plan"]
        errors = {name: {"rmse": float(result[key])} for name, key in _FIELDS.items()}
        score = Recorded(
            errors=errors,
            num_ratings=int(result["num_test"]),
            data=str(model.record["data"]["name"]),
            split=str(plan["split"]),
            all_ratings=bool(plan["all_ratings"]),
            updates=len(model.record.get("updates", ())),
        )
        known = score.num_ratings > 0 and all(math.isfinite(e["rmse"]) for e in errors.values())
    except (KeyError, TypeError, ValueError, OverflowError):
        known = False
    if not known:
        raise InputError(
            "The model does not say what it scored in training; give --test FILE, ratings that it "
            "was not trained on."
        )
    return score


def held_out(model: Model, ratings: Ratings) -> Ratings:
    """Return those ratings of a model's file that were held out when it was trained.

    Parameters
    ----------
    model : Model
    ratings : Ratings
        The file that it was trained on, read in the same way.

    Raises
    ------
    InputError
        If these are other ratings, or the model does not say how they were divided.
    """
    from d2l_autorec.data.protocols import named_split
    from d2l_autorec.data.split import split_digest
    from d2l_autorec.training import run
    from d2l_autorec.training.plan import TEST_FILE, Plan

    try:
        plan, result = Plan.from_dict(model.record["plan"]), model.record["result"]
        digests: tuple[Any, Any] = (result["data_digest"], result["split_digest"])
    except (KeyError, TypeError, ValueError, AttributeError, InputError):
        raise InputError(
            "The model does not say which ratings were held out; give --test FILE, ratings that "
            "it was not trained on."
        ) from None
    if plan.split == TEST_FILE:
        raise InputError("The model was scored on a file of its own; give it as --test FILE.")
    if ratings.digest != digests[0]:
        raise InputError(
            f"--data: {ratings.name} is not what the model was trained on, or is read in another "
            "way; give that file with the options that train was given, or --test FILE."
        )
    rows = None
    if plan.split != "random":
        rows = named_split(plan.split, ratings, plan.test_ratio)
    _, test_rows = run.split(ratings, plan, rows)
    if split_digest(test_rows) != digests[1]:
        raise InputError(
            f"The split {plan.split} holds out other ratings here than when the model was "
            "trained; give --test FILE."
        )
    table = ratings.table.iloc[test_rows].reset_index(drop=True)
    ids, codes = {}, {}
    for what, own in (("user", ratings.user_ids), ("item", ratings.item_ids)):
        kept, codes[what] = np.unique(table[what].to_numpy(), return_inverse=True)
        ids[f"{what}_ids"] = own[kept]
    return replace(
        ratings,
        table=table.assign(**codes),
        items=None,
        name=f"What was held out of {ratings.name}",
        **ids,
    )
