"""Arrays in an npz file that is not packed: read without taking more memory than it takes room."""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec.paths import open_file


def read_stored_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file as `d2l_autorec.atomic.write_npz` writes it.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to numpy.ndarray
        Of numbers or bytes; nothing is unpickled.

    Raises
    ------
    ValueError, zipfile.BadZipFile, OSError
        If the file is something else: arrays that are packed, that share bytes, or whose size is
        not what their header says.
    """
    arrays: dict[str, np.ndarray] = {}
    with open_file(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(info.file_size for info in members) > os.fstat(file.fileno()).st_size:
            raise ValueError("its arrays are larger than the file")
        for info in members:
            name = info.filename[: -len(".npy")]
            stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1
            if not stored or name in arrays or info.filename != f"{name}.npy":
                raise ValueError("an array is packed or has no name of its own")
            with archive.open(info) as stream:
                header = read_header(stream)
                if header is None:
                    raise ValueError(f"{name} is no array")
                shape, of_fortran, dtype = header
                content = stream.read()
            size = math.prod(shape) * dtype.itemsize
            if dtype.kind not in "biufSU" or of_fortran or len(content) != size:
                raise ValueError(f"{name} is another array than its header says")
            arrays[name] = np.frombuffer(content, dtype).reshape(shape).copy()
    return arrays


def read_header(stream: Any) -> Any:
    """Return an array's shape, whether it is in Fortran's order, and its type; else None."""
    try:
        if np.lib.format.read_magic(stream) == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError):
        pass
    return None
