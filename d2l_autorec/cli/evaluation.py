"""How good a model is, and which recipe is best: ``evaluate`` and ``tune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from d2l_autorec.cli.common import Json, Quiet, app, reads_ratings, tell
from d2l_autorec.cli.serving import Model
from d2l_autorec.cli.tables import say, to_csv
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.paths import check_new_file

if TYPE_CHECKING:
    from d2l_autorec.serving.evaluate import Evaluation

Relevant = Annotated[
    Optional[float],
    typer.Option(
        help="The lowest rating of a relevant item. If left out, three quarters up the scale: 4 "
        "where ratings go from 1 to 5."
    ),
]

PerUser = Annotated[
    Optional[Path], typer.Option(help="New .csv file for the errors of each user.")
]


@app.command()
@reads_ratings
def evaluate(
    model: Model,
    test: Annotated[Path, typer.Option(help="Ratings that the model was not trained on.")],
    reading: ReadOptions,
    k: Annotated[
        int, typer.Option("-k", min=0, help="Length of the ranked lists; 0 for no ranking.")
    ] = 10,
    relevant: Relevant = None,
    per_user: PerUser = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a saved model on test ratings: RMSE, MAE and its lists of recommendations."""
    from d2l_autorec import runs
    from d2l_autorec.data.formats import read_ratings
    from d2l_autorec.progress import counting_bar
    from d2l_autorec.serving import evaluate as evaluation
    from d2l_autorec.serving.folder import load_model

    if per_user is not None:
        check_new_file("--per-user", per_user, (".csv",))
    loaded = load_model(model)
    ratings = read_ratings(test, reading, allow_nonpositive=True)
    tell(ratings.understood.line() if ratings.understood else None, quiet)
    with counting_bar("ranking", ratings.num_users, quiet) as advance:
        found = evaluation.evaluate(loaded, ratings, k, relevant, advance)
    if per_user is not None:
        runs.write(per_user, to_csv(found.per_user))
    if as_json:
        record = {"command": "evaluate", "model": str(model), "test": str(test)}
        typer.echo(json.dumps({**record, "test_digest": ratings.digest, **found.as_json()}))
        return
    _show(found)
    if per_user is not None:
        say(f"The errors of each user are in {per_user}")


def _show(found: Evaluation) -> None:
    names = {"rmse": "RMSE", "mae": "MAE"}
    if found.unknown_ratings and found.unknown_ratings < found.num_ratings:
        names["rmse_known"] = "RMSE of known pairs"
    _grid(found.errors, names)
    known = "The model knows all of them."
    if found.unknown_ratings:
        known = (
            f"The model knows nothing of {found.unknown_users:,} of these users and "
            f"{found.unknown_items:,} of these items, which have {found.unknown_ratings:,} of the "
            "ratings."
        )
    say(
        f"{found.num_ratings:,} ratings of {found.num_users:,} users and {found.num_items:,} "
        f"items. {known}"
    )
    if not found.k:
        return
    k = found.k
    names = {"ndcg": f"NDCG@{k}", "recall": f"recall@{k}", "mrr": f"MRR@{k}"}
    _grid(found.rankings, {**names, "coverage": f"coverage@{k}"})
    say(
        f"Means over the {found.ranked_users:,} known users with a test rating of "
        f"{found.relevant:g} or more, which is relevant. What they rated in training is left out. "
        "Popular items are also rated more often in the test, which favours the popular."
    )


def _grid(values: dict[str, dict[str, float]], names: dict[str, str]) -> None:
    """Print a table with a column for each key of the values, and a row for each name."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for heading in values:
        table.add_column(heading, justify="right")
    for key, name in names.items():
        table.add_row(name, *(f"{each[key]:.4f}" for each in values.values()))
    Console().print(table)
