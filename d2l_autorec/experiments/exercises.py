"""Answers to the three exercises at the end of the chapter.

1. Vary the hidden dimensions. 2. Add more hidden layers. 3. Find a better pair of decoder and
encoder activations.

Each network is trained on nine tenths of the training ratings. The other tenth chooses the epoch.
The test ratings are predicted once, with the weights of that epoch.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.config import CHAPTER
from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments import exercise_figures as figures
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.experiments.parts import RANGE, VAL_RATIO, split_parts
from d2l_autorec.experiments.stats import Interval, interval, less
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training.fit import fit_network

PATIENCE, MAX_EPOCHS = 20, 600
UNIT_WEIGHT = RANGE[1] ** 2  # "unit" ratings are stars / 5, so squared errors are / 25
SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000)
WIDTHS = (50, 100, 200, 500)
PAPER_DEEP = (500, 100, 500)
CHOICES = ("hidden", "encoder", "decoder", "init", "targets")

Key = tuple  # the five choices, hidden as "500-100-500"


def networks(
    sizes: tuple[int, ...] = SIZES,
    widths: tuple[int, ...] = WIDTHS,
    names: tuple[str, ...] = ACTIVATIONS,
) -> dict[str, list[Key]]:
    """Return the networks of each exercise. A network may belong to several."""
    shapes = [(width,) * depth for depth in (1, 2, 3) for width in widths]
    shapes.append(PAPER_DEEP if widths == WIDTHS else (*widths, *widths, 2))
    inits, pairs = ("normal", "xavier"), list(itertools.product(names, names))
    middle = _dashed((CHAPTER.num_hidden if widths == WIDTHS else widths[-1],))
    plain = ("sigmoid", "identity")
    return {
        "hidden_size": [(_dashed((size,)), *plain, "normal", "stars") for size in sizes],
        "depth": [(_dashed(shape), *plain, init, "stars") for init in inits for shape in shapes],
        "activations": [
            *((middle, *pair, "normal", unit) for unit in ("stars", "unit") for pair in pairs),
            *((middle, encoder, "identity", "xavier", "stars") for encoder in names),
        ],
    }


def exercises(
    experiment: Experiment,
    ratings: Ratings,
    num_seeds: int = 5,
    plan: Mapping[str, list[Key]] | None = None,
    max_epochs: int = MAX_EPOCHS,
) -> list[str]:
    """Answer the exercises with tables, figures and sentences.

    ``num_seeds`` is the number of the book's random splits, and ``plan`` is from `networks`.
    """
    experiment.begin("exercises", f"--seeds {num_seeds}")
    plan = networks() if plan is None else plan
    keys = list(dict.fromkeys(key for part in plan.values() for key in part))
    jobs = [
        {**dict(zip(CHOICES, key)), "max_epochs": max_epochs, "seed": seed}
        for seed in range(num_seeds)
        for key in keys
    ]
    runs = experiment.run(partial(run_one, ratings), jobs, ratings)
    scores = {key: part for key, part in runs.groupby(list(CHOICES), sort=False)}
    tables = {name: summary({key: scores[key] for key in part}) for name, part in plan.items()}
    return experiment.save(
        "What are the answers to the chapter's three exercises?",
        answer(tables, runs["rmse_of_ones"].mean()),
        {
            "data": ratings.name,
            "splits": f"the book's random split, seeds 0 to {num_seeds - 1}",
            "epoch": f"the best on {VAL_RATIO:.0%} of the training ratings; training stops after "
            f"{PATIENCE} epochs without a better one, or after {max_epochs}",
            "targets": f"stars: ratings as they are; unit: ratings / {RANGE[1]:g}, with the "
            f"weight decay / {UNIT_WEIGHT:g}, as the squared error shrinks by that factor, and "
            "predictions clipped to 1..5",
        },
        tables,
        {name: draw(tables[name]) for name, draw in figures.DRAWN.items()},
    )


def run_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Train and score one network on one split."""
    seed = int(job["seed"])
    train, test = split_parts(ratings, "random", seed)
    kept, validation = train.divide(seed)
    recipe = Recipe(patience=PATIENCE).but(
        hidden=tuple(int(size) for size in str(job["hidden"]).split("-")),
        **{name: job[name] for name in ("encoder", "decoder", "init")},
        batch_size=min(CHAPTER.batch_size, ratings.num_items),
        num_epochs=int(job["max_epochs"]),
    )
    if job["targets"] == "unit":
        recipe = recipe.but(targets="unit", clip=RANGE, wd=recipe.wd / UNIT_WEIGHT)
    fitted = fit_network(kept.matrix, recipe, seed, validation=validation.matrix)
    return {
        "test_rmse": test.rmse(test.predicted(fitted.predict)),
        "val_rmse": min(fitted.val_rmses),
        "epoch": fitted.epoch,
        "epochs_run": len(fitted.val_rmses),
        "rmse_of_ones": test.rmse(np.ones(len(test.stars))),
    }


