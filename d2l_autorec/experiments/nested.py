"""Recipes that are searched inside the training part of each split.

The recipes of `d2l_autorec.models.recipes` were found by a search that saw ratings that are tested
in ``best``. Here every recipe which that search scored is trained beside validation ratings from
the training part, and these alone decide: they choose the best single recipe, the weights of a
blend of all recipes, and all epochs. The test ratings give the scores only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.experiments.compare import guess, split_rows
from d2l_autorec.experiments.contenders import CONTENDERS
from d2l_autorec.experiments.pool import CANDIDATES, POOL, RANGE, VAL_RATIO
from d2l_autorec.experiments.stats import interval, paired, pooled_rmse
from d2l_autorec.training.blend import blend_weights
from d2l_autorec.training.fit import fit_network

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings

SINGLE = "item-based"
"""The recipe ``best``."""

INSIDE, PUBLISHED = "searched inside", "as published"
WITH_OTHERS = "searched inside, with others"
NOTE = (
    "Searched inside: every recipe that the earlier search scored is trained on nine tenths of "
    "the training part. The last tenth, the validation ratings, chooses the single recipe, the "
    "weights of the blend and all epochs. The chosen ones are then trained again on the whole "
    "training part, one network for each recipe. The list of recipes itself was written by people "
    "who had seen results on these ratings."
)


def search_inside(
    ratings: Ratings,
    job: Mapping[str, Any],
    others: Sequence[str] = (),
    stop: int | None = None,
) -> dict[str, Any]:
    """Choose among all candidates inside the training part of a split, and score the choices.

    Parameters
    ----------
    ratings : Ratings
    job : mapping
        ``split`` as `compare.split_rows` takes it, and ``seed``.
    others : sequence of str
        Models of `contenders.CONTENDERS`, with their defaults, for one blend more.
    stop : int, optional
        Epochs at most, for a smoke run.

    Returns
    -------
    dict
        Test RMSE of the single recipe and of the blend that were chosen here, and of those that
        the earlier search had found, all with one network for each recipe; the name of the single
        recipe, and how many recipes have a weight above zero.
    """
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import holdout_split

    seed = int(job["seed"])
    shape = ratings.num_users, ratings.num_items
    table, test = (ratings.table.iloc[rows] for rows in split_rows(ratings, job["split"], seed))
    halves = holdout_split(len(table), VAL_RATIO, seed)
    kept, held_out = (interaction_csr(table, *shape, rows=rows) for rows in halves)
    whole = interaction_csr(table, *shape)
    validation = table.iloc[halves[1]]
    stars = validation["rating"].to_numpy(float)

    fits = {
        name: fit_network(kept, recipe, seed, validation=held_out, stop=stop)
        for name, recipe in CANDIDATES.items()
    }
    beside = {name: guess(fitted.predict, validation) for name, fitted in fits.items()}
    chosen = min(CANDIDATES, key=lambda name: pooled_rmse(beside[name].clip(*RANGE), stars))
    models = {name: CONTENDERS[name].make() for name in others}
    for name, model in models.items():
        beside[name] = guess(model(table.iloc[halves[0]], shape, seed), validation)
    members = {INSIDE: [*CANDIDATES], PUBLISHED: [*POOL]}
    if others:
        members[WITH_OTHERS] = [*CANDIDATES, *others]
    blends = {
        what: dict(zip(names, blend_weights([beside[name] for name in names], stars)))
        for what, names in members.items()
    }
    needed = {chosen, SINGLE, *(n for part in blends.values() for n, w in part.items() if w)}
    predicted = {
        name: guess(
            fit_network(whole, CANDIDATES[name], seed, stop=fits[name].epoch).predict, test
        )
        for name in CANDIDATES
        if name in needed
    }
    predicted.update(
        {name: guess(model(table, shape, seed), test) for name, model in models.items()}
    )

    def score(weights: Mapping[str, float]) -> float:
        blended = np.sum([w * predicted[name] for name, w in weights.items() if w], axis=0)
        return pooled_rmse(blended.clip(*RANGE), test["rating"].to_numpy(float))

    return {
        f"single, {INSIDE}": score({chosen: 1.0}),
        f"single, {PUBLISHED}": score({SINGLE: 1.0}),
        **{f"blend, {what}": score(weights) for what, weights in blends.items()},
        "single recipe": chosen,
        "recipes in the blend": int(np.count_nonzero([*blends[INSIDE].values()])),
    }


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what was searched inside the training part beside what is published."""
    import pandas as pd

    rows = []
    for kind in ("single", "blend"):
        inside, published = (runs[f"{kind}, {what}"] for what in (INSIDE, PUBLISHED))
        rows.append((f"{kind}, {PUBLISHED}", str(interval(published)), ""))
        gain = str(paired(inside, published).difference)
        rows.append((f"{kind}, {INSIDE}", str(interval(inside)), gain))
    return pd.DataFrame(rows, columns=["recipes", "test RMSE", "less as published"])


def answer(runs: pd.DataFrame) -> str:
    """Say what it changes to search the recipes inside: what the earlier search was worth.

    Parameters
    ----------
    runs : pandas.DataFrame
        From `search_inside`.
    """
    single, blend = (
        paired(runs[f"{kind}, {INSIDE}"], runs[f"{kind}, {PUBLISHED}"]).difference
        for kind in ("single", "blend")
    )
    return (
        "With the recipes searched inside the training part of each split instead, and one "
        f"network for each, the test RMSE of a single AutoRec changes by {single}, and that of a "
        f"blend by {blend}."
    )
