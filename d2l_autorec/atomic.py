"""Atomic file writes, what they leave after a kill, and locks on folders."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from d2l_autorec.errors import InputError, plain, refused

if TYPE_CHECKING:
    import numpy as np

LOCK = ".lock"
_TEMPORARY = re.compile(r"\..+\.[0-9a-z_]{8}")  # of write_atomic, and of tempfile with a prefix


def write_atomic(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file under a temporary name in its folder, then move it into place.

    ``write`` takes the open binary file. The new file gets the permissions of the process's umask;
    an earlier one stays until it is complete. An OSError leaves no temporary file behind.
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
            with contextlib.suppress(OSError):  # on a full disk what is left fails again
                file.close()
            temporary.unlink()
            raise


def is_leftover(path: Path) -> bool:
    """Whether a name is one that only a killed process leaves: a temporary file or a lock."""
    return path.name == LOCK or _TEMPORARY.fullmatch(path.name) is not None


def sweep(folder: Path, older_than: float = 0.0) -> None:
    """Remove the temporary files and folders that killed processes have left, where possible.

    ``older_than`` is in seconds: an hour where other processes may be writing, 0 under a lock.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            with contextlib.suppress(OSError):
                old = time.time() - path.lstat().st_mtime >= older_than
                if not old or not _TEMPORARY.fullmatch(path.name):
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder that exists, and sweep it.

    The lock is a file, ``.lock``, that names the process. It is removed at the end. One whose
    process has died on this machine is taken over; else an InputError names who holds it.
    """
    path = folder / LOCK
    own = {**this_process(), "token": secrets.token_hex(4)}  # tells two locks of one apart
    try:
        with refused(f"{folder} cannot be locked", "let it be written, or name another folder"):
            while not _make_lock(path, own):
                _take_stale_lock(folder, path)
        sweep(folder)
        yield
    finally:
        if _read_lock(path) == own:
            with contextlib.suppress(OSError):
                path.unlink()


def this_process() -> dict[str, Any]:
    """Return what names this process, for `has_ended`; JSON can hold it."""
    pid = os.getpid()
    return {"pid": pid, "host": socket.gethostname(), "started": _started(pid)}


def _take_stale_lock(folder: Path, path: Path) -> None:
    """Remove a lock whose process has died; raise an InputError if it lives."""
    holder = _read_lock(path)
    if holder is None:  # released meanwhile
        return
    if not has_ended(holder):
        pid, host = holder.get("pid"), plain(holder.get("host"))[:80]
        here = host == socket.gethostname()
        raise InputError(
            f"{folder} is in use by process {pid} on {'this machine, ' if here else ''}{host}; "
            "wait for its end or name another folder"
            + ("." if here else f" (if that process is gone, remove {path}).")
        )
    # Of several processes that find it stale, one moves it away.
    aside = path.with_name(f"{LOCK}.{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)
        moved = _read_lock(aside)
        aside.unlink()
        if moved is not None and moved != holder:  # another process has been faster
            _make_lock(path, moved)


def _make_lock(path: Path, own: Mapping[str, Any]) -> bool:
    """Create the lock with its content at once, unless there is one."""
    made = path.with_name(f"{LOCK}.{secrets.token_hex(4)}")
    try:
        made.write_text(json.dumps(own), encoding="utf-8")
        try:
            os.link(made, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            os.rename(made, path)
        return True
    finally:
        with contextlib.suppress(OSError):
            made.unlink()


def _read_lock(path: Path) -> dict[str, Any] | None:
    """Return a lock's content, empty if it is damaged, None if there is no lock."""
    try:
        held = json.loads(path.read_bytes()[:4096])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def has_ended(holder: Mapping[str, Any]) -> bool:
    """Whether a process, as `this_process` names it, is known to run no more."""
    pid = holder.get("pid")
    if type(pid) is not int or pid <= 0:
        return True  # nothing that this package writes
    if holder.get("host") != socket.gethostname():
        return False
    return not _is_alive(pid) or _started(pid) != holder.get("started")


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # where os.kill would end the process
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle) and code.value == 259  # STILL_ACTIVE
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _started(pid: int) -> str:
    """Return when a process began, where the system tells: a number may be given out again."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return f"{boot} {text.rpartition(')')[2].split()[19]}"


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
