"""The outcome of a search for a recipe."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from d2l_autorec.evaluation.study import Ground, optuna
from d2l_autorec.models.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study
    from optuna.trial import FrozenTrial

_ENOUGH = 10  # completed trials, for importances


@dataclass(frozen=True)
class Brought:
    """The effect of one choice on the RMSE."""

    name: str  # of the recipe's field
    best: dict[str, float]  # the lowest validation RMSE for each group of its values
    importance: float | None  # share in telling good trials from bad, by PED-ANOVA; None for few


@dataclass(frozen=True)
class Findings:
    """The outcome of a search: the recipe with the lowest validation RMSE, and others' RMSE."""

    best: Recipe
    is_default: bool  # whether the best is the recipe "default" itself
    best_rmse: float
    default_rmse: float
    biases_rmse: float
    mean_rmse: float
    counts: dict[str, int]  # of the trials that were complete, pruned or failed
    brought: tuple[Brought, ...]  # the more important choices first

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**asdict(self), "best": self.best.to_dict()}


def findings(study: Study, ground: Ground) -> Findings | None:
    """Return the outcome of a search; None while the recipe "default" has no result."""
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    defaults = [trial for trial in done if trial.user_attrs.get("default")]
    if not defaults:
        return None
    best = min(done, key=_rmse)
    states = Counter(trial.state.name for trial in trials)
    counts = {word: states[word.upper()] for word in ("complete", "pruned")}
    counts["failed"] = states["FAIL"]
    importance: dict[str, float] = {}
    if len(done) >= _ENOUGH:
        library = optuna().importance
        evaluator = library.PedAnovaImportanceEvaluator()
        importance = library.get_param_importances(study, evaluator=evaluator)
    brought = []
    for choice in ground.space:
        lowest = {
            name: min(rmses)
            for name, belongs in choice.groups.items()
            if (rmses := [_rmse(t) for t in done if belongs(t.params[choice.name])])
        }
        brought.append(Brought(choice.name, lowest, importance.get(choice.name)))
    return Findings(
        best=Recipe.from_dict(best.user_attrs["recipe"]),
        is_default=bool(best.user_attrs.get("default")),
        best_rmse=_rmse(best),
        default_rmse=_rmse(defaults[0]),
        biases_rmse=ground.biases_rmse,
        mean_rmse=ground.mean_rmse,
        counts=counts,
        brought=tuple(sorted(brought, key=lambda each: -(each.importance or 0))),
    )


def trials_table(study: Study, ground: Ground) -> pd.DataFrame:
    """Return a row for each finished trial: number, state, validation RMSE, seconds, values."""
    import pandas as pd

    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "default": bool(trial.user_attrs.get("default")),
            "val_rmse": trial.values[0] if trial.state.name == "COMPLETE" else None,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            **{choice.name: trial.params.get(choice.name) for choice in ground.space},
        }
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
    ]
    return pd.DataFrame(rows)


def _rmse(trial: FrozenTrial) -> float:
    assert trial.values is not None
    return trial.values[0]
