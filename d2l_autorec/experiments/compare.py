"""Does AutoRec beat matrix factorization? All models on the same ratings, by the same measure.

The chapter sets 0.901, on a random split, against a figure of another split and another measure.
Here every model is fitted on the same training ratings and scored on the same held-out ones, its
predictions clipped to 1..5, by one RMSE pooled over them. Models that are tuned choose among as
many settings each, on ratings cut from the training part; then they are fitted on all of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.compare_tables import (
    RANDOM,
    SEQ_AWARE,
    answer,
    chosen,
    figure,
    summary,
)
from d2l_autorec.experiments.contenders import CONTENDERS, Contender, missing_packages
from d2l_autorec.experiments.runner import run_jobs, save_results
from d2l_autorec.experiments.stats import pooled_rmse
from d2l_autorec.runtime import num_threads, seed_everything

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.data.split import Rows
    from d2l_autorec.experiments.fitting import Predict

RANGE = (1.0, 5.0)
VAL_RATIO = 0.1
NUM_TIMED = 3
NUM_DRAWS = 3  # of weights and order on the seq-aware split, of which there is one


def compare(
    folder: Path,
    ratings: Ratings,
    num_splits: int = 10,
    names: Sequence[str] | None = None,
    quiet: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Fit all contenders on the book's random splits and on its seq-aware one.

    Parameters
    ----------
    folder : Path
        For the results; what is there is not run again.
    ratings : Ratings
        MovieLens 100K.
    num_splits : int
        Random splits, at least 2: seeds 0, 1, ...
    names : sequence of str, optional
        Of ``CONTENDERS``; all whose library is installed.
    quiet : bool
        Show no progress.

    Returns
    -------
    summary : pandas.DataFrame
    answer : list of str
        Names what was skipped for lack of its library.
    """
    skipped = missing_packages()
    names = [n for n in names or CONTENDERS if n not in skipped]
    seeds = {RANDOM: num_splits, SEQ_AWARE: NUM_DRAWS}
    jobs = [
        {"split": split, "seed": seed, "model": name}
        for split, count in seeds.items()
        for seed in range(count)
        for name in names
    ]
    runs = run_jobs(
        folder, partial(run_one, ratings), jobs, data_digest=ratings.digest, label="compare",
        quiet=quiet,
    )  # fmt: skip
    timings = run_jobs(
        folder / "timing", partial(time_one, ratings), _timed(runs, names),
        data_digest=ratings.digest, label="compare: time", processes=1, quiet=quiet,
    )  # fmt: skip
    table = summary(runs, timings)
    told = answer(runs)
    if skipped:
        listed = "; ".join(f"{name} (needs {package})" for name, package in skipped.items())
        told.append(f"Skipped for lack of a library: {listed}.")
    save_results(
        folder,
        f"d2l-autorec compare --splits {num_splits}",
        "The chapter says that AutoRec's RMSE is lower than matrix factorization's. Is it?",
        told,
        {
            "data": ratings.name,
            "splits": f"the book's random split, seeds 0 to {num_splits - 1}, and its seq-aware "
            f"one with {NUM_DRAWS} draws of weights and order",
            "score": "pooled RMSE of predictions clipped to 1..5",
            "p": "Wilcoxon's signed-rank test of the differences from the chapter's AutoRec over "
            "the random splits, two-sided, not corrected for the number of models",
            "validation": "a tenth of the training ratings at random; on the seq-aware split each "
            "user's latest training rating",
            "fit, s": f"median of {NUM_TIMED} fits on split 0 with the settings chosen there, and "
            f"the predictions; all models in turn, nothing beside them, {num_threads()} threads "
            "where a model can use them",
            "settings to choose from": {n: CONTENDERS[n].settings for n in names},
            "most epochs to choose from": {
                n: epochs for n in names if (epochs := CONTENDERS[n].most_epochs)
            },
            "skipped": skipped,
        },
        {"summary": table, "chosen": chosen(runs)},
        {"summary": figure(runs)},
    )
    return table, told


