"""The ratings, the SQLite study and the folder of a search."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec import runs
from d2l_autorec.atomic import has_ended, is_leftover, lock_folder
from d2l_autorec.data.split import holdout_split, split_digest
from d2l_autorec.errors import InputError, refused
from d2l_autorec.evaluation.space import Choice, choices, first_values
from d2l_autorec.evaluation.space import base as base_recipe
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import to_toml
from d2l_autorec.packages import require
from d2l_autorec.paths import check_new_file, kind
from d2l_autorec.training import run
from d2l_autorec.training.asked import Prepared

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study

STUDY = "study.db"
_WAIT = 60.0  # seconds for another process to let go of the folder


def optuna() -> ModuleType:
    """Import the library, silenced."""
    optuna = require("optuna", "tune", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@dataclass(frozen=True, eq=False)
class Ground:
    """The ratings that a search may use: the training part only."""

    table: pd.DataFrame
    halves: tuple[np.ndarray, np.ndarray]  # rows to train on and for validation, those of `train`
    shape: tuple[int, int]  # users, items
    plan: run.Plan  # with what the recipe "default" stands for here
    contexts: tuple[Any, ...]
    digests: dict[str, str]  # of the data, the test rows and the validation rows
    mean_rmse: float  # on the validation ratings, as the next
    biases_rmse: float  # of user and item biases

    @classmethod
    def of(cls, ready: Prepared) -> Ground:
        """Return the training part of the split that `train` would make."""
        ratings, plan = ready.ratings, ready.plan
        train_rows, test_rows = run.split(ratings, plan, ready.rows)
        table = ratings.table.iloc[train_rows]
        halves = holdout_split(len(table), base_recipe().val_ratio, plan.seed)
        shape = (ratings.num_users, ratings.num_items)
        kept, held_out = (table.iloc[rows] for rows in halves)
        digests = {
            "data_digest": ratings.digest,
            "split_digest": split_digest(test_rows),
            "validation_digest": split_digest(halves[1]),
        }
        scores = run.baselines(kept, shape, held_out)
        return cls(table, halves, shape, plan, tuple(ready.contexts), digests, *scores)

    @property
    def space(self) -> tuple[Choice, ...]:
        """What is chosen."""
        return choices(len(self.table), *self.shape)


def open_study(folder: Path, ground: Ground) -> Study:
    """Create or resume the study in a folder.

    An InputError says that it is of other ratings or another split, or cannot be used.
    """
    library = optuna()
    path = folder / STUDY
    with locked(folder):
        new = not kind(path)
        seed = ground.plan.seed if new else None  # other processes of one study draw other trials
        address = f"sqlite:///{path.resolve().as_posix()}"
        patient = {"connect_args": {"timeout": _WAIT}}
        try:
            study: Study = library.create_study(
                study_name="tune",
                storage=library.storages.RDBStorage(address, engine_kwargs=patient),
                load_if_exists=True,
                sampler=library.samplers.TPESampler(n_startup_trials=20, seed=seed),
                pruner=library.pruners.MedianPruner(n_startup_trials=6, n_warmup_steps=1),
            )
            if not study.user_attrs:
                for name, digest in ground.digests.items():
                    study.set_user_attr(name, digest)
            had = {name: study.user_attrs.get(name) for name in ground.digests}
            trials = study.get_trials(deepcopy=False)
        except Exception as error:  # of SQLAlchemy and Optuna, which have many kinds
            said = str(getattr(error, "orig", error)).split("\n")[0][:200]
            raise InputError(f"{path} cannot be used ({said}); name a new --out.") from None
        if had != ground.digests:
            raise InputError(
                f"{folder} holds a search on other ratings or another split; give what it was "
                "begun with, or name a new --out."
            )
        for trial in trials:
            process = trial.user_attrs.get("process")
            if trial.state.name == "RUNNING" and process and has_ended(process):
                study.tell(trial.number, state=library.trial.TrialState.FAIL)
        alive = [t for t in study.get_trials(deepcopy=False) if t.state.name != "FAIL"]
        if not any(t.user_attrs.get("default") for t in alive):
            first, *others = first_values(ground.plan.recipe, ground.space)
            study.enqueue_trial(first, user_attrs={"default": True})
            for values in others if new else ():
                study.enqueue_trial(values)
    return study


def folder_of(out: Path) -> Path:
    """Return the folder of the search whose recipe a file is for.

    An InputError says that the file cannot be made, or that the folder holds something else.
    """
    folder = out.with_suffix(".tune")
    if kind(folder / STUDY) == "file" and out.suffix == ".toml":
        return folder
    check_new_file("--out", out, (".toml",))
    found = kind(folder)
    if found and (found != "folder" or not all(map(is_leftover, folder.iterdir()))):
        raise InputError(f"--out {out}: {folder} is there and holds no search; name another file.")
    return folder


def keep(folder: Path, out: Path, record: dict[str, Any], best: Recipe, trials: str) -> None:
    """Write ``trials.csv``, ``run.json`` and the recipe; raise an InputError if one cannot be."""
    found = record["found"]
    said = f"validation RMSE {found['best_rmse']:.4f}, of default {found['default_rmse']:.4f}"
    with locked(folder):
        runs.write(folder / "trials.csv", trials)
        runs.write_record(folder, record)
        runs.write(out, f"# Found by d2l-autorec tune: {said}.\n{to_toml(best)}")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder if needed, wait for its lock, and hold it."""
    with refused(f"{folder} cannot be made", "name another --out"):
        folder.mkdir(parents=True, exist_ok=True)
    limit = time.monotonic() + _WAIT
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock_folder(folder))
                break
            except InputError:
                if time.monotonic() > limit:
                    raise
                time.sleep(0.1)
        yield
