"""The lowest RMSE that an AutoRec reaches on the book's random splits, step by step.

On each split, epochs and blending weights are chosen on a tenth of its training ratings, and its
test ratings are used for the scores only. The recipes were chosen before that, by a search over
all ratings (see `search`), so the search has seen ratings that are tested here. What they reach
when they are searched inside each training part stands beside them (`nested`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from d2l_autorec import plots
from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments import nested
from d2l_autorec.experiments.experiment import Experiment, frame
from d2l_autorec.experiments.parts import RANGE, Part, split_parts
from d2l_autorec.experiments.pool import (
    ASIDE,
    CANDIDATES,
    NUM_SEEDS,
    PAPER,
    PATIENCE,
    POOL,
    SEARCH_SPLITS,
    STOPPED,
    VAL_RATIO,
)
from d2l_autorec.experiments.stats import interval, less
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.training.blend import blend_weights, mean_prediction, member_seeds
from d2l_autorec.training.fit import fit_network

LADDER = {
    "chapter": "the chapter: 25 epochs",
    "stopping": "+ epoch chosen on validation ratings",
    "clipping": "+ predictions clipped to 1..5",
    "paper": "+ the paper's objective: summed errors, λ 30 on the weights",
    "cosine": "+ learning rate 0.004, to zero along a cosine over 60 epochs",
    "refit": "+ trained anew on the validation ratings as well",
    "seeds": f"+ mean of {NUM_SEEDS} seeds",
    "both": "+ mean of item-based and user-based",
    "weights": "+ weights of the two chosen on validation ratings",
    "pool": f"+ {len(POOL) - 2} further AutoRecs, weights likewise",
}

SEARCH = (
    "On each split, epochs and blending weights are chosen on validation ratings, but the recipes "
    "are not: they were found by a search on two other random splits (100 and 101) of all the "
    "ratings, so ratings that are tested here took part in the choice of recipes, and the numbers "
    "may be somewhat too low."
)


def best(
    experiment: Experiment, ratings: Ratings, num_splits: int = 10, num_searched: int | None = None
) -> pd.DataFrame:
    """Measure each step of the ladder on the book's random splits 0, 1, ... of MovieLens 100K.

    On ``num_searched`` of these, at least 2 and all by default, the recipes are also searched
    inside the training part. The table has a row for each step.
    """
    searched = num_splits if num_searched is None else min(num_searched, num_splits)
    experiment.begin("best", f"--splits {num_splits} --searched {searched}")
    searching, climbing, inside_each = (
        partial(work, ratings, stop=experiment.stop)
        for work in (search, climb, nested.search_inside)
    )
    jobs = [{"recipe": name, "split": split} for name in CANDIDATES for split in SEARCH_SPLITS]
    tried = experiment.run(searching, jobs, ratings, "search", "search")
    seeds = [{"split": seed} for seed in range(num_splits)]
    runs = experiment.run(climbing, seeds, ratings, "ladder")
    jobs = [{"split": "random", "seed": seed} for seed in range(searched)]
    inside = experiment.run(inside_each, jobs, ratings, "search inside", "nested")
    tables = {**_tables(runs, tried), "nested": nested.summary(inside)}
    experiment.save(
        "How low can the test RMSE of an AutoRec get on the chapter's random splits?",
        _answer(runs, inside),
        {
            "data": ratings.name,
            "splits": f"random_split after seed_everything(seed), seeds 0 to {num_splits - 1}",
            "validation": "a tenth of the training ratings of each split",
            "search": SEARCH,
            "seeds": NUM_SEEDS,
            "pool": {name: recipe.to_dict() for name, recipe in POOL.items()},
        },
        tables,
        {"ladder": _figure(runs)},
    )
    return tables["summary"]


def search(ratings: Ratings, job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Fit one candidate on nine tenths of the ratings, and score it on the last tenth."""
    seed, recipe = int(job["split"]), CANDIDATES[job["recipe"]]
    train, held_out = Part.whole(ratings).divide(seed)
    fitted = fit_network(train.matrix, recipe, seed, validation=held_out.matrix, stop=stop)
    return {"rmse": held_out.rmse(held_out.predicted(fitted.predict)), "epoch": fitted.epoch}


