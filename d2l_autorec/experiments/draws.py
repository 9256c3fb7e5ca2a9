"""Do NumPy's random draws give the same test RMSE as the book's? One recipe, both draws.

The draws are those of initial weights, dropout and the order of rows. The splits are the book's,
so that both are scored on the same ratings.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.runner import run_jobs
from d2l_autorec.experiments.stats import interval, paired, pooled_rmse
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.fit import fit_network

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings

DRAWS = ("mxnet", "numpy")


def draws(
    folder: Path,
    ratings: Ratings,
    num_seeds: int = 30,
    recipe: Recipe | None = None,
    quiet: bool = False,
    quick: bool = False,
) -> list[str]:
    """Train the chapter's recipe with both draws on random splits, and compare the test RMSE.

    Parameters
    ----------
    folder, ratings, quiet, quick
        As for `d2l_autorec.experiments.study.study`.
    num_seeds : int
        Splits, at least 2: seeds 0, 1, ...
    recipe : Recipe, optional
        In place of the chapter's.

    Returns
    -------
    list of str
        The answer.
    """
    recipe = recipe or Recipe()
    command = f"d2l-autorec draws {'--quick' if quick else f'--seeds {num_seeds}'}"
    refuse_to_shrink(folder, command)
    jobs = [{"draws": name, "seed": seed} for seed in range(num_seeds) for name in DRAWS]
    runs = run_jobs(
        folder,
        partial(run_one, ratings, recipe),
        jobs,
        data_digest=ratings.digest,
        label="draws",
        quiet=quiet,
    )
    table, told = summary(runs)
    return save_results(
        folder,
        command,
        "Does the sparse engine end at the same RMSE with NumPy's random draws as with MXNet's?",
        told,
        {
            "data": ratings.name,
            "splits": f"the book's random split, seeds 0 to {num_seeds - 1}",
            "recipe": recipe.to_dict(),
        },
        {"summary": table},
        {},
    )


def run_one(ratings: Ratings, recipe: Recipe, job: Mapping[str, Any]) -> dict[str, float]:
    """Train with one kind of draws on one split."""
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import random_split

    seed = int(job["seed"])
    seed_everything(seed)
    train_rows, test_rows = random_split(ratings.table, CHAPTER.test_ratio)
    train = interaction_csr(ratings.table, ratings.num_users, ratings.num_items, train_rows)
    test = ratings.table.iloc[test_rows]
    model = fit_network(train, recipe.but(draws=job["draws"]), seed)
    predicted = model.predict(test["user"].to_numpy(), test["item"].to_numpy())
    return {"test_rmse": pooled_rmse(predicted, test["rating"].to_numpy())}


def summary(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the table and the answer."""
    import pandas as pd

    book, numpy = (
        runs[runs["draws"] == name].sort_values("seed")["test_rmse"].to_numpy() for name in DRAWS
    )
    difference = paired(numpy, book).difference
    table = pd.DataFrame(
        [
            ("MXNet's draws", str(interval(book))),
            ("NumPy's draws", str(interval(numpy))),
            ("NumPy's less MXNet's", str(difference)),
        ],
        columns=["random draws", "test RMSE"],
    )
    within = abs(difference.mean) <= difference.half_width
    return table, [
        f"With MXNet's draws the test RMSE is {interval(book)}, with NumPy's {interval(numpy)}.",
        f"The difference on the same splits is {difference}; "
        + ("it includes zero." if within else "it does not include zero."),
    ]
