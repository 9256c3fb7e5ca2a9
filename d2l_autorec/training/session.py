"""The train command: start or resume a run, and write its folder."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from d2l_autorec import runs
from d2l_autorec.atomic import lock_folder
from d2l_autorec.data.formats import Ratings
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import find_recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.paths import kind
from d2l_autorec.progress import epochs_bar, tell
from d2l_autorec.training import checkpoint, resume, run
from d2l_autorec.training.asked import Asked, Prepared, prepare, with_whole_path
from d2l_autorec.training.distributed.group import Group, group_from_environment
from d2l_autorec.training.engines import choose_draws
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.plan import Plan
from d2l_autorec.training.tensorboard import tensorboard

_TRAINED_ON = {
    False: "training ratings",
    True: "all ratings; the result is of the model trained on the training ratings alone",
}
SaveModel = Callable[[Path, TrainedModel, Ratings, dict[str, Any]], None]


@dataclass(frozen=True)
class Done:
    """A finished run, with the content of its table and of ``run.json``."""

    folder: Path
    name: str
    plan: Plan
    result: run.Result
    record: dict[str, Any]


def begin(asked: Asked, save_model: SaveModel, quiet: bool = False) -> Done | None:
    """Train in a new folder.

    ``save_model`` writes a model folder. The outcome is None on all workers of a group but the
    first.

    Raises
    ------
    InputError
        If something given cannot be used, before anything is written; or if the disk is full.
    SystemExit
        130 after Ctrl-C.
    """
    asked.check_split()
    return _train(asked, None, save_model, quiet)


def go_on(folder: Path, asked: Asked, save_model: SaveModel, quiet: bool = False) -> Done | None:
    """Resume an interrupted run in its folder; otherwise as `begin`.

    What is not asked for is taken from the checkpoint. Raises an InputError, too, if there is no
    checkpoint to go on from, or if an option contradicts it.
    """
    former = checkpoint.load(folder)
    own = Asked.from_kept(former.options, folder)
    if asked.save and not own.save and asked.plan.get("all_ratings") is None:
        former = replace(former, plan=replace(former.plan, all_ratings=True))
    if asked.recipe is not None:
        recipe = find_recipe(asked.recipe).recipe.but(**asked.changes)
        if recipe != former.plan.recipe:
            raise InputError("--recipe cannot be changed with --resume; leave it out.")
    plan = resume.plan_to_go_on(former.plan, asked.changes, with_whole_path(asked.plan))
    if asked.test is not None and own.test is None:
        raise InputError(f"--test: the run has --split {former.plan.split}; leave it out.")
    if former.scored is not None and plan.recipe != former.plan.recipe:
        raise InputError(
            "--epochs cannot be raised any more: the model has been scored and is being trained "
            "again on all ratings; leave it out."
        )
    wanted = {"devices": asked.devices, "out": asked.out}
    given = {name: value for name, value in wanted.items() if value is not None}
    resume.refuse_others(given, {**vars(own), "devices": own.devices or "cpu"})
    own = replace(
        own,
        data=asked.data or own.data,  # their digest is compared
        save=asked.save or own.save,
        tensorboard=asked.tensorboard or own.tensorboard,
        test=asked.test or own.test,
    )
    return _train(own, replace(former, plan=plan), save_model, quiet)


def _train(
    asked: Asked, former: checkpoint.Checkpoint | None, save_model: SaveModel, quiet: bool
) -> Done | None:
    group = group_from_environment()
    first = group is None or group.is_first
    quiet = quiet or not first
    say = partial(tell, quiet=quiet)
    ready = prepare(asked, former, quiet, group.num_workers if group else 1)
    ratings, plan = ready.ratings, ready.plan
    folder, new, held = asked.out or Path(), False, contextlib.ExitStack()
    begins = former is None and first
    if begins:
        folder = runs.new_folder(asked.out, f"train-seed{plan.seed}", make=False)
        new = not kind(folder)
    if former is not None:
        say(resume.other_computation(former.computed_with[-1], checkpoint.computed_with(group)))
    wanted = plan.recipe.parts[0].draws
    if wanted != choose_draws(plan.recipe.parts[0], plan.engine) == "numpy":
        say("MXNet is not here: the random draws are NumPy's, not the book's.")
    elif plan.checkpoint_every and wanted == "book" and former is None:
        say("Draws are seeded for each epoch, for the checkpoints, and so are not the book's.")
    keep = checkpoint.Keep(folder, asked.kept(), former)
    try:
        if begins:
            runs.new_folder(folder, "")
        if first:
            held.enter_context(lock_folder(folder))
        watched = asked.tensorboard if first else None
        model, scored = _epochs(ready, watched, group, keep, quiet)
        if group is not None:
            group.close()
        if not first:
            return None
        record = run.record(replace(plan, recipe=scored.recipe), scored.result)
        if asked.test is not None:
            record["test_file"] = str(asked.test.resolve())
        if asked.save:
            record["saved"] = {
                "trained_on": _TRAINED_ON[plan.all_ratings],
                "num_ratings": int(model.ratings.nnz),
                "epochs": [network.epoch for network in model.networks],
            }
            # A former process may have been stopped just before it wrote run.json.
            shutil.rmtree(folder / "model", ignore_errors=True)
            save_model(folder / "model", model, ratings, record)
        runs.save(folder, record, *run.history_table(scored.history))
    except KeyboardInterrupt:
        tell(f"d2l-autorec: {resume.farewell(folder)}")
        sys.exit(130)
    finally:
        held.close()
        if new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is empty
    return Done(folder, ratings.name, plan, scored.result, record)


def _epochs(
    ready: Prepared, watched: Path | None, group: Group | None, keep: checkpoint.Keep, quiet: bool
) -> tuple[TrainedModel, run.Scored]:
    """Train and score and, if the plan says so, train again on all ratings."""
    ratings, plan, contexts = ready.ratings, ready.plan, ready.contexts
    former = keep.former
    scored = run.Scored.from_dict(former.scored) if former and former.scored else None
    done = len(former.history) + len(former.chosen) if former else 0
    with contextlib.ExitStack() as stack:
        if plan.checkpoint_every:
            say = partial(tell, quiet=quiet)
            keep.stopping = stack.enter_context(resume.interrupt_after_epoch(say))
        bar = partial(epochs_bar, quiet=quiet, lines=group is not None)
        before = compilation(plan.engine)
        if scored is None:
            total = most_epochs(plan.recipe)
            with tensorboard(watched, done + 1) as log, bar(total, done=done, before=before) as on:
                follow = follower(on, log)
                model, result, history = run.train(
                    ratings, plan, contexts, follow, group, keep, ready.rows
                )
            scored, done, before = run.Scored.of(model, result, history), 0, None
            if plan.all_ratings:
                del model  # not beside the next one
        if plan.all_ratings:
            total, label = sum(scored.epochs), "training on all ratings"
            with bar(total, done=done, before=before, label=label) as on:
                model = run.train_on_all(
                    ratings, plan, scored, contexts, follower(on), group, keep
                )
        return model, scored


def follower(
    advance: Callable[[float, float | None], None],
    log: Callable[[Epoch], None] = lambda epoch: None,
) -> Callable[[Epoch], None]:
    """Return what advances a bar and logs, to be told of each epoch."""

    def follow(epoch: Epoch) -> None:
        advance(epoch.train_loss, epoch.rmse)
        log(epoch)

    return follow


def most_epochs(recipe: Recipe) -> int:
    """Return the epochs of all networks that a recipe trains, at most, for a progress bar."""
    epochs = sum(part.num_epochs for part in recipe.parts) * recipe.num_seeds
    return epochs * (2 if recipe.refit else 1)


def compilation(engine: str) -> tuple[str, Callable[[], object]] | None:
    """Return what `epochs_bar` is to do before an engine can start, if there is anything."""
    if engine != "sparse":
        return None
    from d2l_autorec.training.sparse import compile_kernels, kernels_are_cached

    return None if kernels_are_cached() else ("compiling kernels (once)", compile_kernels)
