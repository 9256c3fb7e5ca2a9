"""The three exercises at the end of the chapter, answered.

1. Vary the hidden dimensions. 2. Add more hidden layers. 3. Look for a better pair of decoder and
encoder activations.

A network is trained on nine tenths of the training ratings; the epoch is the best on the other
tenth, and the test ratings are predicted with its weights, once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.runner import run_jobs, save_results
from d2l_autorec.experiments.stats import Interval, interval, paired, pooled_rmse
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.fit import fit_network

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings

VAL_RATIO = 0.1
PATIENCE, MAX_EPOCHS = 20, 600
STARS = (1.0, 5.0)
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
    """Name the networks of each exercise; one may belong to several."""
    shapes = [(width,) * depth for depth in (1, 2, 3) for width in widths]
    shapes.append(PAPER_DEEP if widths == WIDTHS else (*widths, *widths, 2))
    inits, pairs = ("normal", "xavier"), list(itertools.product(names, names))
    middle = _dashed((CHAPTER.num_hidden if widths == WIDTHS else widths[-1],))
    return {
        "hidden_size": [
            (_dashed((size,)), "sigmoid", "identity", "normal", "stars") for size in sizes
        ],
        "depth": [
            (_dashed(shape), "sigmoid", "identity", init, "stars")
            for init in inits
            for shape in shapes
        ],
        "activations": [
            *(
                (middle, g, f, "normal", targets)
                for targets in ("stars", "unit")
                for g, f in pairs
            ),
            *((middle, g, "identity", "xavier", "stars") for g in names),
        ],
    }


def exercises(
    folder: Path,
    ratings: Ratings,
    num_seeds: int = 5,
    plan: Mapping[str, list[Key]] | None = None,
    max_epochs: int = MAX_EPOCHS,
    quiet: bool = False,
) -> list[str]:
    """Answer the exercises, and write tables, figures and sentences.

    Parameters
    ----------
    folder : Path
        For the results; what is there is not run again.
    ratings : Ratings
        MovieLens 100K, or others of 1 to 5.
    num_seeds : int
        Random splits, as the book makes them with the seeds 0, 1, ...
    plan : mapping, optional
        From `networks`.
    max_epochs : int
    quiet : bool
        Show no progress.

    Returns
    -------
    list of str
        The answers: two sentences for each exercise.
    """
    from d2l_autorec.experiments import exercise_figures as figures

    plan = networks() if plan is None else plan
    keys = list(dict.fromkeys(key for part in plan.values() for key in part))
    jobs = [
        {**dict(zip(CHOICES, key)), "max_epochs": max_epochs, "seed": seed}
        for seed in range(num_seeds)
        for key in keys
    ]
    runs = run_jobs(
        folder, partial(run_one, ratings), jobs, data_digest=ratings.digest, label="exercises",
        quiet=quiet,
    )  # fmt: skip
    scores = {key: part for key, part in runs.groupby(list(CHOICES), sort=False)}
    tables = {name: summary({key: scores[key] for key in part}) for name, part in plan.items()}
    told = answer(tables, runs["rmse_of_ones"].mean())
    save_results(
        folder,
        f"d2l-autorec exercises --seeds {num_seeds}",
        "What do the chapter's three exercises come to?",
        told,
        {
            "data": ratings.name,
            "splits": f"the book's random split, seeds 0 to {num_seeds - 1}",
            "epoch": f"best on {VAL_RATIO:.0%} of the training ratings, after which {PATIENCE} "
            f"epochs brought no better one; {max_epochs} at most",
            "targets": "stars: ratings as they are; unit: (rating - 1) / 4, weight decay / 16, "
            "which keeps its weight against the loss, and predictions within 1 to 5",
        },
        tables,
        {
            "hidden_size": figures.hidden_size(tables["hidden_size"]),
            "depth": figures.depth(tables["depth"]),
            "activations": figures.activations(tables["activations"]),
        },
    )
    return told


def run_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, float]:
    """Train one network on one split; see the module."""
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import holdout_split, random_split

    seed, shape = int(job["seed"]), (ratings.num_users, ratings.num_items)
    seed_everything(seed)
    train_rows, test_rows = random_split(ratings.table, CHAPTER.test_ratio)
    kept, held_out = holdout_split(len(train_rows), VAL_RATIO, seed)
    train, validation = (
        interaction_csr(ratings.table, *shape, rows=train_rows[part]) for part in (kept, held_out)
    )
    recipe = Recipe(patience=PATIENCE).but(
        hidden=tuple(int(size) for size in str(job["hidden"]).split("-")),
        encoder=job["encoder"],
        decoder=job["decoder"],
        init=job["init"],
        batch_size=min(CHAPTER.batch_size, ratings.num_items),
        num_epochs=int(job["max_epochs"]),
    )
    if job["targets"] == "unit":
        weight = (STARS[1] - STARS[0]) ** 2  # the loss is smaller by this
        recipe = recipe.but(targets="unit", clip=STARS, wd=recipe.wd / weight)
    fitted = fit_network(train, recipe, seed, validation=validation)
    test = ratings.table.iloc[test_rows]
    predicted = fitted.predict(test["user"].to_numpy(), test["item"].to_numpy())
    stars = test["rating"].to_numpy(float)
    return {
        "test_rmse": pooled_rmse(predicted, stars),
        "val_rmse": min(fitted.val_rmses),
        "epoch": fitted.epoch,
        "epochs_run": len(fitted.val_rmses),
        "rmse_of_ones": pooled_rmse(np.ones(len(stars)), stars),
    }


def summary(scores: Mapping[Key, pd.DataFrame]) -> pd.DataFrame:
    """Tabulate: a row for each network, means over the splits.

    ``half_width`` is of the 95% interval of ``test_rmse``, ``less_first`` the paired difference
    from the network in the first row.
    """
    import pandas as pd

    rows, first = [], next(iter(scores.values()))["test_rmse"].to_numpy()
    for key, runs in scores.items():
        rmse, less = interval(runs["test_rmse"]), paired(runs["test_rmse"], first).difference
        rows.append(
            {
                **dict(zip(CHOICES, key)),
                "val_rmse": runs["val_rmse"].mean(),
                "test_rmse": rmse.mean,
                "half_width": rmse.half_width,
                "n": rmse.n,
                "epoch": runs["epoch"].median(),
                "less_first": less.mean,
                "less_first_half_width": less.half_width,
            }
        )
    return pd.DataFrame(rows).round(4)


def answer(tables: Mapping[str, pd.DataFrame], rmse_of_ones: float) -> list[str]:
    """Say what came out: two sentences for each exercise."""
    return [
        *_answer_size(tables["hidden_size"]),
        *_answer_depth(tables["depth"]),
        *_answer_activations(tables["activations"], rmse_of_ones),
    ]


def _best(table: pd.DataFrame) -> pd.Series:
    """Return the row that validation would choose."""
    return table.loc[table["val_rmse"].idxmin()]


def _rmse(row: pd.Series) -> str:
    return str(Interval(row["test_rmse"], np.nan, row["half_width"], int(row["n"])))


def _answer_size(table: pd.DataFrame) -> list[str]:
    smallest, largest, best = table.iloc[0], table.iloc[-1], _best(table)
    return [
        f"1. Hidden size: test RMSE goes from {_rmse(smallest)} with {smallest['hidden']} units "
        f"to {_rmse(best)} with {best['hidden']}, the size that validation chooses; with "
        f"{largest['hidden']} it is {_rmse(largest)}.",
        f"The best epoch is {smallest['epoch']:.0f} with {smallest['hidden']} units, "
        f"{best['epoch']:.0f} with {best['hidden']} and {largest['epoch']:.0f} with "
        f"{largest['hidden']} (median), so that the book's {CHAPTER.num_epochs} epochs would not "
        "judge all sizes alike.",
    ]


def _answer_depth(table: pd.DataFrame) -> list[str]:
    layers = table["hidden"].str.count("-") + 1
    bests = [_best(table[layers == depth]) for depth in (1, 2, 3)]
    told = [
        f"{_rmse(row)} with {depth} ({row['hidden']}, {row['init']})"
        for depth, row in zip((1, 2, 3), bests)
    ]
    deep = table[layers > 1].groupby("init")["test_rmse"].mean()
    return [
        "2. Depth: of the networks with one, two and three hidden layers, those that validation "
        f"chooses give {told[0]}, {told[1]} and {told[2]}; over all depths it chooses "
        f"{_best(table)['hidden']}.",
        "The start counts where there is depth: over the networks of two and three layers the "
        f"mean test RMSE is {deep['normal']:.4f} from the chapter's Normal({CHAPTER.sigma}) and "
        f"{deep['xavier']:.4f} from Xavier's.",
    ]


def _answer_activations(table: pd.DataFrame, floor: float) -> list[str]:
    normal = table[table["init"] == "normal"]
    plain, unit = (normal[normal["targets"] == targets] for targets in ("stars", "unit"))
    chapter, best = _pair(plain, "sigmoid", "identity"), _best(table)
    bounded = plain[plain["decoder"].isin(["sigmoid", "tanh"])]["test_rmse"].min()
    identity = plain[plain["decoder"] == "identity"].set_index("encoder")["test_rmse"]
    others = ", ".join(f"{g} {rmse:.4f}" for g, rmse in identity.items() if g != "sigmoid")
    return [
        f"3. Activations: validation chooses encoder {best['encoder']} and decoder "
        f"{best['decoder']}, {_rmse(best)}, where the chapter's sigmoid and identity give "
        f"{_rmse(chapter)}; with the decoder left at identity the other encoders give {others}.",
        "A sigmoid or tanh output stays below 1 and can say at most one star, so that on ratings "
        f"as they are nothing below {bounded:.4f} is reached (1 for everything gives "
        f"{floor:.4f}); with ratings brought to 0..1 the sigmoid encoder gives "
        f"{_rmse(_pair(unit, 'sigmoid', 'sigmoid'))} with a sigmoid output, "
        f"{_rmse(_pair(unit, 'sigmoid', 'identity'))} with identity.",
    ]


def _pair(table: pd.DataFrame, encoder: str, decoder: str) -> pd.Series:
    return table[(table["encoder"] == encoder) & (table["decoder"] == decoder)].iloc[0]


def _dashed(sizes: tuple[int, ...]) -> str:
    return "-".join(map(str, sizes))
