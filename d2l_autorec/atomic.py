"""A file is whole or it is not there."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import numpy as np


def write_atomic(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file under a temporary name in its folder, then move it into place.

    Parameters
    ----------
    path : Path
        Where the file shall be; what was there before stays until the new one is complete.
    write : callable
        Takes the open binary file and writes to it.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full; no temporary file is left behind.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would shut others out of a shared cache
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_npz(file: Any, arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Write arrays as ``np.savez`` does, into an open binary file; nothing is pickled.

    NumPy's own leaves an open archive behind where the disk is full, which complains later.
    """
    from numpy.lib.format import write_array

    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_array(member, array, allow_pickle=False)
