"""The named recipes, and recipes in TOML files."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.paths import kind, open_file

_MAX_BYTES = 1024**2

_CHAPTER = Recipe(draws="book")
_SUMMED = Recipe(objective="sum", lam=30.0, clip="ratings", scaled=True)
_COSINE = _SUMMED.but(schedule="cosine", lr=0.004, num_epochs=60)
_STRONG = _COSINE.but(lam=60.0, lr=0.006, dropout=0.3)
_ABOVE_BIASES = _COSINE.but(targets="biases", lr=0.002, num_epochs=20)
_DAMPED = _ABOVE_BIASES.but(lam=60.0, shrinkage="ratings", damped=True, draws="numpy")
_SLOW = _DAMPED.but(lam=120.0, lr=0.0005, hidden=(100,))
_BLEND = Recipe(clip="ratings", val_ratio=0.1, refit=True)

POOL = {
    "item-based": _COSINE,
    "user-based": _COSINE.but(by="user", lam=60.0, batch_size=64, lr=0.002),
    "item-based, λ 60, dropout 0.3": _STRONG,
    "item-based, λ 15, dropout 0.3, input dropout 0.3": _STRONG.but(lam=15.0, input_dropout=0.3),
    "item-based, 1000 units, dropout 0.5, 80 epochs": _STRONG.but(
        lam=30.0, hidden=(1000,), dropout=0.5, num_epochs=80
    ),
    "item-based, above biases": _ABOVE_BIASES,
    "item-based, above biases, relu": _ABOVE_BIASES.but(encoder="relu", lam=60.0, num_epochs=15),
}
"""The members of the blend. They were found on MovieLens 100K."""

SPARSE_POOL = {
    "item-based": _DAMPED,
    "item-based, 100 units, λ 120, relu": _SLOW.but(encoder="relu"),
    "item-based, 100 units, λ 120, tanh": _SLOW.but(encoder="tanh"),
    "user-based, 100 units, λ 120, relu": _SLOW.but(encoder="relu", by="user"),
}
"""The members of the blend for sparse ratings, all above biases and damped."""

DENSE = 0.02
"""Share of the cells that are rated from which on ratings are dense, given `MANY_ITEMS`."""

MANY_ITEMS = 1000
"""Items from which on ratings are dense: with fewer, an epoch has few updates."""

RECIPES = {
    "chapter": _CHAPTER,
    "paper": _COSINE.but(lam=60.0, dropout=0.0, default=3.0),
    "best": _COSINE.but(val_ratio=0.1, refit=True),
    "blend": _BLEND.but(members=tuple(POOL.values()), num_seeds=3),
    "sparse-blend": _BLEND.but(members=tuple(SPARSE_POOL.values()), num_seeds=2),
    "default": _DAMPED.but(val_ratio=0.1, refit=True),
    "dense": _COSINE.but(lam=80.0, draws="numpy", val_ratio=0.1, refit=True),
}

EXPLAINED = {
    "chapter": "The chapter's: 500 sigmoid units, 25 epochs, mean squared error over all columns.",
    "paper": "I-AutoRec of Sedhain et al. (2015): summed errors, λ on the weights; for 1 to 5.",
    "best": "The best single network on MovieLens 100K: the paper's objective, a cosine "
    "schedule, the epoch chosen on validation ratings, then trained again on all.",
    "blend": "The best on MovieLens 100K: seven recipes, three networks each, with weights chosen "
    "on validation ratings. About 40 times the work of the chapter. Where ratings are not dense "
    "(2 % of the cells, 1,000 items), it stands for sparse-blend.",
    "sparse-blend": "The best for sparse ratings of your own: four recipes above user and item "
    "biases, two networks each, with weights for them and for the biases chosen on validation "
    "ratings.",
    "default": "For your own ratings: a network above user and item biases. The biases' shrinkage "
    "is estimated; validation ratings choose the epoch and a factor from 0 to 1 before what the "
    "network adds; then it is trained again on all. Where ratings are dense (2 % of the cells, "
    "1,000 items), it stands for dense.",
    "dense": "For dense ratings of your own: best, with a λ that goes with the number of ratings "
    "that users and items have; likewise in blend.",
}


@dataclass(frozen=True)
class Named:
    """A recipe and where it comes from."""

    name: str
    recipe: Recipe


def find_recipe(text: str) -> Named:
    """Return a named recipe, or read one from a TOML file.

    Raises
    ------
    InputError
        If there is neither such a recipe nor such a file, or the file holds no recipe.
    """
    if text in RECIPES:
        return Named(text, RECIPES[text])
    path = Path(text)
    if path.suffix != ".toml" and kind(path) != "file":
        use = f"use {', '.join(RECIPES)} or a file that ends in .toml."
        raise InputError(f"--recipe {text[:200]!r} is unknown; {use}")
    return Named(path.name, read_toml(path))


def for_size(named: Named, num_ratings: int, num_users: int, num_items: int) -> Named:
    """Return the recipe that a name stands for where there are so many ratings.

    The λ of the recipes for dense ratings is for MovieLens 100K, where users and items have 79
    ratings each (geometric mean). It is doubled for twice as many, and halved for half.
    """
    if named.recipe != RECIPES.get(named.name):  # a file with the name of a recipe
        return named
    share = num_ratings / max(num_users * num_items, 1)
    dense = num_items >= MANY_ITEMS and share >= DENSE
    stands_for = {("default", True): "dense", ("blend", False): "sparse-blend"}
    name = stands_for.get((named.name, dense), named.name)
    if name not in ("dense", "sparse-blend", "blend"):
        return named
    recipe = RECIPES[name]
    if name != "sparse-blend" and share:
        times = 2.0 ** round(math.log2(share * math.sqrt(num_users * num_items) / 80))
        parts = tuple(part.but(lam=times * (part.lam or 0.0)) for part in recipe.parts)
        recipe = recipe.but(members=parts) if recipe.members else parts[0]
    return Named(name, recipe)


def read_toml(path: Path) -> Recipe:
    """Read a recipe from a TOML file; what it lacks is the chapter's.

    Raises
    ------
    InputError
        If the file cannot be read or holds no recipe; the sentence names the file.
    """
    try:
        with open_file(path) as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InputError(f"{path} is over {_MAX_BYTES:,} bytes long; name a recipe.")
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise InputError(f"{path} cannot be read ({reason}); name a TOML file.") from None
    toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        return Recipe.from_dict(toml.loads(text))
    except (toml.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid TOML ({error}); correct it.") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def to_toml(recipe: Recipe) -> str:
    """Return a recipe as TOML; `read_toml` reads it back."""
    values = recipe.to_dict()
    lines = _lines({name: value for name, value in values.items() if name != "members"})
    for member in values.get("members", []):
        lines += ["", "[[members]]", *_lines(member)]
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, Any]) -> list[str]:
    """Return plain values as TOML writes them, which for these is as JSON does."""
    return [f"{name} = {json.dumps(v, ensure_ascii=False)}" for name, v in values.items()]
