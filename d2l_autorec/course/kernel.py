"""What Linux lets an ordinary process give up for good: files (Landlock), calls (seccomp).

Both bind this process, its threads and its children, whatever code they run, and cannot be
undone. Neither needs a privilege or a package. Sources: Documentation/userspace-api/landlock.rst
and seccomp_filter.rst of Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterator, Sequence

_NO_NEW_PRIVS, _SET_SECCOMP = 38, 22
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# execute, write, read and truncate, the rights that a file can have: all but those of folders
_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14

# System calls: number on x86-64, on aarch64 (-1 where it has none).
_REFUSED = {
    "socket": (41, 198),
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "tkill": (200, 130),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, -1),
    "lchown": (94, -1),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
}
_ONLY_ITSELF = {"kill": (62, 129), "tgkill": (234, 131)}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_CLONE_THREAD = 0x10000
_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_LOAD, _RETURN, _IF_EQUAL, _IF_AT_LEAST, _IF_FLAG = 0x20, 0x06, 0x15, 0x35, 0x45
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def restrict_files(
    writable: str, readable: Sequence[str], hidden: str, shown: Sequence[str]
) -> bool:
    """Leave this process one folder to write to and a few to read from (Landlock, Linux 5.13).

    It returns whether the kernel holds it.

    Parameters
    ----------
    writable : str
        Folder. Everything may be done in it but running a program.
    readable : sequence of str
        Files and folders, with all below them but `hidden`. Those that do not exist are skipped.
    hidden : str
        Folder that may not be read, though it may lie in a readable one.
    shown : sequence of str
        What may be read in the hidden folder all the same.
    """
    if not sys.platform.startswith("linux"):
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    version = call(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    # 13 rights at first; 2 adds renaming across folders, 3 truncation, 5 ioctl on devices
    rights = (1 << 13 + (version >= 2) + (version >= 3) + (version >= 5)) - 1
    # 4 adds TCP (bind, connect), 6 adds abstract sockets and signals to others
    attributes = struct.pack("QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if rules < 0:
        return False

    def allow(path: str, wanted: int) -> None:
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            wanted &= rights if os.path.isdir(path) else rights & _OF_FILES
            rule = struct.pack("=Qi", wanted, handle)
            call(_ADD_RULE, rules, 1, rule, 0)
            os.close(handle)

    allow(writable, rights & ~1)
    allow(os.devnull, 1 << 1 | _READ_FILE)
    for path in readable:
        for part, whole in _without(os.path.realpath(path), os.path.realpath(hidden)):
            allow(part, _READ_FILE | _READ_DIR if whole else _READ_DIR)
    for path in shown:
        allow(path, _READ_FILE | _READ_DIR)
    held = _no_new_privileges() and call(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return held


def _without(path: str, hidden: str) -> Iterator[tuple[str, bool]]:
    """Yield `path`, or its parts if `hidden` lies in it, and whether a part is to be read."""
    if path == hidden or path.startswith(hidden + os.sep):
        return
    inside = hidden.startswith(path.rstrip(os.sep) + os.sep)
    yield path, not inside
    if inside:
        for name in os.listdir(path):
            part = os.path.realpath(os.path.join(path, name))
            # a link to what holds the hidden folder, as lib64 to lib, would let all of it be read
            if part.startswith(path + os.sep) or not hidden.startswith(part + os.sep):
                yield from _without(part, hidden)


def restrict_calls() -> bool:
    """Refuse sockets, new processes, signals to others and the like (seccomp).

    It returns whether the kernel holds it.
    """
    if not sys.platform.startswith("linux") or platform.machine() not in _MACHINES:
        return False
    column, architecture = _MACHINES[platform.machine()]
    code = filter_calls(column, architecture, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return _no_new_privileges() and prctl(_SET_SECCOMP, 2, described, 0, 0) == 0  # 2: a filter


def filter_calls(column: int, architecture: int, process: int) -> bytes:
    """Return the seccomp program for one architecture and the process that may signal itself."""
    refuse, number, argument = _step(_RETURN, _ERROR | _EPERM), _step(_LOAD, 0), _step(_LOAD, 16)
    program = [_step(_LOAD, 4), _step(_IF_EQUAL, architecture, 1), refuse, number]
    if column == 0:
        program += [_step(_IF_AT_LEAST, 0x40000000, 0, 1), refuse]  # the x32 calls
    for numbers in _REFUSED.values():
        if numbers[column] >= 0:
            program += [_step(_IF_EQUAL, numbers[column], 0, 1), refuse]
    # the flags of clone3 cannot be seen; libraries try clone
    program += [_step(_IF_EQUAL, _CLONE3[column], 0, 1), _step(_RETURN, _ERROR | _ENOSYS)]
    only = [(numbers, _step(_IF_EQUAL, process, 1)) for numbers in _ONLY_ITSELF.values()]
    for numbers, test in [*only, (_CLONE, _step(_IF_FLAG, _CLONE_THREAD, 1))]:
        program += [_step(_IF_EQUAL, numbers[column], 0, 4), argument, test, refuse, number]
    return b"".join([*program, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; a test passes over so many of the next where it is true or false."""
    return struct.pack("HBBI", code, then, otherwise, value)


def _no_new_privileges() -> bool:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
