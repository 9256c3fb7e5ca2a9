"""The lowest RMSE that an AutoRec reaches on the book's random splits, step by step.

On each split, epochs and blending weights are chosen on a tenth of its training ratings, and its
test ratings are used for the scores only. The recipes were chosen before that, by a search over
all ratings (see `search`), so the search has seen ratings that are tested here. What they reach
when they are searched inside each training part stands beside them (`nested`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec import plots
from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments import nested
from d2l_autorec.experiments.pool import (
    ASIDE,
    CANDIDATES,
    NUM_SEEDS,
    PAPER,
    PATIENCE,
    POOL,
    RANGE,
    SEARCH_SPLITS,
    STOPPED,
    VAL_RATIO,
)
from d2l_autorec.experiments.runner import run_jobs
from d2l_autorec.experiments.stats import interval, paired, pooled_rmse
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.blend import blend_weights, mean_prediction, member_seeds
from d2l_autorec.training.fit import fit_network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.models.trained import TrainedModel

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
    folder: Path,
    num_splits: int = 10,
    num_searched: int | None = None,
    quiet: bool = False,
    processes: int | None = None,
    quick: bool = False,
) -> pd.DataFrame:
    """Measure each step of the ladder on the book's random splits of MovieLens 100K.

    Parameters
    ----------
    folder : Path
        Folder of the results. Splits that are stored there are not repeated.
    num_splits : int
        Seeds 0, 1, ...
    num_searched : int, optional
        The first of these on which the recipes are also searched inside the training part, at
        least 2; all by default.
    quiet : bool
    processes : int, optional
        One for each core by default.
    quick : bool
        A smoke run, which draws no conclusion.

    Returns
    -------
    pandas.DataFrame
        A row for each step of the ladder.
    """
    from d2l_autorec.data.sources import load_ml100k

    searched = num_splits if num_searched is None else min(num_searched, num_splits)
    asked = "--quick" if quick else f"--splits {num_splits} --searched {searched}"
    command = f"d2l-autorec best {asked}"
    stop = 1 if quick else None
    refuse_to_shrink(folder, command)
    ratings = load_ml100k(quiet=quiet)
    common: dict[str, Any] = {"data_digest": ratings.digest, "processes": processes}
    tried = run_jobs(
        folder / "search",
        partial(search, stop=stop),
        [{"recipe": name, "split": split} for name in CANDIDATES for split in SEARCH_SPLITS],
        label="best: search",
        quiet=quiet,
        **common,
    )
    jobs = [{"split": seed} for seed in range(num_splits)]
    runs = run_jobs(
        folder, partial(climb, stop=stop), jobs, label="best: ladder", quiet=quiet, **common
    )
    inside = run_jobs(
        folder / "nested",
        partial(nested.search_inside, ratings, stop=stop),
        [{"split": "random", "seed": seed} for seed in range(searched)],
        label="best: search inside",
        quiet=quiet,
        **common,
    )
    tables = {**_tables(runs, tried), "nested": nested.summary(inside)}
    save_results(
        folder,
        command,
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


@lru_cache(maxsize=1)
def _ratings() -> Ratings:
    from d2l_autorec.data.sources import load_ml100k

    return load_ml100k(quiet=True)


def search(job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Fit one candidate on nine tenths of the ratings, and score it on the last tenth."""
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import holdout_split

    ratings = _ratings()
    shape = ratings.num_users, ratings.num_items
    split = holdout_split(len(ratings.table), 0.1, int(job["split"]))
    train, held_out = (interaction_csr(ratings.table, *shape, rows=rows) for rows in split)
    recipe = CANDIDATES[job["recipe"]]
    fitted = fit_network(train, recipe, int(job["split"]), validation=held_out, stop=stop)
    asked = ratings.table.iloc[split[1]]
    rmse = pooled_rmse(_predict((fitted,), asked), asked["rating"].to_numpy())
    return {"rmse": rmse, "epoch": fitted.epoch}


