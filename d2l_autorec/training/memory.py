"""The memory that a training run needs at least, against what there is."""

from __future__ import annotations

import math

from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import memory_there
from d2l_autorec.training.plan import Plan

_FLOAT = 4  # bytes
_OF_WEIGHTS = 4  # weights and moments; gradients, or a copy to start from
_OF_BATCH = {"fast": 4, "sparse": 0}  # ratings, mask, output and error, (batch, columns)


def needed(recipe: Recipe, engine: str, num_users: int, num_items: int) -> int:
    """Return the bytes that the largest network of a recipe needs at least, while it trains.

    What Python, MXNet and the ratings take comes on top.
    """
    return max(_needed(part, engine, num_users, num_items) for part in recipe.parts)


def _needed(recipe: Recipe, engine: str, num_users: int, num_items: int) -> int:
    rows, cols = recipe.architecture.oriented(num_users, num_items)
    weights = _num_weights(recipe.architecture, cols) * _OF_WEIGHTS
    return _FLOAT * (weights + min(recipe.batch_size, rows) * cols * _OF_BATCH[engine])


def _num_weights(architecture: Architecture, cols: int) -> int:
    return sum(map(math.prod, architecture.weight_shapes(cols).values()))


def check_memory(plan: Plan, num_users: int, num_items: int) -> None:
    """Raise an InputError if a run needs more memory than there is.

    The sentence says which engine or which setting would fit. On a GPU, or where the system does
    not tell how much memory there is, nothing is refused.
    """
    there = memory_there()
    need = needed(plan.recipe, plan.engine, num_users, num_items)
    if there is None or need <= there:
        return
    what = f"--engine {plan.engine} with --hidden {_hidden(plan.recipe)}"
    raise InputError(
        f"{what} would need at least {_gb(need)} of memory, and {_gb(there)} are there; "
        f"{_remedy(plan, num_users, num_items, there)}."
    )


def _remedy(plan: Plan, num_users: int, num_items: int, there: int) -> str:
    if plan.engine == "fast":
        other = needed(plan.recipe, "sparse", num_users, num_items)
        if other <= there:
            return f"use --engine sparse, which needs {_gb(other)} or more"
    low, high = 0, max(size for part in plan.recipe.parts for size in part.architecture.hidden)
    while high - low > 1:
        size = (low + high) // 2
        of_size = [
            part.but(hidden=tuple(min(size, n) for n in part.architecture.hidden))
            for part in plan.recipe.parts
        ]
        fits = max(_needed(part, "sparse", num_users, num_items) for part in of_size) <= there
        low, high = (size, high) if fits else (low, size)
    if low:
        return f"use --engine sparse with --hidden {low} or less"
    return "train on fewer users and items, or on a machine with more memory"


def _hidden(recipe: Recipe) -> str:
    """Return the hidden sizes of the part with most weights, as the option has them."""
    largest = max(recipe.parts, key=lambda part: sum(part.architecture.hidden))
    return ",".join(map(str, largest.architecture.hidden))


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
