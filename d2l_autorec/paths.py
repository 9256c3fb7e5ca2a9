"""Look at paths and open files that users name, without a stack trace and without hanging."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from d2l_autorec.errors import InputError

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def kind(path: str | Path) -> str:
    """Return what lies at a path, links followed; unlike ``Path.exists`` it raises no OSError.

    It is a "file", "folder", "named pipe", "socket" or "device", or empty if nothing is there. An
    InputError says why the system does not tell: the folder may not be read, the name is too long.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:  # the latter for a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        said = f"{path} cannot be read ({reason}); check the path and its rights."
        raise InputError(said) from None
    return _KINDS.get(stat.S_IFMT(mode), "device")


def check_new_file(option: str, path: Path, endings: Sequence[str]) -> None:
    """Raise an InputError unless a new file, with an ending such as ``.csv``, can be made there.

    ``option`` is the one that names the path, for the sentence.
    """
    if not path.name.endswith(tuple(endings)):
        listed = " or ".join(filter(None, [", ".join(endings[:-1]), endings[-1]]))
        raise InputError(f"{option} {path}: the name must end with {listed}.")
    if kind(path):
        raise InputError(f"{option} {path} exists; name a new file.")
    if kind(path.parent) != "folder":
        raise InputError(f"{option} {path}: there is no folder {path.parent}; make it first.")


def require_file(path: str | Path) -> None:
    """Raise an InputError if a path is a folder, pipe, socket or device, which may never end.

    A path with nothing there passes: opening it raises FileNotFoundError.
    """
    found = kind(path)
    if found not in ("file", ""):
        raise InputError(f"{path} is a {found}, not a file; save the content in a file.")


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file for reading, in binary; ``open`` would wait for ever on a named pipe.

    An InputError says that the path is something else; what cannot be opened is an OSError.
    """
    require_file(path)
    # Not blocking, for what has been put in the file's place since.
    return open(path, "rb", opener=_open_without_waiting)


def _open_without_waiting(path: str, flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISFIFO(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path} is a named pipe, not a file; save the content in a file.")
    return handle
