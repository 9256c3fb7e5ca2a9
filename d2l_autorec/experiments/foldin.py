"""Predictions for users who were not in training, compared with training on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments.experiment import Experiment, frame
from d2l_autorec.experiments.parts import Part
from d2l_autorec.experiments.stats import interval, less
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.serving.foldin import score_new_user
from d2l_autorec.serving.model import Model
from d2l_autorec.training.fit import fit_network

NUM_NEW = 100
GIVEN = (0, 5, 20)
FIRST_SEED = 100  # the method was found looking at seeds 0 and 1
RECIPES = {
    "item": Recipe(),
    "user": Recipe().but(
        by="user", objective="sum", lam=20.0, lr=0.001, batch_size=64, num_epochs=55
    ),
}


def foldin(experiment: Experiment, ratings: Ratings, num_seeds: int = 5) -> pd.DataFrame:
    """Hide users of MovieLens 100K from training and score the predictions for them.

    For each seed, 100 users are drawn and a tenth of the ratings of each is held out. One model is
    trained without these users and predicts for them as new users, given 0, 5, 20 or all of their
    other ratings. Another model is trained with them. Both are scored on the held-out ratings. The
    table has a row for each way to predict, with its item-based and user-based RMSE.
    """
    experiment.begin("foldin", f"--seeds {num_seeds}")
    jobs = [{"by": by, "seed": FIRST_SEED + i} for by in RECIPES for i in range(num_seeds)]
    runs = experiment.run(partial(run_one, ratings, stop=experiment.stop), jobs, ratings)
    ways = {
        **{f"given_{given}": f"new, {given} of their ratings given" for given in GIVEN},
        "given_all": "new, all of their ratings given",
        "trained": "trained with the same ratings",
        "own_mean": "the mean of their own ratings",
    }
    by = {kind: runs[runs["by"] == kind] for kind in RECIPES}
    summary = frame(
        ["the users are", "item-based RMSE", "user-based RMSE"],
        [[way, *(interval(own[key]) for own in by.values())] for key, way in ways.items()],
    )
    experiment.save(
        "How good are predictions for a user who was not in training?",
        [_sentence(kind, own) for kind, own in by.items()],
        {
            "data": ratings.name,
            "new users": NUM_NEW,
            "seeds": f"{FIRST_SEED} to {FIRST_SEED + num_seeds - 1}",
            **{f"{kind}-based": recipe.to_dict() for kind, recipe in RECIPES.items()},
        },
        {"summary": summary},
    )
    return summary


def _sentence(kind: str, runs: pd.DataFrame) -> str:
    new, trained, nothing = (runs[name] for name in ("given_all", "trained", "given_0"))
    text = (
        f"{kind.capitalize()}-based, given nine tenths of their ratings, new users are predicted "
        f"the other tenth with an RMSE of {interval(new)}, the same users in training with "
        f"{interval(trained)}, and users without ratings with {interval(nothing)}."
    )
    if len(runs) > 1:
        text += f" The difference of new from trained users is {less(new, trained)}."
    return text


def run_one(ratings: Ratings, job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Draw users, train without and with them, and score both (see `foldin`)."""
    table, recipe, seed = ratings.table, RECIPES[job["by"]], int(job["seed"])
    new, held_out = hide_users(table, ratings.num_users, NUM_NEW, seed)
    matrix = Part(ratings, np.flatnonzero(~held_out)).matrix  # (items, users)
    others = np.setdiff1d(np.arange(ratings.num_users), new)
    without, trained = (fit(m, recipe, seed, stop) for m in (matrix[:, others], matrix))
    known = table[~held_out].groupby("user")
    errors: dict[str, list[np.ndarray]] = defaultdict(list)
    for user, predicted in zip(new, trained.trained.score_users(new)):
        asked = table[held_out & (table["user"] == user).to_numpy()]
        given = known.get_group(user)
        items, values = given["item"].to_numpy(), given["rating"].to_numpy()
        counts = {**{f"given_{count}": count for count in GIVEN}, "given_all": len(items)}
        ways = {
            name: score_new_user(without, items[:count], values[:count])
            for name, count in counts.items()
        }
        ways["trained"] = predicted
        ways["own_mean"] = np.full(ratings.num_items, values.mean())
        for name, scores in ways.items():
            stars = np.clip(scores[asked["item"]], without.low, without.high)
            errors[name].append(stars - asked["rating"].to_numpy())
    return {
        name: float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) for name, parts in errors.items()
    }


def hide_users(
    table: pd.DataFrame, num_users: int, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw users, and a tenth of the ratings of each, at least one.

    The codes of the users are sorted; the second array says of each rating whether it is held out.
    """
    draws = np.random.default_rng(seed)
    users = np.sort(draws.choice(num_users, count, replace=False))
    order = draws.permutation(len(table))
    drawn = table["user"].to_numpy()[order]
    held_out = np.zeros(len(table), bool)
    for user in users:
        rows = order[drawn == user]
        held_out[rows[: max(1, len(rows) // 10)]] = True
    return users, held_out


def fit(
    matrix: sparse.csr_matrix,
    recipe: Recipe,
    seed: int,
    stop: int | None = None,
    item_ids: np.ndarray | None = None,
    user_ids: np.ndarray | None = None,
) -> Model:
    """Train on ratings (items, users) and return the model; ids are codes by default."""
    return Model(
        fit_network(matrix, recipe, seed, stop=stop),
        user_ids=np.arange(matrix.shape[1]) if user_ids is None else user_ids,
        item_ids=np.arange(matrix.shape[0]) if item_ids is None else item_ids,
        items=None,
        low=float(matrix.data.min()),
        high=float(matrix.data.max()),
        record={},
    )
