"""Atomic file writes."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import numpy as np


def write_atomic(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file under a temporary name in its folder, then move it into place.

    The file gets the permissions that the process gives to new files (its umask).

    Parameters
    ----------
    path : Path
        The file. An earlier one stays until the new one is complete.
    write : callable
        Takes the open binary file and writes to it.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. No temporary file is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(temporary, "xb") as file:
        try:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            file.close()  # Windows replaces closed files only
            os.replace(temporary, path)
        except BaseException:
            file.close()
            temporary.unlink()
            raise


def write_npz(file: Any, arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Write arrays into an open binary file as ``np.savez`` does, without pickling.

    ``np.savez`` leaves an open archive behind when the disk is full, which warns later.
    """
    from numpy.lib.format import write_array

    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_array(member, array, allow_pickle=False)
