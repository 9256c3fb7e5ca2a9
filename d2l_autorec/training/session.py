"""The train command's work: begin a run or go on with one, and leave its folder."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec import runs, runtime
from d2l_autorec.atomic import lock_folder
from d2l_autorec.data.formats import Ratings, read_ratings
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.sources import load_ml100k
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipes import RECIPES, find_recipe, for_share
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.paths import kind
from d2l_autorec.progress import epochs_bar
from d2l_autorec.training import checkpoint, resume, run
from d2l_autorec.training.distributed.group import Group, group_from_environment
from d2l_autorec.training.draws import has_mxnet
from d2l_autorec.training.engines import choose_draws, choose_engine
from d2l_autorec.training.plan import Plan, check, check_batch_size, check_engine
from d2l_autorec.training.tensorboard import tensorboard

SaveModel = Callable[[Path, TrainedModel, Ratings, dict[str, Any]], None]


@dataclass(frozen=True)
class Asked:
    """What stands on the command line of a training run; None or nothing where it does not.

    Attributes
    ----------
    recipe : str or None
        Name or TOML file. The chapter's for MovieLens 100K, "default" for other ratings.
    changes : dict
        Fields of the recipe, or of its architecture.
    plan : dict
        Other fields of the plan.
    data : Path or None
        The ratings; MovieLens 100K by default.
    devices : str or None
        As `d2l_autorec.runtime.parse_devices` reads it.
    out : Path or None
        The run's folder; under ``runs`` by default.
    save : bool
        Leave the model in ``model`` below the run's folder.
    tensorboard : Path or None
        Where to log.
    reading : ReadOptions
        How the file of ratings is read.
    """

    recipe: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    data: Path | None = None
    devices: str | None = None
    out: Path | None = None
    save: bool = False
    tensorboard: Path | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)

    def kept(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside the plan."""
        return {
            "data": str(self.data.resolve()) if self.data else None,
            "devices": self.devices,
            "save": self.save,
            "tensorboard": str(self.tensorboard.resolve()) if self.tensorboard else None,
            "reading": self.reading.as_json(),
        }


@dataclass(frozen=True)
class Done:
    """A finished run: what its table and its ``run.json`` are made of."""

    folder: Path
    name: str
    plan: Plan
    result: run.Result
    record: dict[str, Any]


