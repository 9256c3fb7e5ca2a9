"""Do NumPy's random draws give the same test RMSE as the book's? One recipe, both draws.

The draws are those of initial weights, dropout and the order of rows. The splits are the book's,
so that both are scored on the same ratings.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments.experiment import Experiment, frame
from d2l_autorec.experiments.parts import split_parts
from d2l_autorec.experiments.stats import interval, less
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training.fit import fit_network

DRAWS = ("mxnet", "numpy")


def draws(
    experiment: Experiment, ratings: Ratings, num_seeds: int = 30, recipe: Recipe | None = None
) -> list[str]:
    """Train a recipe, the chapter's, with both draws on the book's random splits 0, 1, ..."""
    recipe = recipe or Recipe()
    experiment.begin("draws", f"--seeds {num_seeds}")
    jobs = [{"draws": name, "seed": seed} for seed in range(num_seeds) for name in DRAWS]
    table, told = summary(experiment.run(partial(run_one, ratings, recipe), jobs, ratings))
    return experiment.save(
        "Does the sparse engine end at the same RMSE with NumPy's random draws as with MXNet's?",
        told,
        {
            "data": ratings.name,
            "splits": f"the book's random split, seeds 0 to {num_seeds - 1}",
            "recipe": recipe.to_dict(),
        },
        {"summary": table},
    )


def run_one(ratings: Ratings, recipe: Recipe, job: Mapping[str, Any]) -> dict[str, float]:
    """Train with one kind of draws on one split."""
    seed = int(job["seed"])
    train, test = split_parts(ratings, "random", seed)
    model = fit_network(train.matrix, recipe.but(draws=job["draws"]), seed)
    return {"test_rmse": test.rmse(test.predicted(model.predict))}


def summary(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the table and the answer."""
    book, numpy = (
        runs[runs["draws"] == name].sort_values("seed")["test_rmse"].to_numpy() for name in DRAWS
    )
    of_book, of_numpy, difference = interval(book), interval(numpy), less(numpy, book)
    rows = [
        ("MXNet's draws", of_book),
        ("NumPy's draws", of_numpy),
        ("NumPy's less MXNet's", difference),
    ]
    zero = "includes" if abs(difference.mean) <= difference.half_width else "does not include"
    return frame(["random draws", "test RMSE"], rows), [
        f"With MXNet's draws the test RMSE is {of_book}, with NumPy's {of_numpy}.",
        f"The difference on the same splits is {difference}; it {zero} zero.",
    ]
