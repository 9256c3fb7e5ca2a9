"""Export of a model's weights to safetensors or npz, and import of changed weights."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from d2l_autorec import runs
from d2l_autorec.atomic import write_npz
from d2l_autorec.data.blobs import readable
from d2l_autorec.data.npz import read_npz
from d2l_autorec.errors import InputError
from d2l_autorec.packages import require
from d2l_autorec.paths import open_file
from d2l_autorec.serving.model import Model, flat_arrays, flat_shapes, with_arrays
from d2l_autorec.serving.onnx_graph import describe

# What must agree between a file's metadata, where it has some, and the model it is put into.
_MUST_AGREE = ("by", "encoder", "decoder", "ids_digest")
_METADATA, _MAX_METADATA = "metadata", 64 * 1024


def export_safetensors(model: Model, path: str | Path) -> None:
    """Write a model's weights, named as in `flat_arrays`, and `describe`'s words as safetensors.

    Raises an InputError if the safetensors package is missing or the file cannot be written.
    """
    arrays = flat_arrays(model.trained).items()
    weights = {name: np.ascontiguousarray(values) for name, values in arrays}
    runs.write(Path(path), _safetensors(path).save(weights, describe(model)))


def export_npz(model: Model, path: str | Path) -> None:
    """Write a model's weights, named as in `flat_arrays`, as NumPy's npz.

    What `describe` says is in it as ``metadata``, a JSON text. Raises an InputError if the file
    cannot be written.
    """
    file, metadata = io.BytesIO(), np.array(json.dumps(describe(model)))
    write_npz(file, {**flat_arrays(model.trained), _METADATA: metadata})
    runs.write(Path(path), file.getvalue())


def read_weights(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read weights and metadata from an untrusted safetensors or npz file.

    What the file holds tells the format, not its name. The weights are floating-point numbers; the
    metadata is empty if there is none.

    Raises
    ------
    InputError
        If the file cannot be read, holds what is not an array of finite numbers, or needs the
        safetensors package where that is missing.
    """
    path = Path(path)
    with readable(str(path)), open_file(path) as file:
        zipped = file.read(4) == b"PK\x03\x04"
    weights, metadata = _read_npz(path) if zipped else _read_safetensors(path)
    for name, values in weights.items():
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite
            fits = values.dtype.kind == "f" and np.isfinite(values.astype(np.float32)).all()
        if not fits:
            raise InputError(
                f"{path}: {name[:80]!r} is not an array of finite floating-point numbers; "
                "export the weights again."
            )
    return weights, metadata


def import_weights(model: Model, path: str | Path) -> Model:
    """Return the model with the weights in a file: architecture, ids and ratings stay.

    Names and shapes must be those of the model's `flat_arrays`; what the file's metadata says of
    activations and id map, if anything, must be the same. The record has no result any more, but
    ``weights_from``, the file's name.

    Raises
    ------
    InputError
        If the file cannot be read or is not for this model.
    """
    weights, metadata = read_weights(path)
    recipes = [network.recipe for network in model.trained.networks]
    shapes = flat_shapes(len(model.user_ids), len(model.item_ids), recipes)
    for name, (shape, _) in shapes.items():
        if name not in weights:
            raise InputError(f"{path} holds no {name}; it needs {', '.join(shapes)}.")
        if weights[name].shape != shape:
            raise InputError(
                f"{path}: {name} has shape {weights[name].shape} where the model has {shape}; "
                "name the model that the weights are of."
            )
    if len(weights) > len(shapes):
        other = next(name for name in weights if name not in shapes)
        raise InputError(f"{path} holds {other[:80]!r} too; it may hold {', '.join(shapes)} only.")
    own = describe(model)
    for key in _MUST_AGREE:
        if metadata.get(key, own[key]) != own[key]:
            raise InputError(
                f"{path} says {key} {metadata[key][:80]!r} and the model {own[key]!r}; "
                "name the model that the weights are of."
            )
    record = {key: value for key, value in model.record.items() if key != "result"}
    record["weights_from"] = Path(path).name
    typed = {name: weights[name].astype(kind) for name, (_, kind) in shapes.items()}
    return replace(model, trained=with_arrays(model.trained, typed), record=record)


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    arrays = read_npz(path)
    text = str(arrays.pop(_METADATA, "{}"))
    try:
        if len(text) > _MAX_METADATA:
            raise ValueError
        metadata = json.loads(text)
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError
    except (ValueError, AttributeError, RecursionError):
        raise InputError(
            f"{path}: its metadata is not a short JSON object; export it again."
        ) from None
    return arrays, metadata


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    _safetensors(path)
    from safetensors import SafetensorError, safe_open

    try:
        with readable(str(path)), safe_open(path, framework="np") as file:
            names = file.keys()  # it is no mapping
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    # the latter for types that NumPy lacks
    except (SafetensorError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or holds what NumPy cannot ({error}); export the weights again."
        ) from error


def _safetensors(path: str | Path) -> ModuleType:
    return require("safetensors.numpy", "safetensors", str(path), ", or use npz")
