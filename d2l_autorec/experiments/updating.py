"""Updating a trained model with new ratings, compared with training again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.experiments import foldin
from d2l_autorec.experiments.runner import run_jobs
from d2l_autorec.experiments.stats import interval, paired, pooled_rmse
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results
from d2l_autorec.models.biases import fit_biases
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import RECIPES as NAMED
from d2l_autorec.serving.evaluate import predictions
from d2l_autorec.serving.held_out import HeldOut, subset
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.update import update

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings

FIRST_SEED = 100  # the method was found looking at seeds 0 and 1
KINDS = {"random": "a random tenth of the ratings", "new users": "all ratings of some users"}
RECIPES = {
    "item-based": foldin.RECIPES["item"],
    "above biases": NAMED["default"].but(val_ratio=0.0, refit=False),
    "user-based": foldin.RECIPES["user"],
}
WAYS = {"before": "before", "updated": "updated", "again": "trained again"}


def updating(
    folder: Path, num_splits: int = 10, quiet: bool = False, quick: bool = False
) -> pd.DataFrame:
    """Train on 80% of MovieLens 100K, update with 10%, and score on 10%.

    The update has a random tenth of the ratings, or all ratings of users who make up about a
    tenth; those of them that are held out are for the test. Where a model does not know the user
    or the item, mean and biases of its ratings predict.

    Parameters
    ----------
    folder : Path
        Folder of the results. Runs that are stored there are not repeated.
    num_splits : int
    quiet, quick
        As for `d2l_autorec.experiments.study.study`.

    Returns
    -------
    pandas.DataFrame
        A row for each update, recipe and way to predict, with its RMSE over the splits.
    """
    import pandas as pd

    from d2l_autorec.data.sources import load_ml100k

    command = f"d2l-autorec updating {'--quick' if quick else f'--splits {num_splits}'}"
    refuse_to_shrink(folder, command)
    ratings = load_ml100k(quiet=quiet)
    jobs = [
        {"update": kind, "recipe": name, "seed": FIRST_SEED + i}
        for kind in KINDS
        for name in RECIPES
        for i in range(num_splits)
    ]
    work = partial(run_one, stop=1) if quick else run_one
    runs = run_jobs(folder, work, jobs, data_digest=ratings.digest, label="updating", quiet=quiet)
    rows = [
        [kind, name, way, str(interval(_runs(runs, kind, name)[key]))]
        for kind in KINDS
        for name in RECIPES
        for key, way in WAYS.items()
    ]
    summary = pd.DataFrame(rows, columns=["the update", "the network", "the model", "RMSE"])
    save_results(
        folder,
        command,
        "How good is a model that is updated in place of being trained again?",
        answer(runs),
        {
            "data": ratings.name,
            "seeds": f"{FIRST_SEED} to {FIRST_SEED + num_splits - 1}",
            **{name: recipe.to_dict() for name, recipe in RECIPES.items()},
        },
        {"summary": summary},
        {},
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
            gains = [paired(own[key], own["before"]).difference for key in ("updated", "again")]
            parts.append(f"{name} {gains[0]} by the update and {gains[1]} by training again")
        said.append(f"With {what} as the update, the test RMSE changes by: {'; '.join(parts)}.")
    return said


def run_one(job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Train, update, train again, and score all three (see `updating`)."""
    from d2l_autorec.data.sources import load_ml100k

    ratings = load_ml100k(quiet=True)
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
    from d2l_autorec.data.matrices import interaction_csr

    matrix = interaction_csr(ratings.table, ratings.num_users, ratings.num_items)
    return foldin.fit(matrix, recipe, seed, stop, ratings.item_ids, ratings.user_ids)


def rmse(model: Model, ratings: Ratings, rows: np.ndarray) -> float:
    """Return the RMSE over some rows, with mean and biases for what the model does not know."""
    held_out = HeldOut.of(model, subset(ratings, rows))
    matrix = model.ratings.tocoo()
    biases = fit_biases(matrix.row, matrix.col, matrix.data, matrix.shape)
    return pooled_rmse(predictions(model, held_out, biases)["model"], held_out.stars)
