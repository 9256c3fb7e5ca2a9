"""A file is whole or it is not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Callable


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
