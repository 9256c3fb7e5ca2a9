"""The checks of a model folder: nothing is read before its size is known to be sensible."""

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

from d2l_autorec.data.blobs import readable
from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import check_architecture
from d2l_autorec.serving._parts import (
    AGAIN,
    ratings_matrix,
    read_arrays,
    take_ids,
    take_titles,
)
from d2l_autorec.serving.model import Model, ids_digest, weight_shapes

FORMAT = 1
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
        parts = said["architecture"]
        by, encoder, decoder = (str(parts[name]) for name in ("by", "encoder", "decoder"))
        shape = (_count(parts["num_rows"]), _count(parts["num_inputs"]))
        hidden = tuple(_count(size) for size in parts["hidden"])
        rates = (float(parts["dropout"]), float(parts["input_dropout"]))
        num_ratings = _count(said["num_ratings"])
        low, high = (float(end) for end in said["rating_range"])
        record, files = said["record"], said["files"]
        listed = {
            name: (_count(files[name]["size"]), str(files[name]["sha256"])) for name in files
        }
        expected_ids = str(said["ids_digest"])
        if by not in ("item", "user") or not num_ratings or not isinstance(record, dict):
            raise ValueError
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise InputError(f"{path} lacks a part of what it must say; {AGAIN}.") from None
    try:
        check_architecture(shape[1], hidden, (encoder, decoder), rates)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    _check_names(path, list(listed))
    with _opened(folder, "weights.npz", listed) as file:
        weights = read_arrays(
            file, {name: (size, "<f4") for name, size in weight_shapes(shape[1], hidden).items()}
        )
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise InputError(f"{file.name}: {name} holds values that are not finite; {AGAIN}.")
    forms = {"indptr": ((shape[0] + 1,), "<i8"), "indices": ((num_ratings,), "<i4")}
    with _opened(folder, "ratings.npz", listed) as file:
        arrays = read_arrays(file, {**forms, "data": ((num_ratings,), "<f4")})
    ratings = ratings_matrix(file.name, arrays, shape)
    sizes = shape if by == "user" else shape[::-1]
    user_ids, item_ids, items = _read_ids(folder, listed, *sizes)
    model = Model(
        by, hidden, encoder, decoder, *rates, weights, ratings, user_ids, item_ids, items,
        low, high, record,
    )  # fmt: skip
    if ids_digest(model) != expected_ids:
        raise InputError(f"{folder / 'ids.json'} holds other ids than model.json says; {AGAIN}.")
    return model


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
    if not path.is_file():
        raise InputError(f"{path} is no file; {AGAIN}.")


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
