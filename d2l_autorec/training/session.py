"""The train command's work: begin a run or go on with one, and leave its folder."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec import runs, runtime
from d2l_autorec.data.formats import Ratings, read_ratings
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.sources import load_ml100k
from d2l_autorec.errors import InputError
from d2l_autorec.progress import compilation, epochs_bar
from d2l_autorec.training import checkpoint, resume, run
from d2l_autorec.training.distributed import Group, group_from_environment
from d2l_autorec.training.settings import Settings, check
from d2l_autorec.training.watch import tensorboard


@dataclass(frozen=True)
class Options:
    """What the command is given besides the settings; a checkpoint keeps them for the resumption.

    Attributes
    ----------
    data : Path or None
        The ratings; MovieLens 100K by default.
    devices : str
        As `d2l_autorec.runtime.parse_devices` reads it.
    out : Path or None
        The run's folder; under ``runs`` by default.
    save : bool
        Leave the model in ``model`` below the run's folder.
    tensorboard : Path or None
        Where to log.
    rating_range : (float, float) or None
        What the model's predictions are clipped to; the range of its ratings by default.
    fit_batch : bool
        Have fewer rows in a batch, where the ratings have fewer.
    reading : ReadOptions
        How the file of ratings is read.
    """

    data: Path | None = None
    devices: str = "cpu"
    out: Path | None = None
    save: bool = False
    tensorboard: Path | None = None
    rating_range: tuple[float, float] | None = None
    fit_batch: bool = False
    reading: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True)
class Done:
    """A finished run: what its table and its ``run.json`` are made of."""

    folder: Path
    name: str
    settings: Settings
    result: run.Result
    record: dict[str, Any]


def begin(settings: Settings, options: Options, quiet: bool = False) -> Done | None:
    """Train in a new folder.

    Returns
    -------
    Done or None
        None on all workers of a group but the first.

    Raises
    ------
    InputError
        If something given cannot be used, before anything is written; or if the disk is full.
    SystemExit
        130 after Ctrl-C.
    """
    return _train(settings, options, None, quiet)


def go_on(
    folder: Path, asked: Settings, options: Options, given: Collection[str], quiet: bool = False
) -> Done | None:
    """Train on in the folder of a run that was interrupted.

    Parameters
    ----------
    folder : Path
    asked, options : Settings, Options
        As the command line has them.
    given : collection of str
        Names of the options that stand on it; the others are taken from the checkpoint.
    quiet : bool
        Show nothing.

    Raises
    ------
    InputError
        As `begin`; if there is no checkpoint to go on from; if an option contradicts it.
    """
    former = checkpoint.load(folder)
    settings = resume.settings_to_go_on(former.settings, asked, given)
    kept = former.options
    try:
        own = Options(
            Path(kept["data"]) if kept["data"] else None,
            str(kept["devices"]),
            folder,
            bool(kept["save"]),
            Path(kept["tensorboard"]) if kept["tensorboard"] else None,
            tuple(kept["rating_range"]) if kept.get("rating_range") else None,
            reading=ReadOptions.from_json(kept["reading"]) if "reading" in kept else ReadOptions(),
        )
    except (KeyError, TypeError):
        raise InputError(
            f"{folder / checkpoint.NAME} was not made by the train command; go on with it in "
            "Python, as it was begun."
        ) from None
    free = {"data", "save", "tensorboard", "rating_range"}  # the data's digest is compared
    resume.refuse_others(asdict(options), asdict(own), set(given) - free)
    wanted = {name: getattr(options, name) for name in free & set(given)}
    return _train(settings, replace(own, **wanted), former, quiet)


def _train(
    settings: Settings, options: Options, former: checkpoint.Checkpoint | None, quiet: bool
) -> Done | None:
    group = group_from_environment()
    first = group is None or group.is_first
    quiet = quiet or not first
    say = partial(_say, quiet)
    contexts, notice = runtime.parse_devices(options.devices)
    say(notice)
    if options.data:
        ratings = read_ratings(options.data, options.reading, allow_nonpositive=True)
    else:
        ratings = load_ml100k(quiet=quiet)
    if ratings.understood is not None:
        say(ratings.understood.line())
        ratings.understood.check_trainable()
    if options.fit_batch:
        most = ratings.num_users if settings.by == "user" else ratings.num_items
        settings = replace(settings, batch_size=min(settings.batch_size, most))
    check(settings, ratings, len(contexts), group.num_workers if group else 1)
    _check_range(options, ratings)
    folder, new = options.out or Path(), False
    if former is None and first:
        new = not folder.exists() or options.out is None
        folder = runs.new_folder(options.out, f"train-seed{settings.seed}")
    elif first:
        checkpoint.sweep(folder)
    if settings.checkpoint_every and former is None:
        say("Draws are seeded for each epoch, for the checkpoints, and so are not the book's.")
    kept = {
        "data": str(options.data.resolve()) if options.data else None,
        "devices": options.devices,
        "save": options.save,
        "tensorboard": str(options.tensorboard.resolve()) if options.tensorboard else None,
        "rating_range": options.rating_range,
        "reading": options.reading.as_json(),
    }
    keep = checkpoint.Keep(folder, kept, former)
    try:
        net, result, history = _epochs(
            ratings, settings, contexts, options.tensorboard if first else None, group, keep, quiet
        )
        if group is not None:
            group.close()
        if not first:
            return None
        if not np.isfinite([result.test_rmse, result.train_loss]).all():
            raise InputError(
                "Training diverged: loss or RMSE is not finite; train with a lower --lr."
            )
        if options.save:
            _save_model(folder, net, ratings, settings, result, options.rating_range)
        rows = [(e.epoch, e.train_loss, e.test_rmse, e.seconds) for e in history]
        record = run.record(settings, result)
        runs.save(folder, record, run.COLUMNS, rows)
    except KeyboardInterrupt:
        print(f"d2l-autorec: {resume.farewell(folder)}", file=sys.stderr)
        sys.exit(130)
    finally:
        if new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is empty
    return Done(folder, ratings.name, settings, result, record)


def _epochs(
    ratings: Ratings,
    settings: Settings,
    contexts: list[Any],
    watched: Path | None,
    group: Group | None,
    keep: checkpoint.Keep,
    quiet: bool,
) -> tuple[Any, run.Result, list[Any]]:
    before = compilation(settings.engine)
    done = len(keep.former.history) if keep.former else 0
    with contextlib.ExitStack() as stack:
        if settings.checkpoint_every:
            say = partial(_say, quiet)
            keep.stopping = stack.enter_context(resume.interrupt_after_epoch(say))
        log = stack.enter_context(tensorboard(watched, done + 1))
        bar = epochs_bar(settings.num_epochs, quiet, group is not None, done, before)
        advance = stack.enter_context(bar)
        return run.train(ratings, settings, contexts, advance, group, keep, log)


def _check_range(options: Options, ratings: Ratings) -> None:
    if options.rating_range is None:
        return
    if not options.save:
        raise InputError("--rating-range is for the model that is kept; give --save too.")
    low, high = options.rating_range
    found = ratings.table["rating"].to_numpy()
    if found.min() < np.float32(low) or found.max() > np.float32(high):
        raise InputError(
            f"--rating-range {low:g},{high:g} leaves out some of the ratings, which go from "
            f"{found.min():g} to {found.max():g}; give a wider one."
        )


def _save_model(
    folder: Path,
    net: Any,
    ratings: Ratings,
    settings: Settings,
    result: run.Result,
    rating_range: tuple[float, float] | None,
) -> None:
    from d2l_autorec.serving.folder import model_from_net, save_model

    train_rows: np.ndarray = run.split(ratings, settings)[0]
    model = model_from_net(net, ratings, train_rows, settings, result)
    if rating_range is not None:
        model = replace(model, low=rating_range[0], high=rating_range[1])
    # What is there was left by a process that came to its end but for run.json.
    shutil.rmtree(folder / "model", ignore_errors=True)
    save_model(folder / "model", model)


def _say(quiet: bool, text: str | None) -> None:
    if text and not quiet:
        print(text, file=sys.stderr)
