"""The memory that a training run needs at least, against what there is."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, NamedTuple

from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import memory_there
from d2l_autorec.training.plan import Plan

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings

_FLOAT = 4  # bytes
_OF_WEIGHTS = {"fast": 4, "sparse": 3}  # weights and moments; the dense engine's gradients
_OF_BATCH = {"fast": 4, "sparse": 0}  # ratings, mask, output and error, (batch, columns)


class Shared(NamedTuple):
    """How many workers share a run, and how many of them are on this machine."""

    workers: int = 1
    here: int = 1


ALONE = Shared()


def shared_here(workers: int) -> Shared:
    """Return what `launch` has told this worker; without it, that it is alone on its machine."""
    told = os.environ.get("D2L_AUTOREC_WORKERS_HERE", "") if workers > 1 else ""
    return Shared(workers, int(told) if told.isdecimal() else 1)


class Size(NamedTuple):
    """How many users, items and ratings there are."""

    users: int
    items: int
    ratings: int = 0

    @classmethod
    def of(cls, ratings: Ratings) -> Size:
        """Count them."""
        return cls(ratings.num_users, ratings.num_items, len(ratings.table))


def needed(recipe: Recipe, engine: str, size: Size, shared: Shared = ALONE) -> int:
    """Return the bytes that a recipe needs at least, while its largest network is trained.

    What Python, MXNet and the table of ratings take comes on top. Of several workers each has all
    weights to begin and to end with, and its share of the rest.
    """
    largest = max(_of_network(part, recipe, engine, size, shared) for part in recipe.parts)
    return largest + shared.here * size.ratings * _of_rating(recipe)


def _of_network(part: Recipe, recipe: Recipe, engine: str, size: Size, shared: Shared) -> int:
    rows, cols = part.architecture.oriented(size.users, size.items)
    weights = sum(map(math.prod, part.architecture.weight_shapes(cols).values()))
    kept = bool(recipe.val_ratio)  # the weights of the best epoch
    others = weights * (_OF_WEIGHTS[engine] - 1 + kept)
    others += min(part.batch_size, rows) * cols * _OF_BATCH[engine]
    return _FLOAT * shared.here * (weights + -(-others // shared.workers))


def _of_rating(recipe: Recipe) -> int:
    """Return the bytes of a rating: its row's number, and its place and value in matrices."""
    scaled = any(part.targets != "stars" for part in recipe.parts)  # shares the places
    return 16 + 8 * recipe.refit + 4 * scaled


def check_memory(plan: Plan, size: Size, shared: Shared = ALONE) -> None:
    """Raise an InputError if a run needs more memory than there is on this machine.

    The sentence says which engine or which setting would fit. On a GPU, or where the system does
    not tell how much memory there is, nothing is refused.
    """
    there = memory_there()
    need = needed(plan.recipe, plan.engine, size, shared)
    if there is None or need <= there:
        return
    largest = max(plan.recipe.parts, key=lambda part: sum(part.architecture.hidden))
    hidden = ",".join(map(str, largest.architecture.hidden))
    what = f"--engine {plan.engine} with --hidden {hidden}"
    if shared.here > 1:
        what += f" in {shared.here} workers on this machine"
    raise InputError(
        f"{what} would need at least {_gb(need)} of memory, and {_gb(there)} are there; "
        f"{_remedy(plan, size, there, shared)}."
    )


def _remedy(plan: Plan, size: Size, there: int, shared: Shared) -> str:
    recipe = plan.recipe
    other = needed(recipe, "sparse", size, shared)
    if plan.engine == "fast" and other <= there:
        return f"use --engine sparse, which needs {_gb(other)} or more"
    left = there - shared.here * size.ratings * _of_rating(recipe)
    low, high = 0, max(width for part in recipe.parts for width in part.architecture.hidden)
    while high - low > 1:
        width = (low + high) // 2
        narrower = [
            part.but(hidden=tuple(min(width, n) for n in part.architecture.hidden))
            for part in recipe.parts
        ]
        needs = [_of_network(part, recipe, "sparse", size, shared) for part in narrower]
        low, high = (width, high) if max(needs) <= left else (low, width)
    if low:
        return f"use --engine sparse with --hidden {low} or less"
    return "train on fewer users and items, or on a machine with more memory"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
