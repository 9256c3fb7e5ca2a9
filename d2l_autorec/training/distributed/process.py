"""One process of a run, here or on another machine, under its guard."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from d2l_autorec.errors import plain
from d2l_autorec.training.distributed import guard
from d2l_autorec.training.distributed.hosts import Host

_PASSED_ON = ("D2L_AUTOREC_", "DMLC_", "MXNET_", "OMP_", "PS_", "PYTHONPATH")  # to other machines
_LAST_LINES = 15
_MAX_LINE = 64 * 1024  # bytes; what is longer is shown in pieces


@dataclass
class Process:
    """One process of the run."""

    name: str
    host: Host
    environment: dict[str, str]
    program: list[str]
    shown: bool = True
    popen: subprocess.Popen[bytes] | None = None
    readers: list[threading.Thread] = field(default_factory=list)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    greeted: bool = False  # its guard has answered; what came before is a login's banner
    greeting: int = 0  # bytes before that
    silence: float = 0.0  # seconds since the guard's last sign of life
    showing: int = 0

    @property
    def title(self) -> str:
        """Its name, and its machine where that is not this one."""
        return f"{self.name} on {self.host.name}" if self.host.name else self.name

    @property
    def is_worker(self) -> bool:
        """Whether it trains."""
        return self.name.startswith("worker")

    def start(self) -> None:
        """Start it, and the threads that read what it writes."""
        self.popen = _popen(self.host, self.program, self.environment)
        assert self.popen.stdout is not None and self.popen.stderr is not None
        for stream in (self.popen.stdout, self.popen.stderr):
            read = (stream, stream is self.popen.stdout)
            self.readers.append(threading.Thread(target=self._read, args=read, daemon=True))
            self.readers[-1].start()

    def _read(self, stream: IO[bytes], is_stdout: bool) -> None:
        """Pass on the output in lines of bounded length; zero bytes are from the guard."""
        result, waiting = False, b""
        while chunk := os.read(stream.fileno(), _MAX_LINE):
            if b"\0" in chunk:
                self.greeted, self.silence = True, 0.0
            elif not self.greeted:
                self.greeting += len(chunk)
            if is_stdout and not result and b"\0" in chunk:
                banner, _, chunk = chunk.partition(b"\0")
                self._pass_on((waiting + banner).splitlines(), False)
                result, waiting = self.name == "worker 0", b""
            *lines, waiting = (waiting + chunk.replace(b"\0", b"")).split(b"\n")
            if len(waiting) > _MAX_LINE:
                lines, waiting = [*lines, waiting], b""
            self._pass_on(lines, result)
        self._pass_on([waiting] if waiting else [], result)

    def _pass_on(self, lines: Sequence[bytes], result: bool) -> None:
        for line in lines:
            text = line.decode("utf-8", "replace")
            self.tail.append(plain(text.rstrip()))
            if not self.shown:
                continue
            text = text if result else f"{self.name} | {self.tail[-1]}"
            self.showing += 1  # for a stopped terminal a launcher waits as long as need be
            with contextlib.suppress(OSError, ValueError):  # cannot be shown; the run goes on
                print(text, file=sys.stdout if result else sys.stderr, flush=True)
            self.showing -= 1

    def code(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self.popen.poll() if self.popen else None

    def join_readers(self) -> None:
        """Wait until all of its output has been passed on."""
        for reader in self.readers:
            reader.join(timeout=1)


def _popen(
    host: Host, program: Sequence[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program under a guard, here or on another machine."""
    guarded = [sys.executable, "-m", guard.__name__, *program]
    environment = {**environment, "PYTHONUNBUFFERED": "1"}
    if host.name is None:
        environment = {**os.environ, **environment}
    else:
        # Variables of ours that the user has set go along; ssh would drop them.
        passed_on = {k: v for k, v in os.environ.items() if k.startswith(_PASSED_ON)}
        settings = [f"{k}={v}" for k, v in {**passed_on, **environment}.items()]
        there = f"cd {shlex.quote(os.getcwd())} && exec {shlex.join(['env', *settings, *guarded])}"
        options = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5")
        guarded = ["ssh", *(f"-o{option}" for option in options), host.name, there]
        environment = dict(os.environ)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        guarded, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )


@contextlib.contextmanager
def stopped_at_end(processes: list[Process], patience: float = 2 * guard.GRACE) -> Iterator[None]:
    """Close the guards' input, which stops what they run; kill those that do not end."""
    try:
        yield
    finally:
        running = [p.popen for p in processes if p.popen is not None]
        for popen in running:
            if popen.stdin is not None:
                with contextlib.suppress(OSError):
                    popen.stdin.close()
        end = time.monotonic() + patience
        for popen in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(max(0.0, end - time.monotonic()))
            if popen.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()
