"""Training: ``reproduce``, ``train``, ``launch`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from d2l_autorec import runtime
from d2l_autorec.cli.common import (
    Data,
    Devices,
    Json,
    Out,
    Quiet,
    Ratings,
    Seed,
    app,
    report,
    tell,
)
from d2l_autorec.config import CHAPTER
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


@app.command()
def reproduce(
    seed: Seed = 0,
    devices: Devices = "cpu",
    epochs: Annotated[int, typer.Option(min=1, help="The book trains 25.")] = CHAPTER.num_epochs,
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

    ratings = load_ml100k(data, quiet=quiet)
    experiment.check(ratings, contexts)
    folder = runs.new_folder(out, f"reproduce-seed{seed}")
    result, training = experiment.reproduce(ratings, seed, contexts, epochs, quiet)
    epoch_rows = zip(range(1, epochs + 1), training.train_loss, training.test_rmse)
    runs.save(folder, result.record(), experiment.COLUMNS, epoch_rows)
    report(folder, result.record(), ("", "the book", "this run"), result.rows(), as_json)


@app.command()
def train(
    data: Ratings = None,
    engine: Annotated[str, typer.Option(help="fast (dense) or sparse.")] = "fast",
    by: Annotated[str, typer.Option(help="What a row is: item or user.")] = "item",
    hidden: Annotated[str, typer.Option(help="Sizes of the hidden layers: 500,100,500.")] = "500",
    encoder: Annotated[str, typer.Option(help="Activation of the hidden layers.")] = "sigmoid",
    decoder: Annotated[str, typer.Option(help="Activation of the output.")] = "identity",
    dropout: Annotated[float, typer.Option(help="On the code.")] = CHAPTER.dropout_rate,
    input_dropout: Annotated[float, typer.Option(help="On the ratings read.")] = 0.0,
    lr: Annotated[float, typer.Option(min=0, help="Adam's learning rate.")] = CHAPTER.lr,
    wd: Annotated[float, typer.Option(min=0, help="Weight decay.")] = CHAPTER.wd,
    batch_size: Annotated[int, typer.Option(help="Rows in a batch.")] = CHAPTER.batch_size,
    epochs: Annotated[int, typer.Option(min=1)] = CHAPTER.num_epochs,
    test_ratio: Annotated[float, typer.Option(help="Held out to score.")] = CHAPTER.test_ratio,
    val_ratio: Annotated[float, typer.Option(help="Held out to choose the epoch on.")] = 0.0,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without a better one.")] = 5,
    seed: Seed = 0,
    devices: Devices = "cpu",
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train AutoRec on ratings of your own, or with other settings than the chapter's."""
    from d2l_autorec import doctor, runs

    doctor.preflight()
    sizes = hidden.split(",")
    if not all(size.strip().isdigit() for size in sizes):
        raise InputError(f"--hidden {hidden!r} is no list of sizes; write 500 or 500,100,500.")
    from d2l_autorec.training.distributed import group_from_environment

    group = group_from_environment()
    first = group is None or group.is_first
    quiet = quiet or not first
    contexts, notice = runtime.parse_devices(devices)
    tell(notice, quiet)
    from d2l_autorec.data.formats import read_ratings
    from d2l_autorec.data.sources import load_ml100k
    from d2l_autorec.progress import epochs_bar
    from d2l_autorec.training import run

    settings = run.Settings(
        engine=engine,
        by=by,
        hidden=tuple(map(int, sizes)),
        encoder=encoder,
        decoder=decoder,
        dropout=dropout,
        input_dropout=input_dropout,
        lr=lr,
        wd=wd,
        batch_size=batch_size,
        num_epochs=epochs,
        test_ratio=test_ratio,
        seed=seed,
        val_ratio=val_ratio,
        patience=patience,
    )
    ratings = read_ratings(data, allow_nonpositive=True) if data else load_ml100k(quiet=quiet)
    run.check(settings, ratings, len(contexts), group.num_workers if group else 1)
    if first:
        folder = runs.new_folder(out, f"train-seed{seed}")
    with epochs_bar(epochs, quiet, lines=group is not None) as advance:
        _, result, history = run.train(ratings, settings, contexts, advance, group)
    if group is not None:
        group.close()
    if not first:
        return
    rows = [(e.epoch, e.train_loss, e.test_rmse, e.seconds) for e in history]
    record = run.record(settings, result)
    runs.save(folder, record, run.COLUMNS, rows)
    table = [("test RMSE", f"{result.test_rmse:.4f}"), ("epoch", str(result.epoch))]
    if result.val_rmse is not None:
        table.append(("validation RMSE", f"{result.val_rmse:.4f}"))
    table.append(("train loss", f"{result.train_loss:.4f}"))
    table.append(("ratings trained on", f"{result.num_train:,}"))
    table.append(("seconds of training", f"{result.seconds:.2f}"))
    report(folder, record, (ratings.name, f"{engine} engine"), table, as_json)


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
