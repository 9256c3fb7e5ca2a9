"""Training: ``reproduce``, ``train``, ``launch`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from d2l_autorec import runtime
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
    tell,
)
from d2l_autorec.config import CHAPTER
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError

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

CheckpointEvery = Annotated[
    int, typer.Option(min=0, help="Epochs between two checkpoints, for --resume; 0 for none.")
]
Resume = Annotated[
    Optional[Path], typer.Option(help="Go on with the run in this folder, where it was stopped.")
]
TensorBoard = Annotated[Optional[Path], typer.Option(help="Folder to log RMSE and loss in.")]
BatchSize = Annotated[
    Optional[int],
    typer.Option(help=f"Rows in a batch. {CHAPTER.batch_size}, or all where fewer, if left out."),
]
RatingRange = Annotated[
    Optional[str],
    typer.Option(help="LOW,HIGH to keep predictions in. That of the ratings if left out."),
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
    folder = runs.new_folder(out, f"reproduce-seed{seed}")
    results = []
    for name in engines:
        result, rows = experiment.reproduce_with(name, ratings, seed, contexts, epochs, quiet)
        own = folder if len(engines) == 1 else runs.new_folder(folder / name, "")
        runs.save(own, result.record(), experiment.COLUMNS, rows)
        results.append(result)
    names = ["this run"] if engines == ["book"] else engines
    header = ("", "the book", *("its code" if name == "book" else name for name in names))
    shown = folder if as_json or len(engines) == 1 else folder / "*"
    report(shown, experiment.record(results), header, experiment.table(results), as_json)


@app.command()
@reads_ratings
def train(
    context: typer.Context,
    reading: ReadOptions,
    data: Ratings = None,
    engine: Annotated[str, typer.Option(help="fast (dense) or sparse.")] = "fast",
    by: Annotated[str, typer.Option(help="What a row is: item or user.")] = "item",
    hidden: Annotated[str, typer.Option(help="Sizes of the hidden layers: 500,100,500.")] = "500",
    encoder: Annotated[
        str, typer.Option(help="Of the hidden layers: identity, sigmoid, tanh, relu, elu, selu.")
    ] = "sigmoid",
    decoder: Annotated[str, typer.Option(help="Of the output: one of the same.")] = "identity",
    dropout: Annotated[
        float, typer.Option(help="Share of the code dropped.")
    ] = CHAPTER.dropout_rate,
    input_dropout: Annotated[float, typer.Option(help="Share of the ratings dropped.")] = 0.0,
    lr: Annotated[float, typer.Option(min=0, help="Adam's learning rate.")] = CHAPTER.lr,
    wd: Annotated[float, typer.Option(min=0, help="Weight decay.")] = CHAPTER.wd,
    batch_size: BatchSize = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the rows.")] = CHAPTER.num_epochs,
    test_ratio: Annotated[
        float, typer.Option(help="Share held out to score.")
    ] = CHAPTER.test_ratio,
    val_ratio: Annotated[float, typer.Option(help="Share held out to choose the epoch on.")] = 0.0,
    patience: Annotated[
        int, typer.Option(min=1, help="With it: epochs to wait for a better one.")
    ] = 5,
    seed: Seed = 0,
    devices: Devices = "cpu",
    out: Out = None,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the model, for recommend and others.")
    ] = False,
    rating_range: RatingRange = None,
    checkpoint_every: CheckpointEvery = 0,
    resume: Resume = None,
    tensorboard: TensorBoard = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train AutoRec on ratings of your own, or with other settings than the chapter's."""
    from d2l_autorec import doctor

    doctor.preflight()
    from d2l_autorec.training import session
    from d2l_autorec.training.settings import Settings, parse_hidden, parse_range

    settings = Settings(
        engine=engine,
        by=by,
        hidden=parse_hidden(hidden),
        encoder=encoder,
        decoder=decoder,
        dropout=dropout,
        input_dropout=input_dropout,
        lr=lr,
        wd=wd,
        batch_size=CHAPTER.batch_size if batch_size is None else batch_size,
        num_epochs=epochs,
        test_ratio=test_ratio,
        seed=seed,
        val_ratio=val_ratio,
        patience=patience,
        checkpoint_every=checkpoint_every,
    )
    options = session.Options(
        data, devices, out, save, tensorboard,
        rating_range=None if rating_range is None else parse_range(rating_range),
        fit_batch=batch_size is None, reading=reading,
    )  # fmt: skip
    if resume is not None:
        given = {name for name in context.params if _stands_there(context, name)}
        if changed := sorted(given & set(READING)):
            raise InputError(
                f"--{changed[0].replace('_', '-')} cannot be changed with --resume: the ratings "
                "are read as they were; leave it out."
            )
        done = session.go_on(resume, settings, options, given, quiet)
    else:
        done = session.begin(settings, options, quiet)
    if done is None:  # another worker than the first
        return
    result = done.result
    table = [("test RMSE", f"{result.test_rmse:.4f}"), ("epoch", str(result.epoch))]
    if result.val_rmse is not None:
        table.append(("validation RMSE", f"{result.val_rmse:.4f}"))
    table.append(("train loss", f"{result.train_loss:.4f}"))
    table.append(("ratings trained on", f"{result.num_train:,}"))
    table.append(("seconds of training", f"{result.seconds:.2f}"))
    header = (done.name, f"{done.settings.engine} engine")
    report(done.folder, done.record, header, table, as_json)
    if not as_json and (done.folder / "model").exists():
        typer.echo(f"The model too: d2l-autorec recommend --model {done.folder} --user ID")


def _stands_there(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@app.command(context_settings={"allow_extra_args": True, "allow_interspersed_args": False})
def launch(
    context: typer.Context,
    workers: Annotated[int, typer.Option(help="Processes that train.")] = 2,
    servers: Annotated[int, typer.Option(help="Processes that add up what those send.")] = 1,
    hosts: Hosts = None,
    threads: Threads = None,
    step_timeout: StepTimeout = None,
) -> None:
    """Train in several processes that share the work: launch --workers 2 -- train ..."""
    from d2l_autorec import doctor
    from d2l_autorec.training.launch import launch

    doctor.preflight()
    raise typer.Exit(launch(context.args, workers, servers, hosts, threads, step_timeout))


@app.command()
def doctor() -> None:
    """Check whether this machine can run the package, and say what to do if not."""
    from d2l_autorec import doctor as checks

    failed = 0
    for check in [*checks.quick_checks(), checks.check_import()]:
        failed += bool(check.remedy)
        typer.echo(f"{'NO ' if check.remedy else 'ok '} {check.name}: {check.found}")
        if check.remedy:
            typer.echo(f"    {check.remedy}")
    if failed:
        raise InputError(f"{failed} of the checks above failed; follow their remedies in order.")