def begin(asked: Asked, save_model: SaveModel, quiet: bool = False) -> Done | None:
    """Train in a new folder.

    Parameters
    ----------
    asked : Asked
    save_model : callable
        Writes a model folder.
    quiet : bool
        Show nothing.

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
    return _train(asked, None, save_model, quiet)


def go_on(folder: Path, asked: Asked, save_model: SaveModel, quiet: bool = False) -> Done | None:
    """Train on in the folder of a run that was interrupted.

    What is not asked for is taken from the checkpoint.

    Parameters
    ----------
    folder : Path
    asked, save_model, quiet
        As for `begin`.

    Raises
    ------
    InputError
        As `begin`; if there is no checkpoint to go on from; if an option contradicts it.
    """
    former = checkpoint.load(folder)
    kept = former.options
    try:
        own = Asked(
            data=Path(kept["data"]) if kept["data"] else None,
            devices=kept["devices"],
            out=folder,
            save=bool(kept["save"]),
            tensorboard=Path(kept["tensorboard"]) if kept["tensorboard"] else None,
            reading=ReadOptions.from_json(kept["reading"]) if "reading" in kept else ReadOptions(),
        )
    except (KeyError, TypeError):
        raise InputError(
            f"{folder / checkpoint.NAME} was not made by the train command; go on with it in "
            "Python, as it was begun."
        ) from None
    if asked.recipe is not None and find_recipe(asked.recipe).recipe.but(**asked.changes) != (
        former.plan.recipe
    ):
        raise InputError("--recipe cannot be changed with --resume; leave it out.")
    plan = resume.plan_to_go_on(former.plan, asked.changes, asked.plan)
    wanted = {name: getattr(asked, name) for name in ("devices", "out")}
    given = {name: value for name, value in wanted.items() if value is not None}
    resume.refuse_others(given, {**vars(own), "devices": own.devices or "cpu"})
    own = replace(
        own,
        data=asked.data or own.data,  # their digest is compared
        save=asked.save or own.save,
        tensorboard=asked.tensorboard or own.tensorboard,
    )
    return _train(own, replace(former, plan=plan), save_model, quiet)


def make_plan(asked: Asked, ratings: Ratings) -> tuple[Plan, str | None]:
    """Return what is to be done with the ratings, and a notice of what was chosen.

    Raises
    ------
    InputError
        If the recipe cannot be used.
    """
    name, notice = asked.recipe, None
    if name is None and asked.data:
        notice = "Recipe: default (the chapter's is --recipe chapter)."
    name = name or ("default" if asked.data else "chapter")
    cells = ratings.num_users * ratings.num_items
    found = for_share(find_recipe(name), len(ratings.table) / max(cells, 1))
    recipe = found.recipe
    if found.name == "sparse-blend" != name:
        notice = "Recipe: sparse-blend, as few of the cells are rated."
    by_lam = any(part.lam is not None for part in recipe.parts)
    if "wd" in asked.changes and by_lam and "lam" not in asked.changes:
        raise InputError("--wd: this recipe decays weights by λ; give --lam.")
    recipe, engine = resume.changed(recipe, asked.changes), asked.plan.get("engine")
    if engine is None:
        dense = recipe == RECIPES["chapter"] and not asked.data
        dense = (dense or asked.devices not in (None, "cpu")) and has_mxnet()
        engine = "fast" if dense else choose_engine(len(ratings.table), cells)
    plan = Plan(**{**asked.plan, "recipe": recipe, "engine": engine})
    if "batch_size" in asked.changes:
        check_batch_size(plan, ratings)
    return plan, notice


def _train(
    asked: Asked, former: checkpoint.Checkpoint | None, save_model: SaveModel, quiet: bool
) -> Done | None:
    if (former.plan.engine if former else asked.plan.get("engine")) == "fast":
        from d2l_autorec import doctor

        doctor.preflight()
    group = group_from_environment()
    first = group is None or group.is_first
    quiet = quiet or not first
    say = partial(_say, quiet)
    if asked.data:
        ratings = read_ratings(asked.data, asked.reading, allow_nonpositive=True)
    else:
        ratings = load_ml100k(quiet=quiet)
    if ratings.understood is not None:
        say(ratings.understood.line())
        ratings.understood.check_trainable()
    plan, notice = (former.plan, None) if former else make_plan(asked, ratings)
    say(notice)
    contexts: list[Any] = []
    check_engine(plan)
    if plan.engine == "fast":
        contexts, notice = runtime.parse_devices(asked.devices or "cpu")
        say(notice)
    elif asked.devices not in (None, "cpu"):
        raise InputError("--devices: the sparse engine runs on one CPU device; use cpu.")
    check(plan, ratings, max(len(contexts), 1), group.num_workers if group else 1)
    _check_range(plan, ratings)
    folder, new, held = asked.out or Path(), False, contextlib.ExitStack()
    if former is None and first:
        new = not kind(folder) or asked.out is None
        folder = runs.new_folder(asked.out, f"train-seed{plan.seed}")
    wanted = plan.recipe.parts[0].draws
    if wanted != choose_draws(plan.recipe.parts[0], plan.engine) == "numpy":
        say("MXNet is not here: the random draws are NumPy's, not the book's.")
    elif plan.checkpoint_every and wanted == "book" and former is None:
        say("Draws are seeded for each epoch, for the checkpoints, and so are not the book's.")
    keep = checkpoint.Keep(folder, asked.kept(), former)
    try:
        if first:
            held.enter_context(lock_folder(folder))
        watched = asked.tensorboard if first else None
        model, result, history = _epochs(ratings, plan, contexts, watched, group, keep, quiet)
        if group is not None:
            group.close()
        if not first:
            return None
        record = run.record(replace(plan, recipe=model.recipe), result)
        if asked.save:
            # What is there was left by a process that came to its end but for run.json.
            shutil.rmtree(folder / "model", ignore_errors=True)
            save_model(folder / "model", model, ratings, record)
        runs.save(folder, record, *run.history_table(history))
    except KeyboardInterrupt:
        print(f"d2l-autorec: {resume.farewell(folder)}", file=sys.stderr)
        sys.exit(130)
    finally:
        held.close()
        if new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is empty
    return Done(folder, ratings.name, plan, result, record)


def _epochs(
    ratings: Ratings,
    plan: Plan,
    contexts: list[Any],
    watched: Path | None,
    group: Group | None,
    keep: checkpoint.Keep,
    quiet: bool,
) -> tuple[TrainedModel, run.Result, list[Any]]:
    former, recipe = keep.former, plan.recipe
    done = len(former.history) + len(former.chosen) if former else 0
    total = sum(part.num_epochs for part in recipe.parts) * recipe.num_seeds
    with contextlib.ExitStack() as stack:
        if plan.checkpoint_every:
            say = partial(_say, quiet)
            keep.stopping = stack.enter_context(resume.interrupt_after_epoch(say))
        log = stack.enter_context(tensorboard(watched, done + 1))
        bar = epochs_bar(
            total * (2 if recipe.refit else 1), quiet, group is not None, done,
            compilation(plan.engine),
        )  # fmt: skip
        advance = stack.enter_context(bar)
        return run.train(ratings, plan, contexts, advance, group, keep, log)


def compilation(engine: str) -> tuple[str, Callable[[], object]] | None:
    """Return what `epochs_bar` is to do before an engine can start, if there is anything."""
    if engine != "sparse":
        return None
    from d2l_autorec.training.sparse import compile_kernels, kernels_are_cached

    return None if kernels_are_cached() else ("compiling kernels (once)", compile_kernels)


def _check_range(plan: Plan, ratings: Ratings) -> None:
    found = ratings.table["rating"].to_numpy()
    for part in (plan.recipe, *plan.recipe.members):
        if not isinstance(part.clip, tuple):
            continue
        low, high = part.clip
        if found.min() < np.float32(low) or found.max() > np.float32(high):
            raise InputError(
                f"--rating-range {low:g},{high:g} leaves out some of the ratings, which go from "
                f"{found.min():g} to {found.max():g}; give a wider one."
            )


def _say(quiet: bool, text: str | None) -> None:
    if text and not quiet:
        print(text, file=sys.stderr)
