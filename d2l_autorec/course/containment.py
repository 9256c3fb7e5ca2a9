"""What a student's process may not do, and what holds it to that.

Three layers, of which each says whether it holds; `d2l_autorec.course.checker` says against what.

limits
    Memory, processor time, size of a file, open files (``resource``: Linux and macOS).
hook
    Python's audit hook refuses, with a sentence, what Python code does: writing outside its
    folder, reading what is none of its business, programs, sockets, signals, C libraries.
kernel
    On Linux, `d2l_autorec.course.kernel` has the kernel refuse the same, whatever code asks.

The time limit is the checker's own, which kills the process.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

MAX_FILE = 1 << 26  # bytes
MAX_OPEN_FILES = 256
_MAX_NOTES = 20

# What a student's file may import of this package; the rest holds solutions.
SHOWN = ("__init__", "atomic", "compat", "config", "data", "errors", "progress", "runtime")


class Refused(PermissionError):
    """Something that a submission may not do."""


def limit(memory: int, seconds: int) -> list[str]:
    """Set the limits of this process; return the names of those that hold.

    The memory is in bytes of address space beyond what the process has now; the seconds are of
    processor time, should the checker die before its child.
    """
    try:
        import resource
    except ImportError:  # Windows
        return []
    wanted = {
        "RLIMIT_AS": _address_space() + memory,
        "RLIMIT_CPU": seconds,
        "RLIMIT_FSIZE": MAX_FILE,
        "RLIMIT_NOFILE": MAX_OPEN_FILES,
        "RLIMIT_CORE": 0,
    }
    if sys.platform == "darwin":
        del wanted["RLIMIT_AS"]  # macOS accepts it and does not hold it
        wanted["RLIMIT_NPROC"] = 0  # Linux counts threads, of all of the user's processes
    held = []
    for name, value in wanted.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))
            held.append(name)
    return held


def _address_space() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 2 << 30


_EVENTS = {
    "start another process": "os.exec os.fork os.forkpty os.posix_spawn os.spawn os.startfile "
    "os.system pty.spawn subprocess.Popen webbrowser.open",
    "send a signal": "os.kill os.killpg signal.pthread_kill",
    "change its limits": "resource.setrlimit resource.prlimit cpython.run_command",
    "look into the interpreter": "gc.get_objects gc.get_referrers gc.get_referents "
    "ctypes.dlsym/handle",
}
_WISHES = {event: wish for wish, events in _EVENTS.items() for event in events.split()}
# Which arguments are paths; after -> the place of a folder's descriptor that they are relative to.
_CHANGES = {
    "os.chflags": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((0, 2), (1, 3)),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.removexattr": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.setxattr": ((0, None),),
    "os.symlink": ((0, None), (1, 2)),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
}
_LISTINGS = {"os.listdir", "os.listxattr", "os.scandir"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch(
    writable: str, readable: Sequence[str], hidden: str, shown: Sequence[str]
) -> Callable[[], list[str]]:
    """Install the audit hook, with arguments as for `kernel.restrict_files`.

    It keeps all that it needs to itself. What is returned tells what was refused so far.
    """
    notes: list[str] = []
    separator, own = os.sep, (os.path.realpath(writable),)
    readable, shown = tuple(readable), (*own, *shown)

    def below(path: str, folders: tuple[str, ...]) -> bool:
        return any(path == folder or path.startswith(folder + separator) for folder in folders)

    def refuse(text: str) -> None:
        notes.append(text)
        raise Refused(f"refused: {text}")

    def whole(path: Any, folder: Any = None) -> str | None:
        """The real path; None for a file that is open already."""
        if isinstance(path, int):
            return None
        path = os.fsdecode("." if path is None else path)
        if isinstance(folder, int) and folder >= 0 and not os.path.isabs(path):
            path = os.path.join(os.path.realpath(f"/proc/self/fd/{folder}"), path)
        return os.path.realpath(path)

    def check_read(path: Any, verb: str) -> None:
        real = whole(path)
        if real is None or below(real, shown) or real == os.devnull:
            return
        if below(real, (hidden,)) or not below(real, readable):
            refuse(f"{verb} {real}")

    def check_write(path: Any, folder: Any, verb: str) -> None:
        real = whole(path, folder)
        if real is not None and real != os.devnull and not below(real, own):
            refuse(f"{verb} {real}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if (isinstance(flags, int) and flags & _WRITING) or set(mode or "") & set("wax+"):
                check_write(path, None, "write to")
            else:
                check_read(path, "read")
        elif event in _LISTINGS:
            check_read(arguments[0], "list")
        elif event == "import":
            name = str(arguments[0])
            if name.startswith("d2l_autorec.") and name.split(".")[1] not in SHOWN:
                refuse(f"import {name}")
            if name in ("_posixsubprocess", "_winapi"):
                refuse(f"import {name}")
        elif event in _CHANGES:
            verb = "remove" if event in ("os.remove", "os.rmdir") else "change"
            for i, folder in _CHANGES[event]:
                check_write(arguments[i], arguments[folder] if folder else None, verb)
        elif event in _WISHES:
            refuse(_WISHES[event])
        elif event.startswith("socket.") and event != "socket.gethostname":
            refuse("use the network")
        elif event == "ctypes.dlopen":
            if not isinstance(arguments[0], str) or not os.path.isabs(arguments[0]):
                refuse("load a C library")
            check_read(arguments[0], "load")
        elif event == "ctypes.dlsym":
            if not str(arguments[1]).startswith(("MX", "NN", "LLVM")):
                refuse(f"call {arguments[1]} of a C library")
        elif event.startswith("winreg."):
            refuse("use the registry")
        elif event == "sqlite3.connect" and arguments[0] != ":memory:":
            check_write(arguments[0], None, "write to")

    sys.addaudithook(hook)
    return lambda: notes[:_MAX_NOTES]
