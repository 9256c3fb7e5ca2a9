"""The plan of a training run: a recipe, an engine, a split and a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import LARGEST, Recipe
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.runtime import check_shares
from d2l_autorec.training.draws import has_mxnet
from d2l_autorec.training.engines import ENGINES

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings

TEST_FILE = "a test file"
_MAX_WEIGHTS = 2**31 - 1  # in one array


@dataclass(frozen=True)
class Plan:
    """The settings of a training run.

    Attributes
    ----------
    recipe : Recipe
    engine : {"fast", "sparse"}
        Dense matrices in MXNet, or the sparse engine. Both make the same updates.
    split : str
        How the ratings to score with are held out: a name from
        `d2l_autorec.data.protocols.NAMES` or a file of row numbers. Where `train` is given the
        rows, it says where they come from: `TEST_FILE`, or a fold such as "fold 1 of 5".
    test_ratio : float
        Share of the ratings that is held out to score, for the splits "random" and "time".
    seed : int
    checkpoint_every : int
        Epochs between two checkpoints; 0 for none. With checkpoints the generators are seeded
        anew for each epoch, so that the draws are not the book's.
    all_ratings : bool
        Having scored the model, train it again on all ratings, those held out too, and keep that
        model.
    """

    recipe: Recipe = field(default_factory=lambda: RECIPES["chapter"])
    engine: str = "fast"
    split: str = "random"
    test_ratio: float = CHAPTER.test_ratio
    seed: int = 0
    checkpoint_every: int = 0
    all_ratings: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for JSON."""
        return {**vars(self), "recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Make a plan of what `to_dict` has returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is none.
        """
        older = {"split": "random", "all_ratings": False}  # checkpoints that have neither
        values = {**older, **values}
        given = {part.name: values[part.name] for part in fields(cls)}
        given["test_ratio"] = float(given["test_ratio"])
        given["recipe"] = Recipe.from_dict(given["recipe"])
        for part in fields(cls):  # whose types are texts
            if type(given[part.name]).__name__ != part.type:
                raise TypeError(part.name)
        return cls(**given)


def parse_hidden(text: str) -> tuple[int, ...]:
    """Parse ``500,100,500`` into sizes, or raise an InputError."""
    sizes = [size.strip() for size in text.split(",")]
    if not all(size.isdecimal() and len(size) < 10 for size in sizes):
        raise InputError(
            f"--hidden {text[:80]!r} is not a list of sizes; write 500 or 500,100,500."
        )
    return tuple(map(int, sizes))


def parse_range(text: str) -> tuple[float, float]:
    """Parse ``1,5`` into the lowest and the highest rating, or raise an InputError."""
    try:
        low, high = map(float, text.split(","))
        if not -LARGEST <= low < high <= LARGEST:
            raise ValueError
    except ValueError:
        raise InputError(
            f"--rating-range {text[:80]!r} is not a range; write the lowest and the highest "
            "rating, as in 1,5."
        ) from None
    return low, high


def check(plan: Plan, ratings: Ratings, num_devices: int = 1, num_workers: int = 1) -> None:
    """Check a plan before anything is written.

    Raises
    ------
    InputError
        Naming the setting and what it may be.
    """
    from d2l_autorec.data.split import check_ratio

    check_engine(plan)
    check_seed(plan.seed)
    check_ratio(plan.test_ratio)
    if plan.checkpoint_every < 0:
        raise InputError(
            f"--checkpoint-every is {plan.checkpoint_every}; give a number of epochs."
        )
    if plan.checkpoint_every and plan.recipe.num_networks > 1:
        raise InputError(
            "--checkpoint-every is for one network and this recipe trains "
            f"{plan.recipe.num_networks}; leave it out."
        )
    if plan.engine == "sparse" and num_devices > 1:
        raise InputError("--devices: the sparse engine runs on one CPU device; use cpu.")
    if num_workers > 1 and num_devices > 1:
        raise InputError("--devices: under launch each worker runs on one device; name one.")
    for part in plan.recipe.parts:
        _check_small(part)
        rows, columns = part.architecture.oriented(ratings.num_users, ratings.num_items)
        shapes = part.architecture.weight_shapes(columns).values()
        if max(map(math.prod, shapes)) >= _MAX_WEIGHTS:
            raise InputError(
                f"--hidden {','.join(map(str, part.architecture.hidden))} with {columns:,} "
                "columns makes a layer of more than 2^31 weights; give fewer hidden units."
            )
        if num_workers > columns:
            raise InputError(
                f"--workers is {num_workers} and there are {columns} columns to share out; give "
                "fewer."
            )
        check_shares(min(part.batch_size, rows), num_devices)


def _check_small(recipe: Recipe) -> None:
    """Raise an InputError for numbers that float32 rounds to 0, or shares that it rounds to 1."""
    for name in ("lr", "wd", "lam"):
        value = getattr(recipe, name)
        if value and value < 1e-30:
            raise InputError(f"--{name} is {value:g}; give 0, or 1e-30 or more.")
    for name in ("dropout", "input_dropout"):
        rate = getattr(recipe.architecture, name)
        if rate and not 1e-6 <= rate <= 1 - 1e-6:
            option = name.replace("_", "-")
            raise InputError(f"--{option} is {rate!r}; give 0, or a share from 1e-6 to 0.999999.")


def check_seed(seed: int) -> None:
    """Raise an InputError for a seed outside the range of the generators."""
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed is {str(seed)[:40]}; give a number from 0 to {2**32 - 1}.")


def check_engine(plan: Plan) -> None:
    """Raise an InputError if the engine is unknown or not available."""
    if plan.engine not in ENGINES:
        raise InputError(f"--engine {plan.engine!r} is unknown; use fast or sparse.")
    if plan.engine == "fast" and not has_mxnet():
        raise InputError("--engine fast needs MXNet, which is not here; use --engine sparse.")


def check_batch_size(plan: Plan, ratings: Ratings) -> None:
    """Raise an InputError if a batch size that was asked for exceeds the rows."""
    for part in plan.recipe.parts:
        rows = part.architecture.oriented(ratings.num_users, ratings.num_items)[0]
        if part.batch_size > rows:
            raise InputError(
                f"--batch-size is {part.batch_size}; give 1 to {rows}, the number of "
                f"{part.architecture.by}s."
            )
