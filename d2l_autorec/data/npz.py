"""Read arrays from untrusted npz files. Nothing is unpickled."""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from d2l_autorec.data.blobs import MAX_UNPACKED, open_archive, readable
from d2l_autorec.errors import InputError

Form = tuple[tuple[int, ...], str]  # an array's shape and type

_MAX_HEADER = 1024  # of an array; NumPy's take 128 bytes


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file.

    Raises an InputError if the file is no npz, is damaged, or holds more than 2 GiB, unpacked.
    """
    label = str(path)
    arrays, size = {}, 0
    for name, blob in open_archive(path, label).items():
        with readable(label), blob.open() as stream:
            shape, turned, kind = _header(stream)
            size += math.prod(shape) * kind.itemsize
            if size > MAX_UNPACKED:
                raise InputError(f"{label} holds more than {MAX_UNPACKED:,} bytes; save it again.")
            array = _content(stream, shape[::-1] if turned else shape, kind)
        arrays[name.removesuffix(".npy")] = array.T if turned else array
    return arrays


def read_npz_of(file: BinaryIO, forms: dict[str, Form], remedy: str) -> dict[str, np.ndarray]:
    """Read an npz of exactly these arrays, each of this shape and type; see `read_stored_npz`.

    The open file's name begins messages, ``remedy`` ends them. Raises an InputError if it holds
    anything else.
    """
    with readable(file.name):
        try:
            arrays = read_stored_npz(file)
        except ValueError as error:
            raise InputError(f"{file.name} {error}; {remedy}.") from None
    if arrays.keys() != forms.keys():
        raise InputError(f"{file.name} holds other arrays than {', '.join(forms)}; {remedy}.")
    for name, (shape, kind) in forms.items():
        if (arrays[name].shape, arrays[name].dtype) != (shape, np.dtype(kind)):
            size = " x ".join(map(str, shape))
            raise InputError(f"{file.name}: {name} is not the {size} array expected; {remedy}.")
    return {name: arrays[name] for name in forms}


def read_stored_npz(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file as `d2l_autorec.atomic.write_npz` writes it.

    The arrays, of numbers or text, must be uncompressed and must not overlap, so that they take no
    more memory than the file has bytes.

    Raises
    ------
    ValueError, zipfile.BadZipFile, OSError
        If the file is something else. The text of a ValueError goes on from the file's name.
    """
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(info.file_size for info in members) > os.fstat(file.fileno()).st_size:
            raise ValueError("would unpack to more than its own size")
        for info in members:
            name = info.filename[: -len(".npy")]
            stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1
            if not stored or name in arrays or info.filename != f"{name}.npy":
                raise ValueError(f"has a packed array or two of one name, {info.filename!r}")
            try:
                with archive.open(info) as stream:
                    shape, turned, kind = _header(stream)
                    header = info.file_size - math.prod(shape) * kind.itemsize
                    if kind.kind not in "biufSU" or turned or not 0 < header <= _MAX_HEADER:
                        raise ValueError("it is not what its header says")
                    arrays[name] = _content(stream, shape, kind)
            except ValueError as error:
                raise ValueError(f"has a damaged array, {name} ({error})") from None
    return arrays


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return an array's shape, whether it is in Fortran's order, and its type; or a ValueError."""
    try:
        if np.lib.format.read_magic(stream) == (1, 0):
            shape, turned, kind = np.lib.format.read_array_header_1_0(stream)
            if min(shape, default=0) >= 0 and not kind.hasobject:
                return shape, turned, kind
    except (TypeError, SyntaxError, tokenize.TokenError, RecursionError) as error:
        raise ValueError(str(error)) from None
    raise ValueError("an array of an unknown kind")


def _content(stream: Any, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray:
    array = np.empty(math.prod(shape), kind)
    left = array.view(np.uint8)
    while chunk := stream.read(1024**2):
        left[: len(chunk)], left = np.frombuffer(chunk, np.uint8), left[len(chunk) :]
    if len(left):
        raise ValueError("an array is shorter than it says")
    return array.reshape(shape)
