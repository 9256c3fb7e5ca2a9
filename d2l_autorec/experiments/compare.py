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
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments import compare_tables as tables
from d2l_autorec.experiments.compare_tables import RANDOM, SEQ_AWARE
from d2l_autorec.experiments.contenders import CHAPTER_AUTOREC, CONTENDERS, MORE, lacking
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.experiments.parts import RANGE, Part, Predict, split_parts
from d2l_autorec.experiments.runner import run_jobs
from d2l_autorec.experiments.stats import bootstrap_rmse
from d2l_autorec.runtime import num_threads

NUM_TIMED = 3
NUM_RESAMPLES = 5000

Jobs = list[dict[str, Any]]


def compare(
    experiment: Experiment,
    ratings: Ratings,
    num_splits: int = 10,
    names: Sequence[str] | None = None,
) -> list[str]:
    """Fit all contenders on the book's random splits 0, 1, ... and on its seq-aware split.

    ``names`` are of ``CONTENDERS``, all by default. A model whose library is not installed is
    skipped, unless all of its runs are stored. The answer names those that were skipped.
    """
    skipped = {
        name: package
        for name, package in lacking(CONTENDERS).items()
        if not _is_stored(experiment, name, ratings, num_splits)
    }
    names = [name for name in names or CONTENDERS if name not in skipped]
    experiment.begin("compare", f"--splits {num_splits}", summary=len(names))
    trying, fitting, timing, resampling = (
        partial(work, ratings) for work in (try_one, run_one, time_one, resample_users)
    )
    tuned = experiment.run(trying, _trials(names), ratings, "tuning", "tuning")
    jobs = _jobs({name: best_setting(tuned, name) for name in names}, num_splits)
    runs = experiment.run(fitting, jobs[""], ratings)
    timings = experiment.run(timing, jobs["timing"], ratings, "time", "timing", processes=1)
    resampled = experiment.run(resampling, jobs["users"], ratings, "users", "users")
    told = tables.answer(runs, resampled)
    if skipped:
        listed = "; ".join(f"{name} (needs {package})" for name, package in skipped.items())
        told.append(f"Skipped because the library is not installed: {listed}.")
    return experiment.save(
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
        {"summary": tables.summary(runs, resampled, timings), "tuning": tables.tuning(tuned)},
        {"summary": tables.figure(runs, resampled)},
    )


def _trials(names: Sequence[str]) -> Jobs:
    """Return the jobs of `try_one` for the models that are tuned."""
    return [
        {"model": name, "setting": json.dumps(values)}
        for name in names
        for values in CONTENDERS[name].settings
        if len(CONTENDERS[name].settings) > 1
    ]


def _jobs(settings: Mapping[str, str], num_splits: int) -> dict[str, Jobs]:
    """Return the other jobs of models with their settings, by folder."""
    models = [{"model": name, "setting": setting} for name, setting in settings.items()]
    splits = [*((RANDOM, seed) for seed in range(num_splits)), (SEQ_AWARE, 0)]
    return {
        "": [
            {"split": split, "seed": seed, **model} for split, seed in splits for model in models
        ],
        "timing": [{"round": i, **model} for i in range(NUM_TIMED) for model in models],
        "users": models,
    }


def _is_stored(experiment: Experiment, name: str, ratings: Ratings, num_splits: int) -> bool:
    """Return whether no run of a model is missing."""
    trials, place = _trials([name]), experiment.folder / "tuning"
    if not experiment.has(trials, ratings, "tuning"):
        return False
    read = partial(run_jobs, data_digest=ratings.digest, label="", quiet=True)
    setting = best_setting(read(place, partial(try_one, ratings), trials), name)
    jobs = _jobs({name: setting}, num_splits)
    return all(experiment.has(part, ratings, place) for place, part in jobs.items())


def try_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Score one setting of a contender on ratings taken from the training part of split 0.

    If the number of epochs is chosen as well, the score is that of the best epoch.
    """
    contender, values = CONTENDERS[job["model"]], json.loads(job["setting"])
    kept, held_out = split_parts(ratings, RANDOM, 0)[0].divide(0)
    curve = []

    def watch(epoch: int, predict: Predict) -> None:
        curve.append(held_out.rmse(held_out.predicted(predict).clip(*RANGE)))

    if contender.most_epochs:
        values.update(num_epochs=contender.most_epochs, watch=watch)
    predict = contender.make(**values)(kept.table, kept.shape, 0)
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
    return {"test_rmse": test.rmse(predicted.clip(*RANGE)), "unclipped": test.rmse(predicted)}


def resample_users(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Give the 95% intervals of a contender's RMSE on the seq-aware split over resampled users.

    They are of the RMSE, and of its difference from the chapter's AutoRec. Errors of single
    ratings are not stored, as ratings can be told from them, so that AutoRec is fitted as well.
    """
    errors = []
    for model in (job, {"model": CHAPTER_AUTOREC, "setting": "{}"}):
        predicted, test = _fitted(ratings, {**model, "split": SEQ_AWARE, "seed": 0})
        errors.append(predicted.clip(*RANGE) - test.stars)
    rmses = bootstrap_rmse(np.stack(errors), test.table["user"].to_numpy(), NUM_RESAMPLES)
    ends = np.quantile([rmses[0], rmses[0] - rmses[1]], (0.025, 0.975), axis=1).T
    return dict(zip(("low", "high", "less_low", "less_high"), ends.ravel().tolist()))


def _fitted(ratings: Ratings, job: Mapping[str, Any]) -> tuple[np.ndarray, Part]:
    """Fit a contender on all training ratings of a split; return its predictions and the test."""
    seed = int(job["seed"])
    train, test = split_parts(ratings, job["split"], seed)
    model = {**CONTENDERS, **MORE}[job["model"]].make(**json.loads(job["setting"]))
    return test.predicted(model(train.table, train.shape, seed)), test


def time_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Time `run_one` on split 0."""
    start = time.perf_counter()
    run_one(ratings, {**job, "split": RANDOM, "seed": 0})
    return {"seconds": round(time.perf_counter() - start, 3)}