def climb(job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Measure every step of the ladder, and the changes beside it, on one split."""
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import holdout_split, random_split

    ratings, seed = _ratings(), int(job["split"])
    shape = ratings.num_users, ratings.num_items
    seed_everything(seed)
    train_rows, test_rows = random_split(ratings.table, CHAPTER.test_ratio)
    table, test = ratings.table.iloc[train_rows], ratings.table.iloc[test_rows]
    split = holdout_split(len(table), VAL_RATIO, seed)
    validation = table.iloc[split[1]]
    train, held_out = (interaction_csr(table, *shape, rows=rows) for rows in split)

    whole = interaction_csr(table, *shape)
    beside_it = partial(fit_network, train, validation=held_out, stop=stop)

    def stopped(recipe: Recipe, patience: int | None = None) -> tuple[TrainedModel]:
        return (beside_it(recipe.but(patience=patience), seed),)

    def score(prediction: np.ndarray) -> float:
        return pooled_rmse(prediction, test["rating"].to_numpy())

    chapter = fit_network(whole, Recipe(), seed, stop=stop)
    early = _predict(stopped(STOPPED, PATIENCE), test)
    found = {
        "chapter": score(_predict((chapter,), test)),
        "stopping": score(early),
        "clipping": score(early.clip(*RANGE)),
        "paper": score(_predict(stopped(PAPER, PATIENCE), test)),
    }
    seeds = member_seeds(seed, NUM_SEEDS)
    beside: list[np.ndarray] = []
    again: list[np.ndarray] = []
    for recipe in POOL.values():
        fits = [beside_it(recipe, own) for own in seeds]
        refits = [
            fit_network(whole, recipe, own, stop=fitted.epoch) for own, fitted in zip(seeds, fits)
        ]
        if not beside:
            found["cosine"], found["refit"] = (
                score(_predict(f[:1], test)) for f in (fits, refits)
            )
        beside.append(_predict(fits, validation))
        again.append(_predict(refits, test))
    predicted = np.stack(again)
    found["seeds"] = score(predicted[0])
    found["both"] = score(predicted[:2].mean(axis=0))
    for step, count in (("weights", 2), ("pool", len(beside))):
        weights = blend_weights(beside[:count], validation["rating"].to_numpy())
        found[step] = score((weights @ predicted[:count]).clip(*RANGE))
    found.update({what: score(_predict(stopped(recipe), test)) for what, recipe in ASIDE.items()})
    return {**found, **{f"weight: {name}": weight for name, weight in zip(POOL, weights)}}


def _predict(fits: Sequence[TrainedModel], pairs: pd.DataFrame) -> np.ndarray:
    return mean_prediction(fits, pairs["user"].to_numpy(), pairs["item"].to_numpy())


def _tables(runs: pd.DataFrame, tried: pd.DataFrame) -> dict[str, pd.DataFrame]:
    import pandas as pd

    ladder, before = [], None
    for step, what in LADDER.items():
        gain = "" if before is None else str(paired(runs[step], runs[before]).difference)
        ladder.append((what, str(interval(runs[step])), gain))
        before = step
    aside = [
        (what, str(interval(runs[what])), str(paired(runs[what], runs["cosine"]).difference))
        for what in ASIDE
    ]
    weights = [
        (name, *(str(interval(runs[f"weight: {name}"])),), *_searched(tried, name))
        for name in POOL
    ]
    rows = [(name, *_searched(tried, name)) for name in CANDIDATES]
    split_names = [f"RMSE, split {split}" for split in SEARCH_SPLITS]
    return {
        "summary": pd.DataFrame(ladder, columns=["step", "test RMSE", "less the step above"]),
        "aside": pd.DataFrame(
            aside, columns=["tried at the cosine's step", "test RMSE", "less that step"]
        ),
        "weights": pd.DataFrame(
            weights, columns=["in the blend", "weight", *(f"alone, {n}" for n in split_names)]
        ),
        "candidates": pd.DataFrame(rows, columns=["candidate", *split_names]),
    }


def _searched(tried: pd.DataFrame, name: str) -> list[float]:
    return tried.loc[tried["recipe"] == name, "rmse"].round(4).tolist()


def _answer(runs: pd.DataFrame, inside: pd.DataFrame) -> list[str]:
    gain = paired(runs["pool"], runs["chapter"]).difference
    single = paired(runs["refit"], runs["chapter"]).difference
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
