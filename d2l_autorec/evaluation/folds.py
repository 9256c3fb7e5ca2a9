"""Cross-validation: each rating is held out once."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from d2l_autorec import runs
from d2l_autorec.atomic import lock_folder
from d2l_autorec.data.protocols import folds
from d2l_autorec.errors import InputError
from d2l_autorec.evaluation.intervals import Interval, interval
from d2l_autorec.progress import epochs_bar, tell
from d2l_autorec.training import run
from d2l_autorec.training.asked import Asked, Prepared, prepare
from d2l_autorec.training.distributed.group import group_from_environment
from d2l_autorec.training.session import compilation, follower, most_epochs

SCORES = {"model": "test_rmse", "biases": "biases_rmse", "mean": "mean_rmse"}
"""What is scored on each fold, and the field of the result that holds its RMSE."""


@dataclass(frozen=True)
class Folded:
    """A finished cross-validation."""

    folder: Path  # with run.json, and a folder for each fold as `train` leaves it
    name: str  # of the ratings
    results: list[run.Result]  # one for each fold
    intervals: dict[str, Interval]  # over the folds, of what `SCORES` names
    record: dict[str, Any]  # the content of run.json


def cross_validate(asked: Asked, num_folds: int, quiet: bool = False) -> Folded:
    """Train and score once for each fold.

    The training parts of the folds share most of their ratings, so that the runs are not
    independent: the interval tells how the score varies with the fold. What cannot be used is an
    InputError before anything is written. Ctrl-C leaves the folds that are done, and exits.
    """
    _refuse_others(asked)
    ready = prepare(asked, quiet=quiet)
    plan = ready.plan
    parts = list(folds(len(ready.ratings.table), num_folds, plan.seed))
    folder = runs.new_folder(asked.out, f"folds-seed{plan.seed}")
    results: list[run.Result] = []
    try:
        with lock_folder(folder):
            _train_each(ready, parts, folder, results, quiet)
            intervals = {
                name: interval([getattr(result, field) for result in results])
                for name, field in SCORES.items()
            }
            record = {
                "command": "train",
                "plan": {**plan.to_dict(), "split": f"{num_folds} folds"},
                "folds": [asdict(result) for result in results],
                "intervals": {name: asdict(found) for name, found in intervals.items()},
            }
            runs.write_record(folder, record)
    except KeyboardInterrupt:
        done = f"{len(results)} of {num_folds} folds"
        tell(f"d2l-autorec: Stopped after {done}; these are in {folder}.")
        sys.exit(130)
    finally:
        if not results:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is empty
    return Folded(folder, ready.ratings.name, results, intervals, record)


def _train_each(
    ready: Prepared, parts: list[run.Split], folder: Path, results: list[run.Result], quiet: bool
) -> None:
    epochs = len(parts) * most_epochs(ready.plan.recipe)
    with epochs_bar(epochs, quiet, before=compilation(ready.plan.engine)) as advance:
        for number, rows in enumerate(parts, 1):
            plan = replace(ready.plan, split=f"fold {number} of {len(parts)}")
            model, result, history = run.train(
                ready.ratings, plan, ready.contexts, follower(advance), rows=rows
            )
            record = run.record(replace(plan, recipe=model.recipe), result)
            runs.save(folder / f"fold-{number}", record, *run.history_table(history))
            results.append(result)


def _refuse_others(asked: Asked) -> None:
    excluded = {
        "--split": "split" in asked.plan,
        "--test": asked.test is not None,
        "--test-ratio": "test_ratio" in asked.plan,
        "--save": asked.save,
        "--checkpoint-every": bool(asked.plan.get("checkpoint_every")),
        "--tensorboard": asked.tensorboard is not None,
    }
    reasons = {"--save": ", since each fold's model lacks some of the ratings"}
    for option, given in excluded.items():
        if given:
            why = reasons.get(option, "")
            raise InputError(f"--folds and {option} exclude each other{why}; leave out one.")
    if group_from_environment() is not None:
        raise InputError("--folds is for one process; leave out launch.")
