"""The search for the recipe that is best on validation ratings, with Optuna."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.atomic import this_process
from d2l_autorec.errors import InputError
from d2l_autorec.evaluation.space import recipe_of
from d2l_autorec.evaluation.study import STUDY, Ground, open_study, optuna
from d2l_autorec.training.asked import Prepared
from d2l_autorec.training.engines import Compute
from d2l_autorec.training.fit import fit
from d2l_autorec.training.history import Epoch

if TYPE_CHECKING:
    from optuna import Study, Trial

_TENTHS = 10  # of a trial's epochs: after each it may be pruned


def search(
    ready: Prepared,
    folder: Path,
    seconds: float,
    num_trials: int | None = None,
    advance: Callable[[float, str], object] = lambda seconds, reading: None,
) -> tuple[Study, Ground]:
    """Try recipes until the time is up, and keep each trial in the folder.

    The first trial is the recipe "default", which is never cut short. Other trials are pruned
    after each tenth of their epochs if their best validation RMSE is above the median of the
    former trials' at that point, or, from the third tenth on, above the mean rating's. A stopped
    search can be resumed, and several processes may search in one folder at once.

    Parameters
    ----------
    ready : Prepared
    folder : Path
        Made if it is not there.
    seconds : float
    num_trials : int, optional
        Stop after so many of this process.
    advance : callable
        Told the seconds since it was last told, and how far the search is.

    Returns
    -------
    study : optuna.Study
    ground : Ground

    Raises
    ------
    InputError
        If Optuna is missing, the folder is of other ratings or another split, or the recipe
        "default" cannot be trained.
    """
    library, ground, plan = optuna(), Ground.of(ready), ready.plan
    study = open_study(folder, ground)
    deadline = time.monotonic() + seconds
    clock = _Clock(advance, study)

    def objective(trial: Trial) -> float:
        trial.set_user_attr("process", this_process())
        is_default = bool(trial.user_attrs.get("default"))
        values = {choice.name: choice.suggest(trial) for choice in ground.space}
        recipe = plan.recipe if is_default else recipe_of(values)
        trial.set_user_attr("recipe", recipe.to_dict())
        prune = _Follower(trial, recipe.num_epochs, deadline, ground.mean_rmse)

        def follow(epoch: Epoch) -> None:
            clock.tick()
            if not is_default:
                prune(epoch)

        compute = Compute(plan.engine, ground.contexts, follow=follow)
        once = recipe.but(refit=False)
        try:
            model = fit(
                ground.table, ground.shape, once, plan.seed, split=ground.halves, compute=compute
            )
        except InputError:  # such as one that diverged
            if is_default:
                raise
            raise library.TrialPruned() from None
        assert model.val_rmse is not None
        return model.val_rmse

    try:
        study.optimize(
            objective,
            n_trials=num_trials,
            timeout=max(deadline - time.monotonic(), 0.001),
            callbacks=[lambda study, trial: clock.tick(finished=True)],
        )
    except KeyboardInterrupt:  # as if the time were up
        if not any(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False)):
            raise
    except library.exceptions.StorageInternalError as error:
        raise InputError(
            f"{folder / STUDY} cannot be written ({str(error.__cause__)[:200]}); make room, then "
            "give the same command again to go on."
        ) from None
    return study, ground


class _Clock:
    """Reports the time that has passed and the RMSE of the best trial."""

    def __init__(self, advance: Callable[[float, str], object], study: Study) -> None:
        self.advance, self.study = advance, study
        self.last, self.reading = time.monotonic(), ""

    def tick(self, finished: bool = False) -> None:
        if finished:
            trials = self.study.get_trials(deepcopy=False)
            done = [trial.values[0] for trial in trials if trial.state.name == "COMPLETE"]
            best = f", best {min(done):.4f}" if done else ""
            self.reading = f"{sum(trial.state.is_finished() for trial in trials)} trials{best}"
        now = time.monotonic()
        self.advance(now - self.last, self.reading)
        self.last = now


@dataclass
class _Follower:
    """Prunes a trial that is bad or over time; told of each epoch."""

    trial: Trial
    num_epochs: int
    deadline: float
    mean_rmse: float
    best: float = np.inf
    tenth: int = 0

    def __call__(self, epoch: Epoch) -> None:
        if epoch.rmse is not None:
            self.best = min(self.best, epoch.rmse)
        tenth = _TENTHS * epoch.epoch // self.num_epochs
        due = tenth > self.tenth
        if due:
            self.tenth = tenth
            self.trial.report(self.best, tenth)
        bad = due and (self.trial.should_prune() or (tenth > 2 and self.best > self.mean_rmse))
        if bad or time.monotonic() > self.deadline:
            raise optuna().TrialPruned()
