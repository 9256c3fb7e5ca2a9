"""Messages between the checker and the student's process: JSON and plain arrays, no pickle."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

MAX_HEADER = 1 << 20  # bytes
MAX_ARRAYS = 1 << 26  # bytes; the matrix of MovieLens 100K has 6.3 million
_KINDS = ("float32", "float64", "uint8")


class BrokenChannel(Exception):
    """What came is no message."""


class Closed(BrokenChannel):
    """The other side is gone."""


def send(file: BinaryIO, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write one message: fields that JSON can hold, and arrays as float32, float64 or uint8."""
    ready = {
        name: np.ascontiguousarray(array if str(array.dtype) in _KINDS else array.astype("f4"))
        for name, array in ((name, np.asarray(array)) for name, array in arrays.items())
    }
    table = [[name, str(array.dtype), list(array.shape)] for name, array in ready.items()]
    header = json.dumps({"fields": dict(fields), "arrays": table}).encode()
    file.write(struct.pack(">I", len(header)) + header)
    for array in ready.values():
        file.write(array.tobytes())
    file.flush()


def receive(file: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read one message, and trust nothing in it.

    BrokenChannel says that the bytes are no message, or a larger one than allowed; its subclass
    `Closed`, that the file ends.
    """
    (length,) = struct.unpack(">I", _exactly(file, 4))
    if length > MAX_HEADER:
        raise BrokenChannel("the header is too long")
    try:
        header = json.loads(_exactly(file, length))
        fields, table = dict(header["fields"]), list(header["arrays"])
        arrays, room = {}, MAX_ARRAYS
        for name, kind, shape in table:
            sizes = [int(size) for size in shape]
            if kind not in _KINDS or not isinstance(name, str) or len(sizes) > 8:
                raise BrokenChannel("an array is not understood")
            if min(sizes, default=0) < 0:
                raise BrokenChannel("an array has a negative size")
            num_bytes = math.prod(sizes) * np.dtype(kind).itemsize
            room -= num_bytes
            if room < 0:
                raise BrokenChannel("the arrays are too large")
            arrays[name] = np.frombuffer(_exactly(file, num_bytes), kind).reshape(sizes)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise BrokenChannel("the header is no header") from error
    return fields, arrays


def _exactly(file: BinaryIO, length: int) -> bytes:
    parts = []
    while length:
        part = file.read(min(length, 1 << 20))
        if not part:
            raise Closed("the message ends early")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
