"""Updating a trained model with new ratings, compared with training again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.experiments import foldin
from d2l_autorec.experiments.experiment import Experiment, frame
from d2l_autorec.experiments.stats import interval, less, pooled_rmse
from d2l_autorec.models.biases import fit_biases
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import RECIPES as NAMED
from d2l_autorec.serving.evaluate import predictions
from d2l_autorec.serving.held_out import HeldOut, subset
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.update import update

FIRST_SEED = foldin.FIRST_SEED  # this method, too, was found looking at seeds 0 and 1
KINDS = {"random": "a random tenth of the ratings", "new users": "all ratings of some users"}
RECIPES = {
    "item-based": foldin.RECIPES["item"],
    "above biases": NAMED["default"].but(val_ratio=0.0, refit=False),
    "user-based": foldin.RECIPES["user"],
}
WAYS = {"before": "before", "updated": "updated", "again": "trained again"}


def updating(experiment: Experiment, ratings: Ratings, num_splits: int = 10) -> pd.DataFrame:
    """Train on 80% of MovieLens 100K, update with 10%, and score on 10%.

    The update has a random tenth of the ratings, or all ratings of users who make up about a
    tenth; those of them that are held out are for the test. Where a model does not know the user
    or the item, mean and biases of its ratings predict. The table has a row for each update,
    recipe and way to predict.
    """
    experiment.begin("updating", f"--splits {num_splits}")
    seeds = range(FIRST_SEED, FIRST_SEED + num_splits)
    pairs = [{"update": kind, "recipe": name} for kind in KINDS for name in RECIPES]
    jobs = [{**pair, "seed": seed} for pair in pairs for seed in seeds]
    runs = experiment.run(partial(run_one, ratings, stop=experiment.stop), jobs, ratings)
    rows = [
        (*pair.values(), way, interval(_runs(runs, *pair.values())[key]))
        for pair in pairs
        for key, way in WAYS.items()
    ]
    summary = frame(["the update", "the network", "the model", "RMSE"], rows)
    experiment.save(
        "How good is a model that is updated in place of being trained again?",
        answer(runs),
        {
            "data": ratings.name,
            "seeds": f"{seeds[0]} to {seeds[-1]}",
            **{name: recipe.to_dict() for name, recipe in RECIPES.items()},
        },
        {"summary": summary},
    )
    return summary


def _runs(runs: pd.DataFrame, kind: str, name: str) -> pd.DataFrame:
    chosen = runs[(runs["update"] == kind) & (runs["recipe"] == name)]
    return chosen.sort_values("seed")


def answer(runs: pd.DataFrame) -> list[str]:
    """Return the answer in sentences: what the update and training again bring."""
    said = []
    for kind, what in KINDS.items():
        parts = []
        for name in RECIPES:
            own = _runs(runs, kind, name)
            gains = [less(own[key], own["before"]) for key in ("updated", "again")]
            parts.append(f"{name} {gains[0]} by the update and {gains[1]} by training again")
        said.append(f"With {what} as the update, the test RMSE changes by: {'; '.join(parts)}.")
    return said


def run_one(ratings: Ratings, job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Train, update, train again, and score all three (see `updating`)."""
    recipe, seed = RECIPES[job["recipe"]], int(job["seed"])
    base, new, test = divide(ratings.table, str(job["update"]), seed)
    model = fit(subset(ratings, base), recipe, seed, stop)
    done = update(model, subset(ratings, new))
    again = fit(subset(ratings, np.sort(np.concatenate([base, new]))), recipe, seed, stop)
    return {
        **{way: rmse(each, ratings, test) for way, each in zip(WAYS, (model, done.model, again))},
        "new_users": done.new_users,
        "new_items": done.new_items,
    }


def divide(table: pd.DataFrame, kind: str, seed: int) -> tuple[np.ndarray, ...]:
    """Draw the rows to train on, to update with and to test on; each sorted."""
    draws = np.random.default_rng(seed)
    order = draws.permutation(len(table))
    tenth = len(table) // 10
    test, rest = order[:tenth], order[tenth:]
    is_new = np.zeros(len(table), bool)
    if kind == "random":
        is_new[rest[:tenth]] = True
    else:
        user = table["user"].to_numpy()
        counts = np.bincount(user[rest])
        drawn = draws.permutation(len(counts))
        drawn = drawn[np.cumsum(counts[drawn]) <= tenth]
        is_new[rest] = np.isin(user[rest], drawn)
    return np.sort(rest[~is_new[rest]]), np.flatnonzero(is_new), np.sort(test)


def fit(ratings: Ratings, recipe: Recipe, seed: int, stop: int | None = None) -> Model:
    """Train on ratings and return the model."""
    matrix = interaction_csr(ratings.table, ratings.num_users, ratings.num_items)
    return foldin.fit(matrix, recipe, seed, stop, ratings.item_ids, ratings.user_ids)


def rmse(model: Model, ratings: Ratings, rows: np.ndarray) -> float:
    """Return the RMSE over some rows, with mean and biases for what the model does not know."""
    held_out = HeldOut.of(model, subset(ratings, rows))
    matrix = model.ratings.tocoo()
    biases = fit_biases(matrix.row, matrix.col, matrix.data, matrix.shape)
    return pooled_rmse(predictions(model, held_out, biases)["model"], held_out.stars)
