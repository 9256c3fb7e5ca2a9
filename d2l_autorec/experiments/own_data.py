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
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.experiments import baselines, libraries
from d2l_autorec.experiments.contenders import Contender, lacking
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
from d2l_autorec.experiments.runner import are_stored, first_jobs, run_jobs
from d2l_autorec.experiments.stats import pooled_rmse
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results
from d2l_autorec.models.recipes import RECIPES, Named, for_size

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.experiments.baselines import Model, Predict


def _named(name: str) -> Model:
    """Return the model of the recipe that a name stands for, given the ratings."""

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        named = for_size(Named(name, RECIPES[name]), len(table), *shape)
        return baselines.recipe(named.recipe)(table, shape, seed)

    return fit


MODELS = {
    MEAN: Contender(baselines.global_mean),
    BIASES: Contender(lambda: baselines.biases(10, 10, 10)),
    ESTIMATED: Contender(baselines.estimated_biases),
    CHAPTER: Contender(lambda: baselines.recipe(RECIPES["chapter"].but(draws="numpy"))),
    DEFAULT: Contender(lambda: _named("default")),
    "cmfrec, biased MF": Contender(libraries.cmfrec_mf, package="cmfrec"),
    "Surprise SVD": Contender(libraries.surprise_svd, package="surprise"),
    "myFM": Contender(libraries.myfm, package="myfm"),
    BLEND: Contender(lambda: _named("blend")),
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
    folder: Path,
    sets: Mapping[str, Path],
    num_splits: int = 5,
    slow_splits: int | None = None,
    names: Sequence[str] | None = None,
    quiet: bool = False,
    quick: bool = False,
    processes: int | None = None,
) -> list[str]:
    """Fit the models on random splits of each data set.

    Parameters
    ----------
    folder : Path
        For the results. Runs that are stored there are not repeated.
    sets : mapping of str to Path
        Name and ratings file of each set, in the order of the tables.
    num_splits : int
        Random splits, at least 2: seeds 0, 1, ... Stored ones after them count too.
    slow_splits : int, optional
        The same for all models but the mean and the biases; ``num_splits`` by default.
    names : sequence of str, optional
        Of `MODELS`; all by default. A model whose library is not installed is skipped, unless all
        of its runs are stored.
    quiet : bool
        Show no progress.
    quick : bool
        A smoke run: the answer draws no conclusion.
    processes : int, optional
        One for each core by default.

    Returns
    -------
    list of str
        The answer.

    Raises
    ------
    InputError
        If a file cannot be read, or a stored table would lose rows.
    """
    import pandas as pd

    said = " ".join(f"{name}={path.name}" for name, path in sets.items())
    slow = num_splits if slow_splits is None else min(slow_splits, num_splits)
    options = "--quick" if quick else f"--splits {num_splits} --slow-splits {slow}"
    command = f"d2l-autorec own-data {said} {options}"
    refuse_to_shrink(folder, command)
    loaded = {name: _ratings(path) for name, path in sets.items()}  # bad data first
    skipped: set[str] = set()
    found = {}
    for name, ratings in loaded.items():
        jobs = {}
        for model in names or MODELS:
            every = [{"model": model, "seed": seed} for seed in range(MOST_SPLITS)]
            most = num_splits if model in (MEAN, BIASES, ESTIMATED) else slow
            if own := first_jobs(every, most, folder / name, ratings.digest):
                jobs[model] = own
        for model in lacking({model: MODELS[model] for model in jobs}):
            if not are_stored(folder / name, jobs[model], ratings.digest):
                skipped.add(model)
                del jobs[model]
        wanted = [job for own in jobs.values() for job in own]
        found[name] = run_jobs(
            folder / name,
            partial(run_one, sets[name]),
            wanted,
            data_digest=ratings.digest,
            label=f"own-data: {name}",
            quiet=quiet,
            processes=processes,
        )
    runs = pd.concat([part.assign(set=name) for name, part in found.items()], ignore_index=True)
    told = answer(runs)
    if skipped:
        told.append(f"Skipped because the library is not installed: {', '.join(sorted(skipped))}.")
    return save_results(
        folder,
        command,
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
    from d2l_autorec.data.formats import read_ratings

    return read_ratings(path, allow_nonpositive=True)


def run_one(path: Path, job: Mapping[str, Any]) -> dict[str, float]:
    """Fit a model on the training ratings of a split and score it."""
    from d2l_autorec.training.run import Plan, split

    ratings, seed = _ratings(path), int(job["seed"])
    plan = Plan(RECIPES["default"], "sparse", seed=seed)
    train, test = (ratings.table.iloc[rows] for rows in split(ratings, plan))
    shape = ratings.num_users, ratings.num_items
    predict = MODELS[job["model"]].make()(train, shape, seed)
    users, items = (test[name].to_numpy(np.int64) for name in ("user", "item"))
    stars = train["rating"].to_numpy(float)
    predicted = np.asarray(predict(users, items), float).clip(stars.min(), stars.max())
    return {"test_rmse": pooled_rmse(predicted, test["rating"].to_numpy(float))}