def summary(scores: Mapping[Key, pd.DataFrame]) -> pd.DataFrame:
    """Return a row for each network with means over the splits.

    A ``..._half_width`` is that of the 95% interval of the column before it. ``less_first`` is the
    paired difference from the network in the first row.
    """
    rows, first = [], next(iter(scores.values()))["test_rmse"].to_numpy()
    for key, runs in scores.items():
        rmse, gain = interval(runs["test_rmse"]), less(runs["test_rmse"], first)
        rows.append(
            {
                **dict(zip(CHOICES, key)),
                "val_rmse": runs["val_rmse"].mean(),
                "test_rmse": rmse.mean,
                "test_rmse_half_width": rmse.half_width,
                "n": rmse.n,
                "epoch": runs["epoch"].median(),
                "less_first": gain.mean,
                "less_first_half_width": gain.half_width,
            }
        )
    return pd.DataFrame(rows).round(4)


def answer(tables: Mapping[str, pd.DataFrame], rmse_of_ones: float) -> list[str]:
    """Return the answer: a summary, then two sentences for each exercise."""
    size, deep, pair = (_best(tables[name]) for name in ("hidden_size", "depth", "activations"))
    return [
        f"On validation ratings the best hidden size is {size['hidden']}, the best stack of "
        f"layers is {deep['hidden']} and the best activations are {pair['encoder']} (encoder) and "
        f"{pair['decoder']} (decoder).",
        f"The chapter's network has {CHAPTER.num_hidden}, sigmoid and identity; with its best "
        f"epoch its test RMSE is {_rmse(_chapter(tables['activations']))}.",
        *_answer_size(tables["hidden_size"]),
        *_answer_depth(tables["depth"]),
        *_answer_activations(tables["activations"], rmse_of_ones),
    ]


def _best(table: pd.DataFrame) -> pd.Series:
    """Return the row with the smallest validation RMSE."""
    return table.loc[table["val_rmse"].idxmin()]


def _rmse(row: pd.Series) -> str:
    return str(Interval(row["test_rmse"], np.nan, row["test_rmse_half_width"], int(row["n"])))


def _answer_size(table: pd.DataFrame) -> list[str]:
    smallest, largest, best = table.iloc[0], table.iloc[-1], _best(table)
    return [
        f"Exercise 1, hidden size: the test RMSE is {_rmse(smallest)} with {smallest['hidden']} "
        f"units, {_rmse(best)} with {best['hidden']}, the size that validation chooses, and "
        f"{_rmse(largest)} with {largest['hidden']}.",
        f"The median best epoch is {smallest['epoch']:.0f} with {smallest['hidden']} units, "
        f"{best['epoch']:.0f} with {best['hidden']} and {largest['epoch']:.0f} with "
        f"{largest['hidden']}, so the book's {CHAPTER.num_epochs} epochs would favour large "
        "layers.",
    ]


def _answer_depth(table: pd.DataFrame) -> list[str]:
    layers = table["hidden"].str.count("-") + 1
    bests = [_best(table[layers == depth]) for depth in (1, 2, 3)]
    told = [
        f"{_rmse(row)} with {depth} hidden layer{'s' * (depth > 1)} "
        f"({row['hidden']}, {row['init']})"
        for depth, row in zip((1, 2, 3), bests)
    ]
    deep = table[layers > 1].groupby("init")["test_rmse"].mean()
    return [
        "Exercise 2, depth: the networks that validation chooses have a test RMSE of "
        f"{told[0]}, {told[1]} and {told[2]}; over all depths it chooses "
        f"{_best(table)['hidden']}.",
        "Deep networks need a suitable initialization: over the networks of two and three layers "
        f"the mean test RMSE is {deep['normal']:.4f} with the chapter's Normal({CHAPTER.sigma}) "
        f"and {deep['xavier']:.4f} with Xavier's.",
    ]


def _answer_activations(table: pd.DataFrame, floor: float) -> list[str]:
    normal = table[table["init"] == "normal"]
    plain, unit = (normal[normal["targets"] == targets] for targets in ("stars", "unit"))
    chapter, best = _chapter(table), _best(table)
    bounded = plain[plain["decoder"].isin(["sigmoid", "tanh"])]["test_rmse"].min()
    identity = plain[plain["decoder"] == "identity"].set_index("encoder")["test_rmse"]
    others = ", ".join(f"{g} {rmse:.4f}" for g, rmse in identity.items() if g != "sigmoid")
    return [
        f"Exercise 3, activations: validation chooses encoder {best['encoder']} and decoder "
        f"{best['decoder']}, with a test RMSE of {_rmse(best)}; the chapter's sigmoid and "
        f"identity have {_rmse(chapter)}. With an identity decoder the other encoders have: "
        f"{others}.",
        "A sigmoid or tanh output is below 1, so it predicts at most one star: on ratings as they "
        f"are no such network is better than {bounded:.4f} (predicting 1 always: {floor:.4f}). On "
        f"ratings divided by {RANGE[1]:g} the sigmoid encoder has "
        f"{_rmse(_pair(unit, 'sigmoid', 'sigmoid'))} with a sigmoid output and "
        f"{_rmse(_pair(unit, 'sigmoid', 'identity'))} with identity.",
    ]


def _chapter(table: pd.DataFrame) -> pd.Series:
    """Return the row of the chapter's activations."""
    plain = table[(table["init"] == "normal") & (table["targets"] == "stars")]
    return _pair(plain, "sigmoid", "identity")


def _pair(table: pd.DataFrame, encoder: str, decoder: str) -> pd.Series:
    return table[(table["encoder"] == encoder) & (table["decoder"] == decoder)].iloc[0]


def _dashed(sizes: tuple[int, ...]) -> str:
    return "-".join(map(str, sizes))
