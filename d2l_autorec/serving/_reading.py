"""Reading and checking a model folder. Sizes are checked before anything is read."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy import sparse

from d2l_autorec.data.blobs import readable
from d2l_autorec.data.npz import read_npz_of
from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.paths import kind
from d2l_autorec.serving.model import TITLE_COLUMNS, Model, flat_shapes, ids_digest, with_arrays

FORMAT = 3
FILES = ("weights.npz", "ratings.npz", "ids.json")

_AGAIN = "copy the model folder again or save the model anew"
_MAX_DESCRIPTION = 1024**2
_MAX_TEXT = 16 * 1024  # bytes of one id, or of an item's title and genres
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def description_digest(description: dict[str, Any]) -> str:
    """SHA-256 in hex of what ``model.json`` says, its own digest left out."""
    said = {name: value for name, value in description.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def file_digest(file: BinaryIO) -> str:
    """SHA-256 in hex of a file's bytes; it is read to its end."""
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1024**2):
        digest.update(chunk)
    return digest.hexdigest()


def read_folder(folder: Path) -> Model:
    """Read a model folder; see `d2l_autorec.serving.folder.load_model`."""
    path = folder / "model.json"
    said, rows = _read_description(path), "item"  # what a row of ratings.npz is
    try:
        if said["format"] == 1:
            said, rows = _as_format_3(said)
        num_users, num_items, num_ratings = (
            _count(said[f"num_{what}"], 1) for what in ("users", "items", "ratings")
        )
        recipe = Recipe.from_dict(said["recipe"])
        factors, recipes, epochs, scales = zip(*map(_network, said["networks"]))
        low, high = map(_number, said["rating_range"])
        record, expected_ids = said["record"], str(said["ids_digest"])
        listed = {
            name: (_count(file["size"]), str(file["sha256"]))
            for name, file in said["files"].items()
        }
        if not isinstance(record, dict) or not low <= high:
            raise ValueError
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except _MALFORMED:
        raise InputError(f"{path} lacks a part of what it must say; {_AGAIN}.") from None
    _check_names(path, list(listed))
    with _opened(folder, "weights.npz", listed) as file:
        weights = read_npz_of(file, flat_shapes(num_users, num_items, recipes), _AGAIN)
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise InputError(f"{file.name}: {name} holds values that are not finite; {_AGAIN}.")
    shape = (num_items, num_users) if rows == "item" else (num_users, num_items)
    forms = {"indptr": ((shape[0] + 1,), "<i8"), "indices": ((num_ratings,), "<i4")}
    with _opened(folder, "ratings.npz", listed) as file:
        arrays = read_npz_of(file, {**forms, "data": ((num_ratings,), "<f4")}, _AGAIN)
    ratings = _ratings_matrix(file.name, arrays, shape)
    if rows == "user":
        ratings = ratings.T.tocsr()
    ids = _read_ids(folder, listed, num_users, num_items)
    networks = []
    for own, epoch, (mean, unit, gain) in zip(recipes, epochs, scales):
        row, col = map(np.zeros, own.architecture.oriented(num_users, num_items))
        networks.append(Network(own, {}, Scale(mean, unit, row, col, gain), epoch))
    trained = with_arrays(TrainedModel(recipe, tuple(networks), factors, ratings), weights)
    model = Model(trained, *ids, low, high, record, said["digest"])
    if ids_digest(model) != expected_ids:
        raise InputError(f"{folder / 'ids.json'} holds other ids than model.json says; {_AGAIN}.")
    return model


