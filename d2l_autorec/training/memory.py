"""The memory that a training run needs at least, against what there is."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import memory_there
from d2l_autorec.training.plan import Plan

_FLOAT = 4  # bytes
_OF_WEIGHTS = 4  # weights and moments; gradients, or a copy to start from
_OF_BATCH = {"fast": 4, "sparse": 0}  # ratings, mask, output and error, (batch, columns)


@dataclass(frozen=True)
class Shared:
    """How many workers share a run, and how many of them are on this machine."""

    workers: int = 1
    here: int = 1


def shared_here(workers: int) -> Shared:
    """Return what `launch` has told this worker; without it, that it is alone on its machine."""
    told = os.environ.get("D2L_AUTOREC_WORKERS_HERE", "") if workers > 1 else ""
    return Shared(workers, int(told) if told.isdecimal() else 1)


def needed(
    recipe: Recipe, engine: str, num_users: int, num_items: int, shared: Shared = Shared()
) -> int:
    """Return the bytes that the largest network of a recipe needs at least, while it trains.

    What Python, MXNet and the ratings take comes on top. Of several workers each has all weights
    to begin and to end with, and its share of the rest.
    """
    return max(_needed(part, engine, num_users, num_items, shared) for part in recipe.parts)


def _needed(recipe: Recipe, engine: str, num_users: int, num_items: int, shared: Shared) -> int:
    rows, cols = recipe.architecture.oriented(num_users, num_items)
    weights = _num_weights(recipe.architecture, cols)
    parts = weights * (_OF_WEIGHTS - 1)
    parts += min(recipe.batch_size, rows) * cols * _OF_BATCH[engine]
    return _FLOAT * shared.here * (weights + -(-parts // shared.workers))


def _num_weights(architecture: Architecture, cols: int) -> int:
    return sum(map(math.prod, architecture.weight_shapes(cols).values()))


def check_memory(plan: Plan, num_users: int, num_items: int, shared: Shared = Shared()) -> None:
    """Raise an InputError if a run needs more memory than there is on this machine.

    The sentence says which engine or which setting would fit. On a GPU, or where the system does
    not tell how much memory there is, nothing is refused.
    """
    there = memory_there()
    need = needed(plan.recipe, plan.engine, num_users, num_items, shared)
    if there is None or need <= there:
        return
    what = f"--engine {plan.engine} with --hidden {_hidden(plan.recipe)}"
    if shared.here > 1:
        what += f" in {shared.here} workers on this machine"
    raise InputError(
        f"{what} would need at least {_gb(need)} of memory, and {_gb(there)} are there; "
        f"{_remedy(plan, num_users, num_items, there, shared)}."
    )


def _remedy(plan: Plan, num_users: int, num_items: int, there: int, shared: Shared) -> str:
    if plan.engine == "fast":
        other = needed(plan.recipe, "sparse", num_users, num_items, shared)
        if other <= there:
            return f"use --engine sparse, which needs {_gb(other)} or more"
    low, high = 0, max(size for part in plan.recipe.parts for size in part.architecture.hidden)
    while high - low > 1:
        size = (low + high) // 2
        of_size = [
            part.but(hidden=tuple(min(size, n) for n in part.architecture.hidden))
            for part in plan.recipe.parts
        ]
        sizes = [_needed(part, "sparse", num_users, num_items, shared) for part in of_size]
        fits = max(sizes) <= there
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
