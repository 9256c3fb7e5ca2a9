"""The commands ``evaluate`` and ``tune``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from d2l_autorec.cli import split_options as splits
from d2l_autorec.cli.common import (
    Json,
    Model,
    Quiet,
    Ratings,
    Seed,
    app,
    reads_ratings,
    stands_there,
)
from d2l_autorec.cli.recipe_options import Engine
from d2l_autorec.cli.tables import grid, say, to_csv
from d2l_autorec.config import CHAPTER
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError
from d2l_autorec.paths import check_new_file
from d2l_autorec.progress import counting_bar, tell

if TYPE_CHECKING:
    from d2l_autorec.evaluation.findings import Findings
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

TestRatings = Annotated[
    Optional[Path], typer.Option(help="Ratings that the model was not trained on.")
]
Held = Annotated[
    Optional[Path], typer.Option(help="What train was given: score on what it held out of these.")
]

RecipeFile = Annotated[
    Path,
    typer.Option(
        help="The .toml file for the recipe. The search is kept in the folder .tune beside it: "
        "the same command goes on with it, also in several terminals at once."
    ),
]
Minutes = Annotated[float, typer.Option(help="Time for the search.")]
Trials = Annotated[
    Optional[int], typer.Option(min=1, help="Stop after so many recipes, if that is sooner.")
]


@app.command()
@reads_ratings
def evaluate(
    context: typer.Context,
    model: Model,
    reading: ReadOptions,
    test: TestRatings = None,
    data: Held = None,
    k: Annotated[
        int, typer.Option("-k", min=0, help="Length of the ranked lists; 0 for no ranking.")
    ] = 10,
    relevant: Relevant = None,
    per_user: PerUser = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a saved model on test ratings: RMSE, MAE and its lists of recommendations.

    Without --test and --data: the score that it had in training.
    """
    from d2l_autorec import runs
    from d2l_autorec.data.formats import read_ratings
    from d2l_autorec.serving import evaluate as evaluation
    from d2l_autorec.serving.folder import load_model
    from d2l_autorec.serving.held_out import held_out

    given = test or data
    if test is not None and data is not None:
        raise InputError("--test and --data exclude each other; give one of them.")
    if given is None:
        for name in ("k", "relevant", "per_user"):
            if stands_there(context, name):
                option = "-k" if name == "k" else f"--{name.replace('_', '-')}"
                raise InputError(f"{option} needs ratings to score on; give --test or --data.")
        if reading != ReadOptions():
            raise InputError("How ratings are read needs ratings; give --test or --data.")
        _show_recorded(model, as_json)
        return
    if per_user is not None:
        check_new_file("--per-user", per_user, (".csv",))
    loaded = load_model(model)
    ratings = read_ratings(given, reading, allow_nonpositive=True)
    tell(ratings.understood.line() if ratings.understood else None, quiet)
    if data is not None:
        ratings = held_out(loaded, ratings)
    with counting_bar("ranking", ratings.num_users, quiet) as advance:
        found = evaluation.evaluate(loaded, ratings, k, relevant, advance)
    if per_user is not None:
        runs.write(per_user, to_csv(found.per_user))
    if as_json:
        record = {"command": "evaluate", "model": str(model), "test": str(given)}
        more = {"held_out": bool(data), "test_digest": ratings.digest, **found.as_json()}
        typer.echo(json.dumps({**record, **more}))
        return
    _show(found)
    if per_user is not None:
        say(f"The errors of each user are in {per_user}")


