"""Reading and checking a model folder. Sizes are checked before anything is read."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from d2l_autorec.data.blobs import readable
from d2l_autorec.data.npz import read_npz_of
from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.paths import kind
from d2l_autorec.serving._parts import (
    AGAIN,
    ratings_matrix,
    take_ids,
    take_titles,
)
from d2l_autorec.serving.model import Model, flat_shapes, ids_digest, with_arrays

FORMAT = 3
FILES = ("weights.npz", "ratings.npz", "ids.json")

_MAX_DESCRIPTION = 1024**2
_MAX_TEXT = 16 * 1024  # bytes of one id, or of an item's title and genres


def description_digest(description: dict[str, Any]) -> str:
    """SHA-256 in hex of what ``model.json`` says, its own digest left out."""
    said = {name: value for name, value in description.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_folder(folder: Path) -> Model:
    """Read a model folder; see `d2l_autorec.serving.folder.load_model`."""
    path = folder / "model.json"
    said = _read_description(path)
    try:
        described = _networks(said) if said["format"] > 1 else _networks_of_format_1(said)
        num_ratings = _count(said["num_ratings"])
        low, high = (_number(end) for end in said["rating_range"])
        record, files = said["record"], said["files"]
        listed = {
            name: (_count(files[name]["size"]), str(files[name]["sha256"])) for name in files
        }
        expected_ids = str(said["ids_digest"])
        if not num_ratings or not isinstance(record, dict) or not low <= high:
            raise ValueError
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise InputError(f"{path} lacks a part of what it must say; {AGAIN}.") from None
    _check_names(path, list(listed))
    num_users, num_items = described.num_users, described.num_items
    with _opened(folder, "weights.npz", listed) as file:
        arrays = read_npz_of(file, flat_shapes(num_users, num_items, described.recipes), AGAIN)
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise InputError(f"{file.name}: {name} holds values that are not finite; {AGAIN}.")
    weights = arrays
    shape = (num_items, num_users) if described.rows == "item" else (num_users, num_items)
    forms = {"indptr": ((shape[0] + 1,), "<i8"), "indices": ((num_ratings,), "<i4")}
    with _opened(folder, "ratings.npz", listed) as file:
        arrays = read_npz_of(file, {**forms, "data": ((num_ratings,), "<f4")}, AGAIN)
    ratings = ratings_matrix(file.name, arrays, shape)
    if described.rows == "user":
        ratings = ratings.T.tocsr()
    user_ids, item_ids, items = _read_ids(folder, listed, num_users, num_items)
    trained = TrainedModel(described.recipe, described.networks(), described.factors, ratings)
    trained = with_arrays(trained, weights)
    model = Model(trained, user_ids, item_ids, items, low, high, record, said["digest"])
    if ids_digest(model) != expected_ids:
        raise InputError(f"{folder / 'ids.json'} holds other ids than model.json says; {AGAIN}.")
    return model


@dataclass(frozen=True)
class _Described:
    """What ``model.json`` says of the networks; ``rows`` is what a row of ratings.npz is."""

    num_users: int
    num_items: int
    recipe: Recipe
    recipes: list[Recipe]
    factors: tuple[float, ...]
    numbers: list[tuple[int, float, float, float]]  # epoch, mean, unit and gain of each network
    rows: str = "item"

    def networks(self) -> tuple[Network, ...]:
        """Return the networks, still without weights."""
        networks = []
        for recipe, (epoch, mean, unit, gain) in zip(self.recipes, self.numbers):
            sizes = recipe.architecture.oriented(self.num_users, self.num_items)
            row, col = (np.zeros(size) for size in sizes)
            networks.append(Network(recipe, {}, Scale(mean, unit, row, col, gain), epoch))
        return tuple(networks)


def _networks(said: dict[str, Any]) -> _Described:
    entries = said["networks"]
    if not isinstance(entries, list) or not entries:
        raise ValueError
    return _Described(
        _size(said["num_users"]),
        _size(said["num_items"]),
        Recipe.from_dict(said["recipe"]),
        [_single(entry["recipe"]) for entry in entries],
        tuple(_factor(entry["factor"]) for entry in entries),
        [
            (
                _count(entry["epoch"]),
                _number(entry["mean"]),
                _number(entry["unit"]),
                _number(entry.get("gain", 1.0)),
            )
            for entry in entries
        ],
    )


def _networks_of_format_1(said: dict[str, Any]) -> _Described:
    """Return the network of a folder written by an older version."""
    parts = dict(said["architecture"])
    rows, columns = _size(parts.pop("num_rows")), _size(parts.pop("num_inputs"))
    for size in parts["hidden"]:
        _count(size)
    recipe = _single(parts)
    users, items = (columns, rows) if recipe.architecture.by == "item" else (rows, columns)
    epoch = said["record"].get("result", {}).get("epoch", 0)
    numbers = [(_count(epoch), 0.0, 1.0, 1.0)]
    return _Described(users, items, recipe, [recipe], (1.0,), numbers, recipe.architecture.by)


def _single(values: Any) -> Recipe:
    """Take the recipe of one network."""
    recipe = Recipe.from_dict(values)
    if recipe.members or "ratings" in (recipe.clip, recipe.shrinkage):
        raise ValueError
    return recipe


def _size(value: Any) -> int:
    if not _count(value):
        raise ValueError
    return value


def _number(value: Any) -> float:
    """Take a finite number from JSON."""
    number = float(value)
    if isinstance(value, (str, bool)) or not math.isfinite(number):
        raise ValueError
    return number


def _factor(value: Any) -> float:
    """Return a network's factor, checked to be within the range of float32."""
    number = _number(value)
    if number and not 1e-30 <= abs(number) <= 1e30:
        raise ValueError
    return number


