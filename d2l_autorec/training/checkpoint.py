"""What a run leaves on the way, so that it can go on from there after its process has died.

A checkpoint is one file, ``checkpoint.npz`` in the run's folder, in NumPy's own format without
pickles: arrays, and a text in JSON. It stands at the end of an epoch. In the middle of one it
could not go on with the same draws, since MXNet's generator cannot be read back.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec.atomic import write_atomic, write_npz
from d2l_autorec.data.blobs import readable
from d2l_autorec.errors import InputError
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.settings import Settings

NAME = "checkpoint.npz"
FORMAT = 1
_AS_JSON = {float: (float, int), tuple: (list,)}


@dataclass(frozen=True)
class Checkpoint:
    """A run at the end of an epoch.

    Attributes
    ----------
    settings : Settings
    options : dict
        What else the run's command was given, for that command to read.
    data_digest, split_digest : str
        As in the result; the data must be the same when the run goes on.
    history : tuple of Epoch
        The epochs so far.
    best_epoch : int
        The one that the result would be of; its number, from 1.
    best_test_rmse : float
        Over the test ratings after that epoch.
    step : int
        Updates made.
    seconds : float
        Spent so far, evaluation included.
    rest : numpy.ndarray
        Rows that filled no batch yet, int64.
    arrays : dict of str to numpy.ndarray
        Weights and Adam's moments.
    best_weights : dict of str to numpy.ndarray
        Weights after the best epoch, where validation ratings choose it; else empty.
    """

    settings: Settings
    options: dict[str, Any]
    data_digest: str
    split_digest: str
    history: tuple[Epoch, ...]
    best_epoch: int
    best_test_rmse: float
    step: int
    seconds: float
    rest: np.ndarray
    arrays: dict[str, np.ndarray]
    best_weights: dict[str, np.ndarray]


@dataclass
class Keep:
    """Where a run leaves its checkpoints, and what it goes on from.

    Attributes
    ----------
    folder : Path
        The run's.
    options : dict
        For the checkpoint, see there; JSON must be able to hold it.
    former : Checkpoint or None
        Where an earlier process has come to.
    stopping : callable
        Asked after every epoch: True to leave a checkpoint and raise KeyboardInterrupt.
    """

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    former: Checkpoint | None = None
    stopping: Callable[[], bool] = field(default=lambda: False)


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; until it is complete, the former one stays.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    described = dict(vars(checkpoint))
    arrays = {"rest": described.pop("rest")}
    for kind in ("arrays", "best_weights"):
        arrays.update({f"{kind}/{name}": a for name, a in described.pop(kind).items()})
    described["settings"] = asdict(checkpoint.settings)
    described["history"] = [asdict(epoch) for epoch in checkpoint.history]
    text = json.dumps({"format": FORMAT, **described}).encode()
    arrays["description"] = np.frombuffer(text, np.uint8)
    try:
        write_atomic(folder / NAME, lambda file: write_npz(file, arrays))
    except OSError as error:
        former = "the former one stays; " if (folder / NAME).exists() else ""
        raise InputError(
            f"The checkpoint {folder / NAME} cannot be written ({error.strerror or error}); "
            f"{former}make room or let the folder be written, then go on with --resume."
        ) from None


def load(folder: Path) -> Checkpoint:
    """Read the checkpoint of a run that has not come to its end.

    Raises
    ------
    InputError
        If there is none, the run is finished, or the file is damaged or of a newer format.
    """
    path = folder / NAME
    with readable(str(path)):
        finished, there = (folder / "run.json").exists(), path.exists()
    if finished:
        raise InputError(f"--resume {folder}: this run is finished; train a new one.")
    if not there:
        raise InputError(
            f"--resume {folder} has no {NAME}; name the folder of a run with --checkpoint-every."
        )
    damaged = InputError(f"{path} is damaged; start the run again in a new folder.")
    with readable(str(path)), zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise damaged  # a checkpoint is not packed: this could unpack to any size
    try:
        with readable(str(path)), np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        described = json.loads(arrays.pop("description").tobytes())
        if described.pop("format") > FORMAT:
            raise InputError(f"{path} was written by a newer d2l-autorec; install that one.")
        return _checkpoint(described, arrays)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, MemoryError):
        raise damaged from None


def _checkpoint(described: dict[str, Any], arrays: dict[str, np.ndarray]) -> Checkpoint:
    settings = described.pop("settings")
    for name, default in asdict(Settings()).items():
        if type(settings[name]) not in _AS_JSON.get(type(default), (type(default),)):
            raise TypeError(name)
    settings["hidden"] = tuple(settings["hidden"])
    history = tuple(Epoch(**epoch) for epoch in described.pop("history"))
    if not 1 <= described["best_epoch"] <= len(history):
        raise ValueError("best_epoch")
    rest = arrays.pop("rest")
    parts: dict[str, Any] = {"arrays": {}, "best_weights": {}}
    for full_name, array in arrays.items():
        kind, _, name = full_name.partition("/")
        parts[kind][name] = array
    return Checkpoint(
        settings=Settings(**settings), history=history, rest=rest, **parts, **described
    )


def check_data(checkpoint: Checkpoint, data_digest: str, split_digest: str) -> None:
    """Raise an InputError unless a run goes on with the ratings that it began with."""
    if checkpoint.data_digest != data_digest:
        raise InputError(
            f"--resume: the run began with ratings of digest {checkpoint.data_digest[:12]}... "
            f"and these have {data_digest[:12]}...; name its own with --data."
        )
    if checkpoint.split_digest != split_digest:
        raise InputError("--resume: the ratings are split as the run did not; start a new one.")


def check_arrays(arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise an InputError unless arrays from a checkpoint have the names and shapes needed."""
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise InputError(
            f"--resume: the arrays in {NAME} do not fit its settings, so that it is damaged; "
            "start the run again in a new folder."
        )


def sweep(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left of a checkpoint."""
    for path in folder.glob(f".{NAME}.*"):
        with contextlib.suppress(OSError):  # the next checkpoint will say what is wrong
            path.unlink()