def _as_format_3(said: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return what a folder of an older version says, as it would be said today, and its rows."""
    recipe = dict(said["architecture"])
    sizes = recipe.pop("num_rows"), recipe.pop("num_inputs")
    for size in recipe["hidden"]:
        _count(size)
    rows = Recipe.from_dict(recipe).architecture.by
    num_items, num_users = sizes if rows == "item" else sizes[::-1]
    epoch = said["record"].get("result", {}).get("epoch", 0)
    network = {"recipe": recipe, "factor": 1, "epoch": epoch, "mean": 0, "unit": 1}
    more = {"num_users": num_users, "num_items": num_items, "recipe": recipe}
    return {**said, **more, "networks": [network]}, rows


def _network(said: dict[str, Any]) -> tuple[float, Recipe, int, tuple[float, float, float]]:
    """Return a network's factor, recipe and epoch; mean, unit and gain of its scale."""
    recipe, factor = Recipe.from_dict(said["recipe"]), _number(said["factor"])
    within = factor == 0 or 1e-30 <= abs(factor) <= 1e30  # the range of float32
    if not within or recipe.members or "ratings" in (recipe.clip, recipe.shrinkage):
        raise ValueError
    scale = _number(said["mean"]), _number(said["unit"]), _number(said.get("gain", 1))
    return factor, recipe, _count(said["epoch"]), scale


def _number(value: Any) -> float:
    """Take a finite number from JSON."""
    number = float(value)
    if isinstance(value, (str, bool)) or not math.isfinite(number):
        raise ValueError
    return number


def _count(value: Any, least: int = 0) -> int:
    """Take a whole number from JSON, where ``true`` and ``3.0`` are none."""
    if type(value) is not int or value < least:
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
        raise InputError(f"{label} is damaged or cut short ({error}); {_AGAIN}.") from None


def _read_description(path: Path) -> dict[str, Any]:
    with readable(str(path)):
        if not path.exists():
            raise InputError(
                f"{path.parent} holds no model: model.json is missing; name a model folder or "
                "the folder of a run that kept its model."
            )
        _check_place(path)
        if path.stat().st_size > _MAX_DESCRIPTION:
            raise InputError(f"{path} is over {_MAX_DESCRIPTION:,} bytes long; {_AGAIN}.")
        said = _parse(path.read_bytes(), str(path))
    if not isinstance(said, dict) or type(said.get("format")) is not int:
        raise InputError(f"{path} describes no model; {_AGAIN}.")
    if said["format"] > FORMAT:
        raise InputError(
            f"{path} has format {said['format']} and this version reads up to {FORMAT}; "
            "update d2l-autorec."
        )
    if said["format"] < 1 or said.get("digest") != description_digest(said):
        raise InputError(f"{path} was changed after it was written; {_AGAIN}.")
    return said


def _check_names(path: Path, names: list[str]) -> None:
    for name in names:
        if name not in FILES:
            leaves = "/" in name or "\\" in name or ".." in name
            fault = "leads out of the folder" if leaves else "is no file of a model"
            raise InputError(f"{path} lists {name[:80]!r}, which {fault}; {_AGAIN}.")
    for name in FILES:
        if name not in names:
            raise InputError(f"{path} does not list {name}; {_AGAIN}.")


def _check_place(path: Path) -> None:
    """Refuse a link that leaves the folder, and what is no plain file."""
    if path.resolve().parent != path.parent.resolve():
        raise InputError(f"{path} is a link out of the folder; copy the file itself there.")
    if kind(path) != "file":
        raise InputError(f"{path} is not a file; {_AGAIN}.")


@contextmanager
def _opened(folder: Path, name: str, listed: dict[str, tuple[int, str]]) -> Iterator[BinaryIO]:
    """Open a file after comparing its size and digest with what ``model.json`` lists."""
    path = folder / name
    size, sha256 = listed[name]
    with readable(str(path)):
        if not path.exists():
            raise InputError(f"{path} is missing; {_AGAIN}.")
        _check_place(path)
        with open(path, "rb") as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise InputError(f"{path} has {found:,} bytes in place of {size:,}; {_AGAIN}.")
            if file_digest(file) != sha256:
                raise InputError(f"{path} is damaged: its digest is not the one listed; {_AGAIN}.")
            file.seek(0)
            yield file


def _ratings_matrix(label: str, arrays: dict[str, np.ndarray], shape: tuple[int, int]) -> Any:
    """Make the sparse matrix after checking its parts."""
    indptr, indices, data = (arrays[name] for name in ("indptr", "indices", "data"))
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise InputError(f"{label}: indptr does not divide the ratings into rows; {_AGAIN}.")
    if len(indices) and (indices.min() < 0 or indices.max() >= shape[1]):
        raise InputError(f"{label} names columns outside 0 to {shape[1] - 1}; {_AGAIN}.")
    place = np.repeat(np.arange(shape[0]), np.diff(indptr)) * shape[1] + indices
    if (np.diff(place) <= 0).any():
        raise InputError(f"{label}: a row's columns are not in order, each once; {_AGAIN}.")
    if not np.isfinite(data).all():
        raise InputError(f"{label} holds ratings that are not finite; {_AGAIN}.")
    return sparse.csr_matrix((data, indices, indptr), shape=shape)


def _read_ids(
    folder: Path, listed: dict[str, tuple[int, str]], num_users: int, num_items: int
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return user ids, item ids and the table of titles."""
    path = folder / "ids.json"
    if listed["ids.json"][0] > _MAX_DESCRIPTION + _MAX_TEXT * (num_users + num_items):
        raise InputError(f"{path} is far too long for its ids and titles; {_AGAIN}.")
    with _opened(folder, "ids.json", listed) as file:
        said = _parse(file.read(), str(path))
    try:
        user_ids = _take_ids(said["user_ids"], num_users)
        item_ids = _take_ids(said["item_ids"], num_items)
        items = None if said["items"] is None else _take_titles(said["items"], item_ids)
    except _MALFORMED:
        raise InputError(
            f"{path} does not hold {num_users:,} users and {num_items:,} items in order, each "
            f"once; {_AGAIN}."
        ) from None
    return user_ids, item_ids, items


def _take_ids(values: Any, count: int) -> np.ndarray:
    """Check ids from JSON: sorted and distinct whole numbers or strings; else a ValueError."""
    if not isinstance(values, list) or len(values) != count or len({*map(type, values)}) > 1:
        raise ValueError
    if type(values[0]) not in (int, str):
        raise ValueError
    # as objects: in an array of fixed width one long id would make all of them long
    ids: Any = np.array(values, np.int64 if type(values[0]) is int else object)
    if ids.dtype == object:
        "".join(values).encode()  # a ValueError for half of a character, which JSON can name
    if not (ids[1:] > ids[:-1]).all():
        raise ValueError
    return ids


def _take_titles(columns: Any, item_ids: np.ndarray) -> Any:
    """Make the table of titles from JSON; a ValueError or KeyError if it is malformed."""
    import pandas as pd

    items = pd.DataFrame({"item_id": item_ids})
    for name, of in zip(TITLE_COLUMNS, (str, int, str)):
        values = columns[name]
        if len(values) != len(item_ids) or not {*map(type, values)} <= {of, type(None)}:
            raise ValueError
        if of is str:
            "".join(filter(None, values)).encode()
        items[name] = pd.Series(values, dtype="Int64" if of is int else object)
    return items
