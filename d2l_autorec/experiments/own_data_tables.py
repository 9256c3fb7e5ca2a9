"""The tables, sentences and figure of the experiment ``own-data``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from d2l_autorec import plots
from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments.experiment import by_model, frame
from d2l_autorec.experiments.stats import Interval, interval, less

MEAN, BIASES, CHAPTER = "global mean", "user and item biases, plain", "AutoRec, the chapter's"
ESTIMATED = "user and item biases, shrinkage estimated"
DEFAULT, BLEND = "AutoRec, recipe default", "AutoRec, recipe blend"
_FAR = 0.1  # a model whose RMSE is further above that of the biases is not in the figure


def _scores(runs: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Return the RMSE by split of each set and model, the best on the same splits first."""
    scores = {}
    for name, part in runs.groupby("set", sort=False):
        models = by_model(part)
        gains = {model: _less(rmses, models[BIASES]).mean for model, rmses in models.items()}
        order = sorted(models, key=gains.__getitem__)
        scores[str(name)] = {model: models[model] for model in order}
    return scores


def _less(one: np.ndarray, other: np.ndarray) -> Interval:
    """Return the differences on the splits that both have, which are the first of each."""
    count = min(len(one), len(other))
    return less(one[:count], other[:count])


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each set and model, the best of each set first."""
    rows = [
        (name, model, interval(rmses), _less(rmses, models[BIASES]))
        for name, models in _scores(runs).items()
        for model, rmses in models.items()
    ]
    return frame(["set", "model", "test RMSE", "less plain biases"], rows)


def described(loaded: Mapping[str, Ratings]) -> pd.DataFrame:
    """Return a row for each set: its size, and how many of its users have one rating."""
    rows = []
    for name, ratings in loaded.items():
        count, users, items = len(ratings.table), ratings.num_users, ratings.num_items
        single = (np.bincount(ratings.table["user"], minlength=users) == 1).mean()
        sizes = [f"{size:,}" for size in (count, users, items)]
        shares = f"{100 * count / (users * items):.2g}%", f"{100 * single:.0f}%"
        rows.append((name, *sizes, *shares))
    columns = ["set", "ratings", "users", "items", "cells rated", "users with one rating"]
    return frame(columns, rows)


def answer(runs: pd.DataFrame) -> list[str]:
    """Return what the runs say of the two recipes."""
    scores, told = _scores(runs), []
    for model, than in ((DEFAULT, BIASES), (BLEND, DEFAULT)):
        differences = {
            name: _less(models[model], models[than])
            for name, models in scores.items()
            if model in models and than in models
        }
        if not differences:
            continue
        better = [name for name, difference in differences.items() if difference.high < 0]
        others = "; ".join(f"{name} {difference}" for name, difference in differences.items())
        told.append(
            f"The recipe {model.split()[-1]} is better than "
            f"{'plain user and item biases' if than == BIASES else 'the recipe default'} on "
            f"{len(better)} of {len(differences)} sets, where the interval of the difference of "
            f"the test RMSE is below zero. The differences: {others}."
        )
    lower = [
        f"{name} {model} {_less(rmses, models[BLEND])}"
        for name, models in scores.items()
        if BLEND in models
        for model, rmses in models.items()
        if _less(rmses, models[BLEND]).mean < 0
    ]
    if lower:
        told.append(f"Lower than the blend's is the test RMSE of: {'; '.join(lower)}.")
    return told


def figure(runs: pd.DataFrame) -> Figure:
    """Draw each model's RMSE over that of the biases, set by set."""
    scores = _scores(runs)
    shown, labels, colors = [], [], []
    for name, models in scores.items():
        for model, rmses in models.items():
            ratio: Interval = interval(100 * (rmses / models[BIASES][: len(rmses)] - 1))
            if model != BIASES and ratio.mean <= 100 * _FAR:
                shown.append(ratio)
                short = model.replace("user and item ", "").replace("recipe ", "")
                labels.append(f"{name}: {short}")
                colors.append(plots.AUTOREC if model in (DEFAULT, BLEND) else plots.OTHER)
    drawn, (axes,) = plots.frame(0.28 * len(labels) + 1.2)
    plots.intervals(axes, labels, shown, colors, "+.1f")
    axes.axvline(0, color=plots.PRINTED, lw=1)
    axes.set(xlabel="test RMSE less that of plain biases, in % of it; mean and 95% interval")
    both = {"AutoRec, default or blend": plots.AUTOREC, "another model": plots.OTHER}
    plots.keys(axes, both)
    plots.legend(drawn, axes)
    return drawn
