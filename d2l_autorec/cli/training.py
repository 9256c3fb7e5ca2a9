"""The commands ``reproduce``, ``train``, ``recipes`` and ``launch``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from d2l_autorec import runtime
from d2l_autorec.cli import recipe_options as options
from d2l_autorec.cli import split_options as splits
from d2l_autorec.cli.common import (
    READING,
    Data,
    Devices,
    Json,
    Out,
    Quiet,
    Ratings,
    Seed,
    app,
    reads_ratings,
    report,
    stands_there,
)
from d2l_autorec.cli.tables import say
from d2l_autorec.config import CHAPTER
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError, plain
from d2l_autorec.paths import kind
from d2l_autorec.progress import tell

if TYPE_CHECKING:
    from d2l_autorec.training.asked import Asked

_of_kept = partial(typer.Option, rich_help_panel="The model that is kept")
_during = partial(typer.Option, rich_help_panel="During training")

Save = Annotated[bool, _of_kept("--save", help="Keep the model, for recommend and others.")]
AllRatings = Annotated[
    Optional[bool],
    _of_kept(
        "--all-ratings/--no-all-ratings",
        show_default=False,
        help="With --save: after the test, train again on all ratings, those of the test too, and "
        "keep that model (the default; about as long again), or keep the model that was tested.",
    ),
]
CheckpointEvery = Annotated[
    int, _during(min=0, help="Epochs between two checkpoints, for --resume; 0 for none.")
]
Resume = Annotated[
    Optional[Path], _during(help="Go on with the run in this folder, where it was stopped.")
]
TensorBoard = Annotated[Optional[Path], _during(help="Folder to log RMSE and loss in.")]
Hosts = Annotated[
    Optional[Path], typer.Option(help="File: a machine on each line, reached with ssh.")
]
Threads = Annotated[
    Optional[int], typer.Option(help="Of each worker. Its share of the cores if left out.")
]
StepTimeout = Annotated[
    Optional[float],
    typer.Option(help="Seconds until a worker that waits gives up. 120 if left out."),
]
Restarts = Annotated[
    int,
    typer.Option(
        help="Start again from the last checkpoint when a process or a machine is lost, at most "
        "this often; machines that do not answer are left out then."
    ),
]


@app.command()
def reproduce(
    seed: Seed = 0,
    devices: Devices = "cpu",
    epochs: Annotated[int, typer.Option(min=1, help="The book trains 25.")] = CHAPTER.num_epochs,
    engine: Annotated[str, typer.Option(help="book, fast, sparse, or several: a,b.")] = "book",
    data: Data = None,
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the chapter as printed and set its result beside the book's."""
    from d2l_autorec import doctor, runs

    doctor.preflight()
    contexts, notice = runtime.parse_devices(devices)
    tell(notice, quiet)
    from d2l_autorec.data.sources import load_ml100k
    from d2l_autorec.experiments import reproduce as experiment

    engines = experiment.parse_engines(engine)
    ratings = load_ml100k(data, quiet=quiet)
    experiment.check(ratings, contexts, engines)
    folder = runs.new_folder(out, f"reproduce-seed{seed}", make=False)
    results = []
    for name in engines:
        result, rows = experiment.reproduce_with(name, ratings, seed, contexts, epochs, quiet)
        own = folder if len(engines) == 1 else folder / name
        runs.save(own, result.record(), experiment.COLUMNS, rows)
        results.append(result)
    names = ["this run"] if engines == ["book"] else engines
    header = ("", "the book", *("its code" if name == "book" else name for name in names))
    shown = folder if as_json or len(engines) == 1 else folder / "*"
    report(shown, experiment.record(results), header, experiment.table(results), as_json)


