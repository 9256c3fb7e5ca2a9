"""Recipes that are searched inside the training part of each split.

The recipes of `d2l_autorec.models.recipes` were found by a search that saw ratings that are tested
in ``best``. Here every recipe which that search scored is trained beside validation ratings from
the training part, and these alone decide: they choose the best single recipe, the weights of a
blend of all recipes, and all epochs. The test ratings give the scores only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments.contenders import CONTENDERS
from d2l_autorec.experiments.experiment import frame
from d2l_autorec.experiments.parts import RANGE, split_parts
from d2l_autorec.experiments.pool import CANDIDATES, POOL, VAL_RATIO
from d2l_autorec.experiments.stats import Interval, interval, less
from d2l_autorec.training.blend import blend_weights
from d2l_autorec.training.fit import fit_network

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
    ratings: Ratings, job: Mapping[str, Any], others: Sequence[str] = (), stop: int | None = None
) -> dict[str, Any]:
    """Choose among all candidates inside the training part of a split, and score the choices.

    Parameters
    ----------
    ratings : Ratings
    job : mapping
        ``split`` as `parts.split_rows` takes it, and ``seed``.
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
    seed = int(job["seed"])
    train, test = split_parts(ratings, job["split"], seed)
    kept, held_out = train.divide(seed, VAL_RATIO)

    fits = {
        name: fit_network(kept.matrix, recipe, seed, validation=held_out.matrix, stop=stop)
        for name, recipe in CANDIDATES.items()
    }
    beside = {name: held_out.predicted(fitted.predict) for name, fitted in fits.items()}
    chosen = min(CANDIDATES, key=lambda name: held_out.rmse(beside[name].clip(*RANGE)))
    models = {name: CONTENDERS[name].make() for name in others}
    for name, model in models.items():
        beside[name] = held_out.predicted(model(kept.table, kept.shape, seed))
    members = {INSIDE: [*CANDIDATES], PUBLISHED: [*POOL]}
    if others:
        members[WITH_OTHERS] = [*CANDIDATES, *others]
    blends = {
        what: dict(zip(names, blend_weights([beside[name] for name in names], held_out.stars)))
        for what, names in members.items()
    }
    needed = {chosen, SINGLE, *(n for part in blends.values() for n, w in part.items() if w)}
    predicted = {}
    for name in CANDIDATES:
        if name in needed:
            again = fit_network(train.matrix, CANDIDATES[name], seed, stop=fits[name].epoch)
            predicted[name] = test.predicted(again.predict)
    for name, model in models.items():
        predicted[name] = test.predicted(model(train.table, train.shape, seed))

    def score(weights: Mapping[str, float]) -> float:
        blended = np.sum([w * predicted[name] for name, w in weights.items() if w], axis=0)
        return test.rmse(blended.clip(*RANGE))

    return {
        f"single, {INSIDE}": score({chosen: 1.0}),
        f"single, {PUBLISHED}": score({SINGLE: 1.0}),
        **{f"blend, {what}": score(weights) for what, weights in blends.items()},
        "single recipe": chosen,
        "recipes in the blend": int(np.count_nonzero([*blends[INSIDE].values()])),
    }


def gains(runs: pd.DataFrame) -> dict[str, Interval]:
    """Return by how much a single AutoRec and a blend change when searched inside."""
    return {
        kind: less(runs[f"{kind}, {INSIDE}"], runs[f"{kind}, {PUBLISHED}"])
        for kind in ("single", "blend")
    }


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what was searched inside the training part beside what is published."""
    rows: list[tuple[Any, ...]] = []
    for kind, gain in gains(runs).items():
        for what, shown in ((PUBLISHED, ""), (INSIDE, gain)):
            name = f"{kind}, {what}"
            rows.append((name, interval(runs[name]), shown))
    return frame(["recipes", "test RMSE", "less as published"], rows)


def answer(runs: pd.DataFrame) -> str:
    """Say what it changes to search the recipes inside: what the earlier search was worth."""
    single, blend = gains(runs).values()
    return (
        "With the recipes searched inside the training part of each split instead, and one "
        f"network for each, the test RMSE of a single AutoRec changes by {single}, and that of a "
        f"blend by {blend}."
    )
