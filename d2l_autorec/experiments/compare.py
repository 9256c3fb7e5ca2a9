"""Does AutoRec beat matrix factorization? All models on the same ratings, with the same measure.

The chapter compares 0.901, on a random split, with a number from another split and another
measure. Here every model is fitted on the same training ratings and scored on the same held-out
ratings, with predictions clipped to 1..5 and one pooled RMSE. Each tuned model chooses among five
settings on ratings taken from the training part of the first split. Then it is fitted on all
training ratings of each split. There is one seq-aware split: intervals there come from resampling
its users.
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
    figure,
    summary,
    tuning,
)
from d2l_autorec.experiments.contenders import CHAPTER_AUTOREC, CONTENDERS, MORE, missing_packages
from d2l_autorec.experiments.runner import are_stored, run_jobs
from d2l_autorec.experiments.stats import bootstrap_rmse, pooled_rmse
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results
from d2l_autorec.runtime import num_threads, seed_everything

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.data.split import Rows
    from d2l_autorec.experiments.baselines import Predict

RANGE = (1.0, 5.0)
VAL_RATIO = 0.1
NUM_TIMED = 3
NUM_RESAMPLES = 5000


def compare(
    folder: Path,
    ratings: Ratings,
    num_splits: int = 10,
    names: Sequence[str] | None = None,
    quiet: bool = False,
    quick: bool = False,
) -> list[str]:
    """Fit all contenders on the book's random splits and on its seq-aware split.

    Parameters
    ----------
    folder, ratings, quiet, quick
        As for `d2l_autorec.experiments.study.study`.
    num_splits : int
        Random splits, at least 2: seeds 0, 1, ...
    names : sequence of str, optional
        Of ``CONTENDERS``. All by default. A model whose library is not installed is skipped,
        unless all of its runs are stored.

    Returns
    -------
    list of str
        The answer. It names the models that were skipped.
    """
    command = f"d2l-autorec compare {'--quick' if quick else f'--splits {num_splits}'}"
    skipped = {
        name: package
        for name, package in missing_packages().items()
        if not _is_stored(folder, name, ratings.digest, num_splits)
    }
    names = [name for name in names or CONTENDERS if name not in skipped]
    refuse_to_shrink(folder, command, summary=len(names))
    go = partial(run_jobs, data_digest=ratings.digest, quiet=quiet)
    tuned = go(
        folder / "tuning", partial(try_one, ratings), _trials(names), label="compare: tuning"
    )
    settings = {name: best_setting(tuned, name) for name in names}
    runs = go(folder, partial(run_one, ratings), _fits(settings, num_splits), label="compare")
    timings = go(
        folder / "timing",
        partial(time_one, ratings),
        _timed(settings),
        label="compare: time",
        processes=1,
    )
    resampled = go(
        folder / "users",
        partial(resample_users, ratings),
        _of_models(settings),
        label="compare: users",
    )
    told = answer(runs, resampled)
    if skipped:
        listed = "; ".join(f"{name} (needs {package})" for name, package in skipped.items())
        told.append(f"Skipped because the library is not installed: {listed}.")
    return save_results(
        folder,
        command,
        "The chapter says that AutoRec's RMSE is lower than matrix factorization's. Is it?",
        told,
        {
            "data": ratings.name,
            "splits": f"the book's random split, seeds 0 to {num_splits - 1}, and its seq-aware "
            "split",
            "score": "pooled RMSE of predictions clipped to 1..5",
            "p": "Wilcoxon's signed-rank test of the differences from the chapter's AutoRec over "
            "the random splits, two-sided, with Holm's correction for the number of models",
            "seq-aware": f"intervals from {NUM_RESAMPLES} resamples of the users of the split",
            "validation": "a tenth of the training ratings of split 0; the setting chosen there "
            "is used on all splits",
            "fit, s": f"median of {NUM_TIMED} fits on split 0, with the predictions; one model "
            f"after the other, {num_threads()} threads where a model can use them",
            "settings to choose from": {n: CONTENDERS[n].settings for n in names},
            "most epochs to choose from": {
                n: epochs for n in names if (epochs := CONTENDERS[n].most_epochs)
            },
            "skipped": skipped,
        },
        {"summary": summary(runs, resampled, timings), "tuning": tuning(tuned)},
        {"summary": figure(runs, resampled)},
    )


def _trials(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the jobs of `try_one` for the models that are tuned."""
    return [
        {"model": name, "setting": json.dumps(values)}
        for name in names
        for values in CONTENDERS[name].settings
        if len(CONTENDERS[name].settings) > 1
    ]


def _fits(settings: Mapping[str, str], num_splits: int) -> list[dict[str, Any]]:
    """Return the jobs of `run_one`."""
    return [
        {"split": split, "seed": seed, "model": name, "setting": setting}
        for split, count in ((RANDOM, num_splits), (SEQ_AWARE, 1))
        for seed in range(count)
        for name, setting in settings.items()
    ]