@app.command()
@reads_ratings
@options.changes_recipe
def train(
    context: typer.Context,
    reading: ReadOptions,
    changes: dict[str, Any],
    data: Ratings = None,
    recipe: options.RecipeName = None,
    engine: options.Engine = None,
    split: splits.Split = "random",
    test_ratio: splits.TestRatio = CHAPTER.test_ratio,
    test: splits.TestFile = None,
    folds: splits.Folds = None,
    seed: Seed = 0,
    devices: Devices = "cpu",
    out: Out = None,
    save: Save = False,
    all_ratings: AllRatings = None,
    checkpoint_every: CheckpointEvery = 0,
    resume: Resume = None,
    tensorboard: TensorBoard = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train AutoRec on ratings of your own, or with another recipe than the chapter's."""
    from d2l_autorec.serving.folder import make_model, save_model
    from d2l_autorec.training import session
    from d2l_autorec.training.asked import Asked

    settings = ("engine", "split", "test_ratio", "seed", "checkpoint_every", "all_ratings")
    asked = Asked(
        recipe,
        changes,
        {name: context.params[name] for name in settings if stands_there(context, name)},
        data,
        devices if stands_there(context, "devices") else None,
        out,
        save,
        tensorboard,
        reading,
        test,
    )

    def keep(folder: Path, model: Any, ratings: Any, record: dict[str, Any]) -> None:
        save_model(folder, make_model(model, ratings, record))

    if folds is not None:
        if resume is not None:
            raise InputError("--folds and --resume exclude each other; leave out one.")
        _report_folds(asked, folds, quiet, as_json)
        return
    if resume is not None:
        if changed := sorted(name for name in READING if stands_there(context, name)):
            raise InputError(
                f"--{changed[0].replace('_', '-')} cannot be changed with --resume: the ratings "
                "are read as they were; leave it out."
            )
        done = session.go_on(resume, asked, keep, quiet)
    else:
        done = session.begin(asked, keep, quiet)
    if done is None:  # another worker than the first
        return
    result, one = done.result, done.result.epoch is not None
    way = Path(done.record.get("test_file", done.plan.split)).name
    saved = done.record.get("saved", {}).get("num_ratings")
    rows = [
        ("split", None if way == "random" else plain(way)),
        ("test RMSE", f"{result.test_rmse:.4f}"),
        ("  of plain user and item biases", f"{result.biases_rmse:.4f}"),
        ("  of the mean rating", f"{result.mean_rmse:.4f}"),
        ("validation RMSE", None if result.val_rmse is None else f"{result.val_rmse:.4f}"),
        ("networks", None if one else str(result.networks)),
        ("epoch", str(result.epoch) if one else None),
        ("train loss", f"{result.train_loss:.4f}" if one else None),
        ("network damped to", f"{result.gain:.0%}" if one and result.gain is not None else None),
        ("ratings trained on", f"{result.num_train:,}"),
        ("seconds of training", f"{result.seconds:.2f}"),
        ("ratings in the saved model", None if saved is None else f"{saved:,}"),
    ]
    table = [(name, value) for name, value in rows if value is not None]
    report(done.folder, done.record, (done.name, f"{done.plan.engine} engine"), table, as_json)
    tell(result.warning(), quiet)
    if not as_json and kind(done.folder / "model"):
        typer.echo(f"The model too: d2l-autorec recommend --model {done.folder} --user ID")


def _report_folds(asked: Asked, num_folds: int, quiet: bool, as_json: bool) -> None:
    from d2l_autorec.evaluation.folds import SCORES, cross_validate

    done = cross_validate(asked, num_folds, quiet)
    rows = [
        [f"fold {number}", *(f"{getattr(result, field):.4f}" for field in SCORES.values())]
        for number, result in enumerate(done.results, 1)
    ]
    found = [done.intervals[name] for name in SCORES]
    last = [f"{each.mean:.4f} ± {each.half_width:.4f}" for each in found]
    rows.append([f"all {num_folds}, 95% interval", *last])
    header = (done.name, "test RMSE", "of the biases", "of the mean")
    report(done.folder, done.record, header, rows, as_json, "run.json and a folder per fold are")


@app.command()
def recipes(name: options.ToPrint = None, as_json: Json = False) -> None:
    """List the recipes that train can follow, or print one, to change and give back to it."""
    from d2l_autorec.models.recipes import EXPLAINED, RECIPES, find_recipe, to_toml

    if as_json:
        chosen = RECIPES if name is None else {name: find_recipe(name).recipe}
        typer.echo(json.dumps({key: recipe.to_dict() for key, recipe in chosen.items()}))
    elif name is not None:
        typer.echo(to_toml(find_recipe(name).recipe), nl=False)
    else:
        for key, text in EXPLAINED.items():
            say(f"{key}: {text}")
        say("To change one: d2l-autorec recipes default > my.toml, then train --recipe my.toml.")


@app.command(context_settings={"allow_extra_args": True, "allow_interspersed_args": False})
def launch(
    context: typer.Context,
    workers: Annotated[int, typer.Option(help="Processes that train.")] = 2,
    servers: Annotated[int, typer.Option(help="Processes that add up what those send.")] = 1,
    hosts: Hosts = None,
    threads: Threads = None,
    step_timeout: StepTimeout = None,
    restarts: Restarts = 0,
) -> None:
    """Train in several processes that share the work: launch --workers 2 -- train ..."""
    from d2l_autorec import doctor
    from d2l_autorec.training.distributed.launch import launch

    doctor.preflight()
    raise typer.Exit(
        launch(context.args, workers, servers, hosts, threads, step_timeout, restarts)
    )
