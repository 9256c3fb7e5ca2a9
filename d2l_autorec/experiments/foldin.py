"""Predictions for users who were not in training, compared with training on them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.experiments.runner import run_jobs
from d2l_autorec.experiments.stats import interval, paired
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.serving.foldin import score_new_user
from d2l_autorec.serving.model import Model
from d2l_autorec.training.fit import fit_network

if TYPE_CHECKING:
    import pandas as pd
    from scipy import sparse

NUM_NEW = 100
GIVEN = (0, 5, 20)
FIRST_SEED = 100  # the method was found looking at seeds 0 and 1
RECIPES = {
    "item": Recipe(),
    "user": Recipe().but(
        by="user", objective="sum", lam=20.0, lr=0.001, batch_size=64, num_epochs=55
    ),
}


def foldin(
    folder: Path, num_seeds: int = 5, quiet: bool = False, quick: bool = False
) -> pd.DataFrame:
    """Hide users of MovieLens 100K from training and score the predictions for them.

    For each seed, 100 users are drawn and a tenth of the ratings of each is held out. One model is
    trained without these users and predicts for them as new users, given 0, 5, 20 or all of their
    other ratings. Another model is trained with them. Both are scored on the held-out ratings.

    Parameters
    ----------
    folder : Path
        Folder of the results. Runs that are stored there are not repeated.
    num_seeds : int
    quiet, quick
        As for `d2l_autorec.experiments.study.study`.

    Returns
    -------
    pandas.DataFrame
        A row for each way to predict, with its item-based and user-based RMSE over the seeds.
    """
    import pandas as pd

    from d2l_autorec.data.sources import load_ml100k

    command = f"d2l-autorec foldin {'--quick' if quick else f'--seeds {num_seeds}'}"
    refuse_to_shrink(folder, command)
    ratings = load_ml100k(quiet=quiet)
    jobs = [{"by": by, "seed": FIRST_SEED + i} for by in RECIPES for i in range(num_seeds)]
    work = partial(run_one, stop=1) if quick else run_one
    runs = run_jobs(folder, work, jobs, data_digest=ratings.digest, label="foldin", quiet=quiet)
    ways = {
        **{f"given_{given}": f"new, {given} of their ratings given" for given in GIVEN},
        "given_all": "new, all of their ratings given",
        "trained": "trained with the same ratings",
        "own_mean": "the mean of their own ratings",
    }
    by = {kind: runs[runs["by"] == kind] for kind in RECIPES}
    rows = [
        [way, *(str(interval(by[kind][column])) for kind in RECIPES)]
        for column, way in ways.items()
    ]
    summary = pd.DataFrame(rows, columns=["the users are", "item-based RMSE", "user-based RMSE"])
    answer = [_sentence(kind, by[kind]) for kind in RECIPES]
    save_results(
        folder,
        command,
        "How good are predictions for a user who was not in training?",
        answer,
        {
            "data": ratings.name,
            "new users": NUM_NEW,
            "seeds": f"{FIRST_SEED} to {FIRST_SEED + num_seeds - 1}",
            **{f"{kind}-based": recipe.to_dict() for kind, recipe in RECIPES.items()},
        },
        {"summary": summary},
        {},
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
        text += f" The difference of new from trained users is {paired(new, trained).difference}."
    return text


def run_one(job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Draw users, train without and with them, and score both (see `foldin`)."""
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.sources import load_ml100k

    ratings = load_ml100k(quiet=True)
    table, recipe, seed = ratings.table, RECIPES[job["by"]], int(job["seed"])
    shape = ratings.num_users, ratings.num_items
    new, held_out = hide_users(table, ratings.num_users, NUM_NEW, seed)
    matrix = interaction_csr(table, *shape, rows=np.flatnonzero(~held_out))  # (items, users)
    others = np.setdiff1d(np.arange(ratings.num_users), new)
    without, trained = (fit(m, recipe, seed, stop) for m in (matrix[:, others], matrix))
    known = table[~held_out].groupby("user")
    errors: dict[str, list[np.ndarray]] = {}
    for user, predicted in zip(new, trained.trained.score_users(new)):
        asked = table[held_out & (table["user"] == user).to_numpy()]
        given = known.get_group(user)
        items, values = given["item"].to_numpy(), given["rating"].to_numpy()
        ways = {
            f"given_{count}": score_new_user(without, items[:count], values[:count])
            for count in GIVEN
        }
        ways["given_all"] = score_new_user(without, items, values)
        ways["trained"] = predicted
        ways["own_mean"] = np.full(ratings.num_items, values.mean())
        for name, scores in ways.items():
            stars = np.clip(scores[asked["item"]], without.low, without.high)
            errors.setdefault(name, []).append(stars - asked["rating"].to_numpy())
    return {
        name: float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) for name, parts in errors.items()
    }


def hide_users(
    table: pd.DataFrame, num_users: int, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw users, and a tenth of the ratings of each, at least one.

    Returns
    -------
    users : numpy.ndarray of int64, shape (count,)
        Sorted codes.
    held_out : numpy.ndarray of bool, shape (len(table),)
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
