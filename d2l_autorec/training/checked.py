"""Checks of a checkpoint: the type of each part, then whether it fits the ratings."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.plan import Plan, check_seed

if TYPE_CHECKING:
    from d2l_autorec.training.checkpoint import Checkpoint

Arrays = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]

_LARGEST = 2**53  # of a count


def checked_fields(described: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the fields of a `Checkpoint`, each of the type that it must have.

    ``described`` is the file's description without the format; ``arrays`` are from the file.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a part is missing or is something else.
    """
    try:
        plan = Plan.from_dict(described.pop("plan"))
        check_seed(plan.seed)
    except InputError as error:
        raise ValueError(str(error)) from None
    chosen, history = (_epochs(described.pop(name)) for name in ("chosen", "history"))
    computed_with = tuple(
        (_count(threads), _count(workers)) for threads, workers in described.pop("computed_with")
    )
    rest = arrays.pop("rest")
    _count(described["step"])
    _number(described["seconds"])
    _number(described.get("weight", 1.0))
    if described.get("val_rmse") is not None:
        _number(described["val_rmse"])
    sound = [
        plan.checkpoint_every >= 1 and plan.recipe.num_networks == 1,
        not chosen or plan.recipe.refit,
        all(epoch.scored == "validation" and epoch.rmse is not None for epoch in chosen),
        *(re.fullmatch("[0-9a-f]{64}", described[f"{of}_digest"]) for of in ("data", "split")),
        isinstance(described["options"], dict),
        _number(described.get("gain", 1.0)) <= 1,
        isinstance(described.get("scored"), (dict, type(None))),
        history and computed_with,
        rest.ndim == 1 and rest.dtype == np.int64,
    ]
    if not all(sound):
        raise ValueError("a field")
    parts: dict[str, Arrays] = {"arrays": {}, "best_weights": {}}
    for full_name, array in arrays.items():
        kind, _, name = full_name.partition("/")
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(full_name)
        parts[kind][name] = array
    read = {"plan": plan, "chosen": chosen, "history": history, "computed_with": computed_with}
    return {**read, "rest": rest, **parts, **described}


def _epochs(entries: Any) -> tuple[Epoch, ...]:
    """Take the epochs of one network's training, numbered from 1."""
    epochs = tuple(Epoch(**entry) for entry in entries)
    for number, epoch in enumerate(epochs, 1):
        _number(epoch.seconds)
        _number(epoch.train_loss)
        if epoch.rmse is not None:
            _number(epoch.rmse)
        sound = [
            (type(epoch.epoch), epoch.epoch, epoch.network) == (int, number, 1),
            type(epoch.refit) is bool and epoch.refit == epochs[0].refit,
            epoch.scored in ("test", "validation") and epoch.scored == epochs[0].scored,
        ]
        if not all(sound):
            raise ValueError("epoch")
    return epochs


def _number(value: Any) -> float:
    """Take a finite number of 0 or more."""
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError("number")
    return value


def _count(value: Any) -> int:
    """Take a whole number of at least 1."""
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise ValueError("count")
    return value


def check_fits(
    former: Checkpoint,
    recipe: Recipe,
    num_rows: int,
    shapes: tuple[Shapes, Shapes],
    scored: str | None,
    refit: bool,
    num_epochs: int,
) -> None:
    """Raise an InputError unless a checkpoint can be of a network's training.

    It is trained on ``num_rows`` rows until ``num_epochs``, a second time for a ``refit``, and
    ``scored`` on "test" or "validation" ratings, if on any. ``shapes`` are those of the arrays,
    and of the weights kept as the best: `engines.array_shapes`.
    """
    best_shapes = shapes[1] if scored == "validation" else {}
    for arrays, needed in ((former.arrays, shapes[0]), (former.best_weights, best_shapes)):
        if {name: array.shape for name, array in arrays.items()} != needed:
            raise _unfit("arrays")
    for name, array in former.arrays.items():
        if _variance(name, array).min(initial=0.0) < 0:
            raise _unfit("arrays")
    epochs = former.history
    expected = (refit, scored or "test", scored is None)
    found = {(epoch.refit, epoch.scored, epoch.rmse is None) for epoch in epochs}
    if found != {expected} or len(epochs) > num_epochs:
        raise _unfit("epochs")
    rows, rest = len(epochs) * num_rows, former.rest
    if former.step * recipe.batch_size + len(rest) != rows or len(rest) >= recipe.batch_size:
        raise _unfit("steps")
    if len(rest) and not (rest.min() >= 0 and rest.max() < num_rows):
        raise _unfit("rows left over")


def _variance(name: str, array: np.ndarray) -> np.ndarray:
    """Return Adam's second moment in an array of either engine's state, if it holds one."""
    if name.endswith("_var"):
        return array
    if name.endswith("_moments"):
        return array[:, 1]
    return array[:, 2] if name == "out_bias" else array[:0]


def _unfit(what: str) -> InputError:
    return InputError(
        f"--resume: the {what} in checkpoint.npz do not fit its settings: the file is damaged; "
        "start the run again in a new folder."
    )
