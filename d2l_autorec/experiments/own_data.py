"""How good are the recipes on other data? All models on the same splits of several data sets.

The splits are those of ``d2l-autorec train --data FILE``, seeds 0, 1, ..., and what a recipe
chooses, it chooses on validation ratings from the training part. Nothing is tuned for a data set:
recipes and libraries have their default settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from d2l_autorec.data.formats import Ratings, read_ratings
from d2l_autorec.errors import InputError
from d2l_autorec.experiments import baselines, libraries
from d2l_autorec.experiments.baselines import Shape
from d2l_autorec.experiments.contenders import Contender, lacking
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.experiments.own_data_tables import (
    BIASES,
    BLEND,
    CHAPTER,
    DEFAULT,
    ESTIMATED,
    MEAN,
    answer,
    described,
    figure,
    summary,
)
from d2l_autorec.experiments.parts import Part, Predict
from d2l_autorec.models.recipes import RECIPES, Named, for_size
from d2l_autorec.training.run import Plan, split


def _named(table: pd.DataFrame, shape: Shape, seed: int, name: str) -> Predict:
    """Train the model of the recipe that a name stands for, given the ratings."""
    named = for_size(Named(name, RECIPES[name]), len(table), *shape)
    return baselines.recipe(table, shape, seed, named.recipe)


MODELS = {
    MEAN: Contender(baselines.global_mean),
    BIASES: Contender(partial(baselines.biases, reg_user=10, reg_item=10, num_sweeps=10)),
    ESTIMATED: Contender(baselines.estimated_biases),
    CHAPTER: Contender(partial(baselines.recipe, recipe=RECIPES["chapter"].but(draws="numpy"))),
    DEFAULT: Contender(partial(_named, name="default")),
    "cmfrec, biased MF": Contender(libraries.cmfrec_mf, package="cmfrec"),
    "Surprise SVD": Contender(libraries.surprise_svd, package="surprise"),
    "myFM": Contender(libraries.myfm, package="myfm"),
    BLEND: Contender(partial(_named, name="blend")),
}
"""The models, the quick ones first. `BIASES` is what ``train`` prints beside its test RMSE."""

MOST_SPLITS = 1000
"""Of those that are stored."""

SETTINGS = (
    "Nothing is chosen for a set: the recipes and the settings of the libraries are as they come. "
    "What is fixed in default, dense and sparse-blend was chosen inside the training parts of "
    "other random splits (seeds 100 to 104) of FilmTrust, ml-latest-small, MovieTweetings, "
    "Amazon's electronics, MovieLens 100K and 1M, by validation ratings and by a further part "
    "held out there. Such a training part holds ratings that are tested here. λ 60 comes from "
    "earlier trials that had seen test ratings of the first two, and was kept."
)
QUICK = (MEAN, BIASES, DEFAULT)


def own_data(
    experiment: Experiment,
    sets: Mapping[str, Path],
    num_splits: int = 5,
    slow_splits: int | None = None,
    names: Sequence[str] | None = None,
) -> list[str]:
    """Fit the models on random splits of each data set; an InputError if one cannot be read.

    Parameters
    ----------
    experiment : Experiment
    sets : mapping of str to Path
        Name and ratings file of each set, in the order of the tables.
    num_splits : int
        Random splits, at least 2: seeds 0, 1, ... Stored ones after them count too.
    slow_splits : int, optional
        The same for all models but the mean and the biases; ``num_splits`` by default.
    names : sequence of str, optional
        Of `MODELS`; all by default. A model whose library is not installed is skipped, unless all
        of its runs are stored.
    """
    said = " ".join(f"{name}={path.name}" for name, path in sets.items())
    slow = num_splits if slow_splits is None else min(slow_splits, num_splits)
    experiment.begin(f"own-data {said}", f"--splits {num_splits} --slow-splits {slow}")
    loaded = {name: _ratings(path) for name, path in sets.items()}  # bad data first
    skipped: set[str] = set()
    found = []
    for name, ratings in loaded.items():
        jobs = {}
        for model in names or MODELS:
            every = [{"model": model, "seed": seed} for seed in range(MOST_SPLITS)]
            most = num_splits if model in (MEAN, BIASES, ESTIMATED) else slow
            if own := experiment.first(every, most, ratings, name):
                jobs[model] = own
        for model in lacking({model: MODELS[model] for model in jobs}):
            if not experiment.has(jobs[model], ratings, name):
                skipped.add(model)
                del jobs[model]
        wanted = [job for own in jobs.values() for job in own]
        runs = experiment.run(partial(run_one, sets[name]), wanted, ratings, name, name)
        found.append(runs.assign(set=name))
    runs = pd.concat(found, ignore_index=True)
    told = answer(runs)
    if skipped:
        told.append(f"Skipped because the library is not installed: {', '.join(sorted(skipped))}.")
    return experiment.save(
        "How good are the recipes for people's own ratings, beside user and item biases?",
        told,
        {
            "splits": "a tenth of the ratings, as train draws it, seeds 0, 1, ...",
            "score": "pooled RMSE of predictions clipped to the range of the training ratings",
            "plain biases": "each averaged with ten ratings of no effect; train prints them, not "
            "clipped",
            "settings": SETTINGS,
            "digests": {name: ratings.digest for name, ratings in loaded.items()},
            "recipes": {
                name: RECIPES[name].to_dict()
                for name in ("default", "dense", "sparse-blend", "blend")
            },
        },
        {"summary": summary(runs), "sets": described(loaded)},
        {"summary": figure(runs)},
    )


def parse_sets(texts: Sequence[str]) -> dict[str, Path]:
    """Parse ``NAME=FILE`` into names and paths, or raise an InputError."""
    sets = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if not (sign and path and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", name)):
            raise InputError(
                f"{text[:200]!r} is not a data set; write NAME=FILE, the name in letters, digits "
                "and hyphens."
            )
        if name in sets:
            raise InputError(f"Two data sets are named {name}; give each a name of its own.")
        sets[name] = Path(path)
    return sets


@lru_cache(maxsize=1)
def _ratings(path: Path) -> Ratings:
    return read_ratings(path, allow_nonpositive=True)


def run_one(path: Path, job: Mapping[str, Any]) -> dict[str, float]:
    """Fit a model on the training ratings of a split and score it."""
    ratings, seed = _ratings(path), int(job["seed"])
    plan = Plan(RECIPES["default"], "sparse", seed=seed)
    train, test = (Part(ratings, rows) for rows in split(ratings, plan))
    predict = MODELS[job["model"]].make()(train.table, train.shape, seed)
    predicted = test.predicted(predict).clip(train.stars.min(), train.stars.max())
    return {"test_rmse": test.rmse(predicted)}