def _count(value: Any) -> int:
    """Take a whole number from JSON, where ``true`` and ``3.0`` are none."""
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _parse(text: bytes, label: str) -> Any:
    def whole(digits: str) -> int:
        if len(digits) > 20:  # int() takes long for a million digits
            raise ValueError("a number is too long")
        return int(digits)

    try:
        return json.loads(text.decode("utf-8"), parse_int=whole)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label} is damaged or cut short ({error}); {AGAIN}.") from None


def _read_description(path: Path) -> dict[str, Any]:
    with readable(str(path)):
        if not path.exists():
            raise InputError(
                f"{path.parent} holds no model: model.json is missing; name a model folder or "
                "the folder of a run that kept its model."
            )
        _check_place(path)
        if path.stat().st_size > _MAX_DESCRIPTION:
            raise InputError(f"{path} is over {_MAX_DESCRIPTION:,} bytes long; {AGAIN}.")
        said = _parse(path.read_bytes(), str(path))
    if not isinstance(said, dict) or type(said.get("format")) is not int:
        raise InputError(f"{path} describes no model; {AGAIN}.")
    if said["format"] > FORMAT:
        raise InputError(
            f"{path} has format {said['format']} and this version reads up to {FORMAT}; "
            "update d2l-autorec."
        )
    if said["format"] < 1 or said.get("digest") != description_digest(said):
        raise InputError(f"{path} was changed after it was written; {AGAIN}.")
    return said


def _check_names(path: Path, names: list[str]) -> None:
    for name in names:
        if name not in FILES:
            leaves = "/" in name or "\\" in name or ".." in name
            fault = "leads out of the folder" if leaves else "is no file of a model"
            raise InputError(f"{path} lists {name[:80]!r}, which {fault}; {AGAIN}.")
    for name in FILES:
        if name not in names:
            raise InputError(f"{path} does not list {name}; {AGAIN}.")


def _check_place(path: Path) -> None:
    """Refuse a link that leaves the folder, and what is no plain file."""
    if path.resolve().parent != path.parent.resolve():
        raise InputError(f"{path} is a link out of the folder; copy the file itself there.")
    if kind(path) != "file":
        raise InputError(f"{path} is not a file; {AGAIN}.")


@contextmanager
def _opened(folder: Path, name: str, listed: dict[str, tuple[int, str]]) -> Iterator[BinaryIO]:
    """Open a file after comparing its size and digest with what ``model.json`` lists."""
    path = folder / name
    size, sha256 = listed[name]
    with readable(str(path)):
        if not path.exists():
            raise InputError(f"{path} is missing; {AGAIN}.")
        _check_place(path)
        with open(path, "rb") as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise InputError(f"{path} has {found:,} bytes in place of {size:,}; {AGAIN}.")
            digest = hashlib.sha256()
            while chunk := file.read(1024**2):
                digest.update(chunk)
            if digest.hexdigest() != sha256:
                raise InputError(f"{path} is damaged: its digest is not the one listed; {AGAIN}.")
            file.seek(0)
            yield file


def _read_ids(
    folder: Path, listed: dict[str, tuple[int, str]], num_users: int, num_items: int
) -> tuple[np.ndarray, np.ndarray, Any]:
    path = folder / "ids.json"
    if listed["ids.json"][0] > _MAX_DESCRIPTION + _MAX_TEXT * (num_users + num_items):
        raise InputError(f"{path} is far too long for its ids and titles; {AGAIN}.")
    with _opened(folder, "ids.json", listed) as file:
        said = _parse(file.read(), str(path))
    try:
        user_ids = take_ids(said["user_ids"], num_users)
        item_ids = take_ids(said["item_ids"], num_items)
        items = None if said["items"] is None else take_titles(said["items"], item_ids)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(
            f"{path} does not hold {num_users:,} users and {num_items:,} items in order, each "
            f"once; {AGAIN}."
        ) from None
    return user_ids, item_ids, items