def run_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, Any]:
    """Choose a contender's settings, fit it on all training ratings and score it."""
    contender, seed = CONTENDERS[job["model"]], int(job["seed"])
    shape = ratings.num_users, ratings.num_items

    def split() -> tuple[pd.DataFrame, pd.DataFrame]:
        """Split; the generators are then as they are for the book's code after its split."""
        rows = split_rows(ratings, job["split"], seed)
        return ratings.table.iloc[rows[0]], ratings.table.iloc[rows[1]]

    values, epochs, val_rmse = {**contender.settings[0]}, 0, float("nan")
    if len(contender.settings) > 1:
        values, epochs, val_rmse = tune(contender, split()[0], shape, job["split"], seed)
    train, test = split()
    if epochs:
        values["num_epochs"] = epochs
    predicted = guess(contender.make(**values)(train, shape, seed), test)
    stars = test["rating"].to_numpy(float)
    return {
        "test_rmse": pooled_rmse(predicted.clip(*RANGE), stars),
        "unclipped": pooled_rmse(predicted, stars),
        "val_rmse": val_rmse,
        "chosen": json.dumps(values),
    }


def _timed(runs: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the fits to time: every round all models, as they were on the first split."""
    first = runs[(runs["split"] == RANDOM) & (runs["seed"] == 0)].set_index("model")["chosen"]
    return [
        {"round": round_, "model": name, "chosen": first[name]}
        for round_ in range(NUM_TIMED)
        for name in names
    ]


def time_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Fit a model on the first split, and time that and its predictions."""
    train, test = (ratings.table.iloc[rows] for rows in split_rows(ratings, RANDOM, 0))
    model = CONTENDERS[job["model"]].make(**json.loads(job["chosen"]))
    start = time.perf_counter()
    guess(model(train, (ratings.num_users, ratings.num_items), 0), test)
    return {"seconds": round(time.perf_counter() - start, 3)}


def split_rows(ratings: Ratings, split: str, seed: int) -> tuple[Rows, Rows]:
    """Seed both generators and split; the seq-aware split takes no draws."""
    from d2l_autorec.data.split import random_split, seq_aware_split

    seed_everything(seed)
    if split == SEQ_AWARE:
        return seq_aware_split(ratings.table)
    return random_split(ratings.table, CHAPTER.test_ratio)


def tune(
    contender: Contender, train: pd.DataFrame, shape: tuple[int, int], split: str, seed: int
) -> tuple[dict[str, Any], int, float]:
    """Choose on ratings cut from the training part, as the test ratings were cut from all.

    Returns
    -------
    values : dict
        The setting of the smallest error.
    num_epochs : int
        The best number of them where it is chosen too, else 0.
    val_rmse : float
    """
    from d2l_autorec.data.split import holdout_split, seq_aware_split

    rows = (
        seq_aware_split(train.reset_index(drop=True))
        if split == SEQ_AWARE
        else holdout_split(len(train), VAL_RATIO, seed)
    )
    kept, held_out = (train.iloc[part] for part in rows)
    stars = held_out["rating"].to_numpy(float)
    best: tuple[dict[str, Any], int, float] = ({}, 0, np.inf)
    for values in contender.settings:
        curve: list[float] = []
        seed_everything(seed)
        if contender.most_epochs:

            def watch(epoch: int, predict: Predict, curve: list[float] = curve) -> None:
                curve.append(pooled_rmse(guess(predict, held_out).clip(*RANGE), stars))

            contender.make(**values, num_epochs=contender.most_epochs, watch=watch)(
                kept, shape, seed
            )
        else:
            predict = contender.make(**values)(kept, shape, seed)
            curve.append(pooled_rmse(guess(predict, held_out).clip(*RANGE), stars))
        if min(curve) < best[2]:
            epochs = int(np.argmin(curve)) + 1 if contender.most_epochs else 0
            best = ({**values}, epochs, min(curve))
    return best


def guess(predict: Predict, table: pd.DataFrame) -> np.ndarray:
    """Predict the pairs of a table, float64."""
    users, items = (table[name].to_numpy(np.int64) for name in ("user", "item"))
    return np.asarray(predict(users, items), float)
