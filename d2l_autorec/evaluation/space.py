"""The recipes that `tune` chooses among."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import eq, ge, lt
from typing import TYPE_CHECKING, Any

from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import DENSE, RECIPES

if TYPE_CHECKING:
    from optuna import Trial

PATIENCE = 10  # epochs without a better validation RMSE after which a trial's training ends
_MAX_CODES = 50_000_000  # weights of a layer that still train in reasonable time and memory
_PLAIN = Recipe(objective="sum", clip="ratings", schedule="cosine", draws="numpy")


@dataclass(frozen=True)
class Choice:
    """A field of the recipe and its values: some of them, or a range of numbers."""

    name: str  # as `Recipe.but` takes it
    values: tuple[Any, ...]  # all of them ("each"), or the lowest and the highest
    scale: str = "each"  # "whole" or "log" (real numbers) are logarithmic, "share" steps by 0.05

    def suggest(self, trial: Trial) -> Any:
        """Take a value for a trial."""
        if self.scale == "each":
            return trial.suggest_categorical(self.name, self.values)
        low, high = self.values
        if self.scale == "whole":
            return trial.suggest_int(self.name, low, high, log=True)
        if self.scale == "log":
            return float(f"{trial.suggest_float(self.name, low, high, log=True):.4g}")
        return round(trial.suggest_float(self.name, low, high, step=0.05), 2)

    def nearest(self, value: Any) -> Any:
        """Return the value of this choice that is nearest to another one."""
        if self.scale == "each":
            return value if value in self.values else self.values[0]
        low, high = self.values
        value = min(max(value, low), high)
        return round(value * 20) / 20 if self.scale == "share" else value

    @property
    def groups(self) -> dict[str, Callable[[Any], bool]]:
        """Return the values in groups to compare: each value, or halves of the range."""
        if self.scale == "each":
            return {str(value): partial(eq, value) for value in self.values}
        low, high = self.values
        middle = (low + high) / 2 if self.scale == "share" else math.sqrt(low * high)
        shown = f"{middle:.2g}" if middle < 1 else f"{middle:.0f}"
        return {f"up to {shown}": partial(ge, float(shown)), "above": partial(lt, float(shown))}


def choices(num_ratings: int, num_users: int, num_items: int) -> tuple[Choice, ...]:
    """Return the choices of a search for ratings of some size.

    The fewer the ratings, the more epochs: an epoch has one update for every batch of rows. The
    targets "stars" are for dense ratings only: where a row has few, the network does not learn
    their level.
    """
    dense = num_ratings >= DENSE * num_users * num_items
    widest = max(num_users, num_items)
    epochs = (20, 200) if num_ratings < 10_000 else (10, 100)
    if num_ratings > 2_000_000:
        epochs = (5, 40)
    return (
        Choice("by", ("item", "user")),
        Choice("targets", ("biases", "mean", "stars") if dense else ("biases", "mean")),
        Choice("encoder", ("sigmoid", "tanh", "relu", "identity")),
        Choice("hidden", (16, min(1000, max(64, _MAX_CODES // widest))), "whole"),
        Choice("lam", (3.0, 1000.0), "log"),
        Choice("lr", (2e-4, 2e-2), "log"),
        Choice("dropout", (0.0, 0.7), "share"),
        Choice("input_dropout", (0.0, 0.5), "share"),
        Choice("num_epochs", epochs, "whole"),
    )


def base() -> Recipe:
    """Return the recipe "default", or the first of its networks where it has several."""
    default = RECIPES["default"]
    return default.parts[0].but(val_ratio=default.val_ratio, refit=True)


def values_of(recipe: Recipe, space: tuple[Choice, ...]) -> dict[str, Any]:
    """Return the values of the choices that are nearest to a recipe of one network."""
    given = {"lam": 30.0, **recipe.to_dict(), "hidden": recipe.architecture.hidden[0]}
    return {choice.name: choice.nearest(given[choice.name]) for choice in space}


def first_values(default_recipe: Recipe, space: tuple[Choice, ...]) -> list[dict[str, Any]]:
    """Return the values to begin with: those of the recipe "default", and two other ways."""
    default = values_of(default_recipe, space)
    other = {"item": "user", "user": "item"}[default["by"]]
    strong = {"encoder": "tanh", "lam": 300.0, "dropout": 0.5, "input_dropout": 0.3}
    return [default, {**default, "by": other}, {**default, **strong}]


def recipe_of(values: dict[str, Any]) -> Recipe:
    """Return the recipe with these values; the rest is as in the recipe "default".

    If the two do not go together, the rest is plain: summed errors and a cosine schedule.
    """
    changes = {**values, "hidden": (values["hidden"],), "patience": PATIENCE}
    try:
        return base().but(**changes)
    except InputError:
        return _PLAIN.but(val_ratio=base().val_ratio, refit=True, **changes)