@app.command()
@reads_ratings
def tune(
    context: typer.Context,
    reading: ReadOptions,
    out: RecipeFile,
    data: Ratings = None,
    minutes: Minutes = 10.0,
    trials: Trials = None,
    split: splits.Split = "random",
    test_ratio: splits.TestRatio = CHAPTER.test_ratio,
    test: splits.TestFile = None,
    engine: Engine = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search for the recipe that is best on validation ratings, for train --recipe.

    What train would hold out to score, given the same options, takes no part.
    """
    from d2l_autorec.evaluation import study as studies
    from d2l_autorec.evaluation.findings import findings, trials_table
    from d2l_autorec.evaluation.tuning import search
    from d2l_autorec.training.asked import Asked, prepare
    from d2l_autorec.training.session import compilation

    if not 0 < minutes < 10**6:
        raise InputError(f"--minutes is {minutes:g}; give a number above 0.")
    studies.optuna()
    folder = studies.folder_of(out)
    given = {"split": split, "test_ratio": test_ratio, "engine": engine, "seed": seed}
    plan = {name: value for name, value in given.items() if stands_there(context, name)}
    asked = Asked("default", plan=plan, data=data, reading=reading, test=test)
    asked.check_split()
    ready = prepare(asked, quiet=quiet)
    if (work := compilation(ready.plan.engine)) is not None:
        tell(work[0], quiet)
        work[1]()
    seconds = 60 * minutes
    with counting_bar("tuning", seconds, quiet) as advance:
        study, ground = search(ready, folder, seconds, trials, advance)
    found = findings(study, ground)
    if found is None:
        raise InputError(
            f"The recipe default is being trained by another process, so that {out} is not "
            "written; give the same command again when it has ended."
        )
    options = {**ready.plan.to_dict(), "recipe": "default"}
    record = {"command": "tune", "plan": options, **ground.digests, "found": found.as_json()}
    studies.keep(folder, out, record, found.best, to_csv(trials_table(study, ground)))
    if as_json:
        typer.echo(json.dumps({**record, "folder": str(folder)}))
        return
    _show_findings(found)
    say(f"The recipe is in {out}, the trials are in {folder}. To train with it:")
    words = ["--data", str(data)] if data else []
    words += ["--test", str(test)] if test else []
    for name, value in plan.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    typer.echo(f"d2l-autorec train {shlex.join([*words, '--recipe', str(out)])}")


def _show_findings(found: Findings) -> None:
    best = "the best recipe is default itself" if found.is_default else "the best recipe"
    counts = ", ".join(f"{number} {word}" for word, number in found.counts.items())
    scores = {
        best: found.best_rmse,
        "the recipe default": found.default_rmse,
        "user and item biases": found.biases_rmse,
        "the mean rating": found.mean_rmse,
    }
    grid([counts, "validation RMSE"], [(name, f"{rmse:.4f}") for name, rmse in scores.items()])
    values, rows = found.best.parts[0].to_dict(), []
    for each in found.brought:
        value = values.get(each.name, "")
        chosen = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        lowest = ", ".join(f"{name} {rmse:.4f}" for name, rmse in each.best.items())
        importance = "" if each.importance is None else f"{100 * each.importance:.0f}%"
        rows.append((each.name, chosen, lowest, importance))
    grid(["choice", "best recipe", "lowest validation RMSE with", "importance"], rows, left=3)


def _show_recorded(folder: Path, as_json: bool) -> None:
    """Print the score that a model had in training, and which model had it."""
    from d2l_autorec.serving.folder import load_model
    from d2l_autorec.serving.held_out import recorded

    score = recorded(load_model(folder))
    if as_json:
        record = {"command": "evaluate", "model": str(folder), "test": None}
        typer.echo(json.dumps({**record, "recorded": score}))
        return
    _scores(score["errors"], {"rmse": "RMSE"})
    which = "The saved model is the one that was scored."
    remedy = "For more measures on the same ratings give --data FILE."
    if score["all_ratings"]:
        which = "The saved model has since been trained once more, on these too."
        remedy = (
            "For more measures give ratings that it has not seen, --test FILE, or train with "
            "--save --no-all-ratings."
        )
    if score["updates"]:
        which += f" It has been updated since ({score['updates']})."
    say(
        f"Measured in training, on {score['num_ratings']:,} ratings of {score['data']} that were "
        f"held out (split: {score['split']}). {which} {remedy}"
    )


def _show(found: Evaluation) -> None:
    names = {"rmse": "RMSE", "mae": "MAE"}
    if found.unknown_ratings and found.unknown_ratings < found.num_ratings:
        names["rmse_known"] = "RMSE of known pairs"
    _scores(found.errors, names)
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
    _scores(found.rankings, {**names, "coverage": f"coverage@{k}"})
    say(
        f"Means over the {found.ranked_users:,} known users with a test rating of "
        f"{found.relevant:g} or more, which is relevant. What they rated in training is left out. "
        "Popular items are also rated more often in the test, which favours the popular."
    )


def _scores(values: dict[str, dict[str, float]], names: dict[str, str]) -> None:
    """Print a table with a column for each key of the values, and a row for each name."""
    rows = [
        [name, *(f"{each[key]:.4f}" for each in values.values())] for key, name in names.items()
    ]
    grid(["", *values], rows)
