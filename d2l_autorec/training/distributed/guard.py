"""Run one command, and stop it when the launcher ends.

``python -m d2l_autorec.training.distributed.guard COMMAND ...`` runs the command until it ends or
standard input closes, which happens on this machine and through ssh alike when the launcher ends,
however it ends. Without a command it prints a free port, which also shows that the package is
here.

A zero byte on both outputs marks where a login's own messages end, and one on standard error every
few seconds tells the launcher that this machine and the connection to it are alive.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from d2l_autorec.runtime import num_cores

GRACE = 2.0  # seconds between asking and killing
BEAT = 5.0  # seconds between two signs of life
GAVE_UP = 75  # exit code of a worker that has waited too long for the others
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Return the command's exit code, or 128 and the signal's number."""
    command = sys.argv[1:]
    os.write(1, b"\0")
    threading.Thread(target=_beat, daemon=True).start()
    if not command:
        with socket.socket() as free:
            free.bind(("", 0))
            print("port", free.getsockname()[1])
        return 0
    workers = os.environ.get("D2L_AUTOREC_WORKERS_HERE")
    if workers:  # a worker: it gets its share of this machine's cores
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, num_cores() // int(workers))))
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def die_with_guard() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    # A session of its own: Ctrl-C is the launcher's to handle, and all the command starts is
    # reached by one signal.
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_guard
    )
    threading.Thread(target=_await_end_of_input, args=(child.pid,), daemon=True).start()
    code = child.wait()
    _signal(child.pid, signal.SIGKILL)
    return 128 - code if code < 0 else code


def _beat() -> None:
    with contextlib.suppress(OSError):
        while True:
            os.write(2, b"\0")
            time.sleep(BEAT)


def _await_end_of_input(group: int) -> None:
    while os.read(0, 1024):
        pass
    _signal(group, signal.SIGTERM)
    time.sleep(GRACE)
    _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