def _timed(settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the jobs of `time_one`."""
    return [
        {"round": round_, "model": name, "setting": setting}
        for round_ in range(NUM_TIMED)
        for name, setting in settings.items()
    ]


def _of_models(settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the jobs of `resample_users`."""
    return [{"model": name, "setting": setting} for name, setting in settings.items()]


def _is_stored(folder: Path, name: str, digest: str, num_splits: int) -> bool:
    """Return whether no run of a model is missing in a folder."""
    trials = _trials([name])
    if not are_stored(folder / "tuning", trials, digest):
        return False
    tuned = run_jobs(folder / "tuning", _never, trials, data_digest=digest, label="", quiet=True)
    chosen = {name: best_setting(tuned, name)}
    return (
        are_stored(folder, _fits(chosen, num_splits), digest)
        and are_stored(folder / "timing", _timed(chosen), digest)
        and are_stored(folder / "users", _of_models(chosen), digest)
    )


def _never(job: Mapping[str, Any]) -> dict[str, Any]:
    """Stand for a function that is not called, as all its jobs are stored."""
    raise AssertionError(job)


def try_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Score one setting of a contender on ratings taken from the training part of split 0.

    If the number of epochs is chosen as well, the score is that of the best epoch.
    """
    from d2l_autorec.data.split import holdout_split

    contender, values = CONTENDERS[job["model"]], json.loads(job["setting"])
    train = ratings.table.iloc[split_rows(ratings, RANDOM, 0)[0]]
    kept, held_out = (train.iloc[rows] for rows in holdout_split(len(train), VAL_RATIO, 0))
    stars, curve = held_out["rating"].to_numpy(float), []

    def watch(epoch: int, predict: Predict) -> None:
        curve.append(pooled_rmse(guess(predict, held_out).clip(*RANGE), stars))

    if contender.most_epochs:
        values.update(num_epochs=contender.most_epochs, watch=watch)
    predict = contender.make(**values)(kept, (ratings.num_users, ratings.num_items), 0)
    if not contender.most_epochs:
        watch(0, predict)
    epochs = int(np.argmin(curve)) + 1 if contender.most_epochs else 0
    return {"val_rmse": min(curve), "num_epochs": epochs}


def best_setting(tuned: pd.DataFrame, name: str) -> str:
    """Return the setting with the smallest validation error, as JSON."""
    if len(CONTENDERS[name].settings) == 1:
        return json.dumps(CONTENDERS[name].settings[0])
    trials = tuned[tuned["model"] == name]
    best = trials.loc[trials["val_rmse"].idxmin()]
    epochs = {"num_epochs": int(best["num_epochs"])} if best["num_epochs"] else {}
    return json.dumps({**json.loads(best["setting"]), **epochs})


def run_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Fit a contender on all training ratings of a split and score it."""
    predicted, test = _fitted(ratings, job)
    stars = test["rating"].to_numpy(float)
    return {
        "test_rmse": pooled_rmse(predicted.clip(*RANGE), stars),
        "unclipped": pooled_rmse(predicted, stars),
    }


def resample_users(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Give the 95% intervals of a contender's RMSE on the seq-aware split over resampled users.

    Errors of single ratings are not stored, as ratings can be told from them. So the chapter's
    AutoRec is fitted beside the contender for the difference from it.

    Returns
    -------
    dict
        Ends of the interval of the RMSE, and of its difference from the chapter's AutoRec.
    """
    errors = []
    for model in (job, {"model": CHAPTER_AUTOREC, "setting": "{}"}):
        predicted, test = _fitted(ratings, {**model, "split": SEQ_AWARE, "seed": 0})
        errors.append(predicted.clip(*RANGE) - test["rating"].to_numpy(float))
    rmses = bootstrap_rmse(np.stack(errors), test["user"].to_numpy(), NUM_RESAMPLES)
    ends = np.quantile([rmses[0], rmses[0] - rmses[1]], (0.025, 0.975), axis=1).T
    return dict(zip(("low", "high", "less_low", "less_high"), ends.ravel().tolist()))


def _fitted(ratings: Ratings, job: Mapping[str, Any]) -> tuple[np.ndarray, pd.DataFrame]:
    """Fit a contender on all training ratings of a split; return its predictions and the test."""
    seed = int(job["seed"])
    train, test = (ratings.table.iloc[rows] for rows in split_rows(ratings, job["split"], seed))
    model = {**CONTENDERS, **MORE}[job["model"]].make(**json.loads(job["setting"]))
    return guess(model(train, (ratings.num_users, ratings.num_items), seed), test), test


def time_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Time `run_one` on split 0."""
    start = time.perf_counter()
    run_one(ratings, {**job, "split": RANDOM, "seed": 0})
    return {"seconds": round(time.perf_counter() - start, 3)}


def split_rows(ratings: Ratings, split: str, seed: int) -> tuple[Rows, Rows]:
    """Seed both generators and split by name, as the book's code is run."""
    from d2l_autorec.data.protocols import named_split

    seed_everything(seed)
    return named_split(split, ratings, CHAPTER.test_ratio)


def guess(predict: Predict, table: pd.DataFrame) -> np.ndarray:
    """Predict the pairs of a table, as float64."""
    users, items = (table[name].to_numpy(np.int64) for name in ("user", "item"))
    return np.asarray(predict(users, items), float)