def climb(ratings: Ratings, job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Measure every step of the ladder, and the changes beside it, on one split."""
    seed = int(job["split"])
    whole, test = split_parts(ratings, "random", seed)
    train, held_out = whole.divide(seed, VAL_RATIO)
    beside_it = partial(fit_network, train.matrix, validation=held_out.matrix, stop=stop)

    def stopped(recipe: Recipe, patience: int | None = None) -> np.ndarray:
        return _predict([beside_it(recipe.but(patience=patience), seed)], test)

    chapter = fit_network(whole.matrix, Recipe(), seed, stop=stop)
    early = stopped(STOPPED, PATIENCE)
    found = {
        "chapter": test.rmse(_predict([chapter], test)),
        "stopping": test.rmse(early),
        "clipping": test.rmse(early.clip(*RANGE)),
        "paper": test.rmse(stopped(PAPER, PATIENCE)),
    }
    seeds = member_seeds(seed, NUM_SEEDS)
    beside: list[np.ndarray] = []
    again: list[np.ndarray] = []
    for recipe in POOL.values():
        fits = [beside_it(recipe, own) for own in seeds]
        refits = [
            fit_network(whole.matrix, recipe, own, stop=fitted.epoch)
            for own, fitted in zip(seeds, fits)
        ]
        if not beside:
            for step, networks in (("cosine", fits), ("refit", refits)):
                found[step] = test.rmse(_predict(networks[:1], test))
        beside.append(_predict(fits, held_out))
        again.append(_predict(refits, test))
    predicted = np.stack(again)
    found["seeds"] = test.rmse(predicted[0])
    found["both"] = test.rmse(predicted[:2].mean(axis=0))
    for step, count in (("weights", 2), ("pool", len(beside))):
        weights = blend_weights(beside[:count], held_out.stars)
        found[step] = test.rmse((weights @ predicted[:count]).clip(*RANGE))
    found.update({what: test.rmse(stopped(recipe)) for what, recipe in ASIDE.items()})
    return {**found, **{f"weight: {name}": weight for name, weight in zip(POOL, weights)}}


def _predict(fits: Sequence[TrainedModel], part: Part) -> np.ndarray:
    return part.predicted(partial(mean_prediction, fits))


def _tables(runs: pd.DataFrame, tried: pd.DataFrame) -> dict[str, pd.DataFrame]:
    def searched(name: str) -> list[float]:
        return tried.loc[tried["recipe"] == name, "rmse"].round(4).tolist()

    ladder = [
        (what, interval(runs[step]), less(runs[step], runs[before]) if before else "")
        for (step, what), before in zip(LADDER.items(), ("", *LADDER))
    ]
    aside = [(what, interval(runs[what]), less(runs[what], runs["cosine"])) for what in ASIDE]
    weights = [(name, interval(runs[f"weight: {name}"]), *searched(name)) for name in POOL]
    split_names = [f"RMSE, split {split}" for split in SEARCH_SPLITS]
    alone = [f"alone, {name}" for name in split_names]
    candidates = [(name, *searched(name)) for name in CANDIDATES]
    return {
        "summary": frame(["step", "test RMSE", "less the step above"], ladder),
        "aside": frame(["tried at the cosine's step", "test RMSE", "less that step"], aside),
        "weights": frame(["in the blend", "weight", *alone], weights),
        "candidates": frame(["candidate", *split_names], candidates),
    }


def _answer(runs: pd.DataFrame, inside: pd.DataFrame) -> list[str]:
    gain, single = (less(runs[step], runs["chapter"]) for step in ("pool", "refit"))
    return [
        f"The chapter's recipe has a test RMSE of {interval(runs['chapter'])} on these splits, a "
        f"blend of {len(POOL)} AutoRecs {interval(runs['pool'])}, a difference of {gain}. "
        f"{nested.answer(inside)}",
        f"A single AutoRec has {interval(runs['refit'])}, a difference of {single}.",
        SEARCH,
        nested.NOTE,
    ]


def _figure(runs: pd.DataFrame) -> Figure:
    figure, (axes,) = plots.frame(0.34 * len(LADDER) + 1.4)
    values = [interval(runs[step]) for step in LADDER]
    plots.intervals(axes, list(LADDER.values()), values, form=".4f")
    plots.book_line(axes)
    axes.set(xlabel=f"test RMSE, mean and 95% interval over {len(runs)} splits")
    plots.legend(figure, axes)
    return figure
