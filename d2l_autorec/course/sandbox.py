"""A process for code that nobody has read: started, asked, timed and ended here."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec.course import wire
from d2l_autorec.course.containment import SHOWN
from d2l_autorec.errors import InputError

_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share", "/System", "/Library")
_ETC = ("/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/os-release")
_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system")
_SYSTEM = (*_LIBRARIES, *_ETC, *_MACHINE, "/dev/urandom", "/dev/random")
_FOLDERS = ("HOME", "TMPDIR", "TEMP", "TMP", "MXNET_HOME", "MPLCONFIGDIR", "USERPROFILE")
_KEPT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH", "SYSTEMROOT")


class Ended(Exception):
    """The process gave no answer: it was "late", it "died" (with a code) or it "garbled" it."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


class Sandbox:
    """A process that runs one submission in a temporary folder of its own.

    Use it as a context manager; at the end the process is killed and the folder removed. An
    InputError says that it cannot be started, which is no fault of the submission.

    Parameters
    ----------
    seconds : float
        For all answers together.
    memory : int
        Bytes that the submission may use beyond what MXNet takes.
    num_threads : int
        Of MXNet.
    kernel : bool
        Whether to ask the kernel for help where it can; the tests look at the hook alone.

    Attributes
    ----------
    folder : Path
        The only folder that the process may write to.
    held, refused : list of str
        What holds it to that (see `d2l_autorec.course.containment`), and what it says that it was
        refused.
    """

    def __init__(
        self, seconds: float, memory: int, num_threads: int = 1, kernel: bool = True
    ) -> None:
        self.seconds, self.memory = seconds, memory
        self.num_threads, self.kernel = num_threads, kernel
        self.held: list[str] = []
        self.refused: list[str] = []
        self.process: Any = None

    def __enter__(self) -> Sandbox:
        self.folder = Path(tempfile.mkdtemp(prefix="d2l-autorec-check-")).resolve()
        try:
            _lend_fonts(self.folder)
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment.update(dict.fromkeys(_FOLDERS, str(self.folder)))
        environment.update(MPLBACKEND="agg", PYTHONIOENCODING="utf-8")
        environment["OMP_NUM_THREADS"] = str(self.num_threads)
        settings = {
            "path": _search_path(),
            "writable": str(self.folder),
            "readable": _readable(),
            "hidden": str(_PACKAGE),
            "shown": _shown(),
            "kernel": self.kernel,
            "memory": self.memory,
            "seconds": int(2 * self.seconds * self.num_threads) + 10,
        }
        # -B: no .pyc is written; -I: nothing comes from the folder or the environment
        program = Path(__file__).with_name("worker.py")
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(program), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            env=environment,
            start_new_session=True,
        )
        self._end = time.monotonic() + max(60.0, self.seconds)
        try:
            fields, _ = self._wait(lambda: wire.receive(self.process.stdout))
        except Ended as error:
            fields = {"failed": error}
        if "failed" in fields:
            raise InputError(f"The process for the submission did not start: {fields['failed']}.")
        self.held = [str(name) for name in fields["held"]]
        self._end = time.monotonic() + self.seconds  # loading MXNet is not the student's time

    def ask(
        self, do: str, arrays: Mapping[str, Any] | None = None, **fields: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Call a method of the worker with arrays and fields; return its fields and its arrays.

        The fields have the key "error" where the submission raised one. `Ended` is raised if there
        is no answer: the process is gone for good.
        """

        def exchange() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
            wire.send(self.process.stdin, {"do": do, **fields}, arrays or {})
            return wire.receive(self.process.stdout)

        answer, results = self._wait(exchange)
        refused = answer.pop("refused", [])
        if isinstance(refused, list):
            self.refused = [str(text)[:200] for text in refused[:20]]
        return answer, results

    def _wait(self, exchange: Any) -> Any:
        """Run in a thread what may block for ever."""
        answers: queue.Queue[Any] = queue.Queue()

        def run() -> None:
            try:
                answers.put(exchange())
            except (wire.BrokenChannel, OSError, ValueError) as error:
                answers.put(error)

        threading.Thread(target=run, daemon=True).start()
        try:
            answer = answers.get(timeout=max(self._end - time.monotonic(), 0.01))
        except queue.Empty:
            self.kill()
            raise Ended("late") from None
        if not isinstance(answer, Exception):
            return answer
        if not isinstance(answer, (wire.Closed, OSError)):
            self.kill()
            raise Ended("garbled")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        code = self.process.poll()
        self.kill()
        raise Ended("died", code)

    def kill(self) -> None:
        """End the process and those it may have started."""
        if self.process is None:
            return
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout) if self.process else ():
            with contextlib.suppress(OSError, ValueError):
                pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _search_path() -> list[str]:
    """The folders with packages that this process imports from, and that of this package."""
    places = tuple(_readable())
    paths = [path for path in sys.path if path and os.path.realpath(path).startswith(places)]
    root = str(_PACKAGE.parent)
    return paths if root in paths else [*paths, root]


def _readable() -> list[str]:
    """What Python, its packages and the system's libraries need to read."""
    libraries = {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    wanted = libraries | {place for place in places if place not in ("/", "/usr")} | set(_SYSTEM)
    return sorted({os.path.realpath(path) for path in wanted if os.path.exists(path)})


def _shown() -> list[str]:
    """What a submission may read of this package, and what its process needs."""
    paths = [_PACKAGE / name for name in (*SHOWN, "course/__init__", "course/wire")]
    return [str(path if path.is_dir() else path.with_suffix(".py")) for path in paths]


def _lend_fonts(folder: Path) -> None:
    """Copy Matplotlib's list of fonts, which takes seconds to make."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
    with contextlib.suppress(OSError):
        for file in cache.glob("fontlist-*.json"):
            shutil.copy(file, folder)
