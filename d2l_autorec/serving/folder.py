"""Model folders: written atomically, checked on loading, read without MXNet.

``model.json`` says what the model is and lists size and SHA-256 of the three other files::

    weights.npz   the networks' arrays, see `d2l_autorec.serving.model.flat_arrays`
    ratings.npz   (items, users) in compressed sparse rows: indptr, indices, data
    ids.json      the ids behind the codes; titles, years and genres where known
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec.atomic import write_npz
from d2l_autorec.errors import InputError, refused
from d2l_autorec.paths import kind
from d2l_autorec.serving._reading import FORMAT, description_digest, file_digest, read_folder
from d2l_autorec.serving.model import TITLE_COLUMNS, Model, flat_arrays, ids_digest, make_model
from d2l_autorec.serving.records import plain_values

__all__ = ["Model", "ids_digest", "load_model", "make_model", "save_model"]


def save_model(folder: Path, model: Model) -> None:
    """Write a model folder atomically.

    Parameters
    ----------
    folder : Path
        New, or empty.
    model : Model

    Raises
    ------
    InputError
        If the folder holds something already or cannot be written.
    """
    folder = Path(folder)
    with refused(f"The model cannot be written to {folder}", "make room or name another folder"):
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty; name a new folder for the model.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _write_files(temporary, model)
            os.chmod(temporary, 0o755)  # mkdtemp's 0700 would shut others out
            os.replace(temporary, folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def load_model(folder: Path) -> Model:
    """Read a model folder; MXNet is not needed.

    Parameters
    ----------
    folder : Path
        The model folder, or a run's folder with ``model/`` in it.

    Raises
    ------
    InputError
        If anything is missing, damaged, of a newer format, or does not fit together; the sentence
        names the file.
    """
    return read_folder(find_model(folder))


def find_model(folder: Path) -> Path:
    """Return the model folder: the one named, or ``model/`` in it.

    Raises
    ------
    InputError
        If the folder named does not exist.
    """
    folder = Path(folder)
    if not kind(folder):
        raise InputError(f"{folder} does not exist; name a model folder or the folder of a run.")
    inside = folder / "model"
    if not kind(folder / "model.json") and kind(inside / "model.json"):
        folder = inside
    return folder


def _write_files(folder: Path, model: Model) -> None:
    matrix = model.ratings
    arrays = {
        "indptr": matrix.indptr.astype(np.int64),
        "indices": matrix.indices.astype(np.int32),
        "data": matrix.data.astype(np.float32),
    }
    writers: dict[str, Callable[[Any], object]] = {
        "weights.npz": lambda file: write_npz(file, flat_arrays(model.trained)),
        "ratings.npz": lambda file: write_npz(file, arrays),
        "ids.json": lambda file: file.write(_ids_json(model)),
    }
    listed = {name: _write(folder / name, write) for name, write in writers.items()}
    description: dict[str, Any] = {
        "format": FORMAT,
        "num_users": matrix.shape[1],
        "num_items": matrix.shape[0],
        "recipe": model.trained.recipe.to_dict(),
        "networks": [
            {
                "recipe": network.recipe.to_dict(),
                "factor": factor,
                "epoch": network.epoch,
                "mean": network.scale.mean,
                "unit": network.scale.unit,
                "gain": network.scale.gain,
            }
            for network, factor in zip(model.trained.networks, model.trained.factors)
        ],
        "num_ratings": int(matrix.nnz),
        "rating_range": [model.low, model.high],
        "ids_digest": ids_digest(model),
        "record": model.record,
        "files": listed,
    }
    description["digest"] = description_digest(description)
    text = json.dumps(description, indent=2) + "\n"
    _write(folder / "model.json", lambda file: file.write(text.encode()))
    _sync(folder)


def _ids_json(model: Model) -> bytes:
    items = None
    if model.items is not None:
        items = {name: plain_values(model.items[name]) for name in TITLE_COLUMNS}
    ids = {"user_ids": model.user_ids.tolist(), "item_ids": model.item_ids.tolist()}
    return json.dumps({**ids, "items": items}).encode()


def _write(path: Path, write: Callable[[Any], object]) -> dict[str, Any]:
    """Write a file through to the disk; return its entry in ``model.json``."""
    with open(path, "w+b") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
        digest = file_digest(file)  # which leaves the file at its end
        return {"size": file.tell(), "sha256": digest}


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
