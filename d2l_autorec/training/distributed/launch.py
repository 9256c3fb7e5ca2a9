"""Start a run that several processes share, and see it to its end.

A run has a scheduler, where the processes find each other, servers, which add up, and workers.
MXNet's own processes wait for ever for one that has died, so they are watched from here: the first
that fails ends all. Each runs under `guard`, which takes it down when this process is gone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from d2l_autorec.errors import InputError, plain
from d2l_autorec.training.distributed import guard
from d2l_autorec.training.distributed.group import (
    check_step_timeout,
    step_timeout_from_environment,
)
from d2l_autorec.training.distributed.hosts import HERE, Host, read_hosts

_PASSED_ON = ("D2L_AUTOREC_", "DMLC_", "MXNET_", "OMP_", "PS_", "PYTHONPATH")  # to other machines
_LAST_LINES = 15
_MAX_LINE = 64 * 1024  # bytes; what is longer is shown in pieces
_MAX_GREETING = 1024**2  # bytes that a machine may print before the package answers
_SILENCE = 60.0  # seconds without a sign of life from a guard
_PROBE = 30.0  # seconds for a machine's first answer
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


def launch(
    command: Sequence[str],
    workers: int,
    servers: int = 1,
    hosts: Path | None = None,
    threads: int | None = None,
    step_timeout: float | None = None,
) -> int:
    """Run a ``train`` command in several processes that share its work.

    What worker 0 prints on standard output, the result, comes out as it is; everything else goes
    to standard error, with the name of the process in front of each line.

    Parameters
    ----------
    command : sequence of str
        What follows ``d2l-autorec``: ``train`` and its options.
    workers, servers : int
        Processes that train, and that add up what those send.
    hosts : Path, optional
        File with the machines, see `read_hosts`; the processes are dealt out over them in turn.
        Each is reached with ssh and needs the same Python, data and folder at the same path;
        worker 0 writes the run's folder on the first.
    threads : int, optional
        Of each worker. By default its share of its machine's cores, or ``OMP_NUM_THREADS``.
    step_timeout : float, optional
        Seconds a worker waits for the others before it gives up; 120 by default.

    Returns
    -------
    int
        0, or the exit code of the process that failed first; 130 after Ctrl-C.

    Raises
    ------
    InputError
        If the command is not ``train``, a number cannot be used, or a machine.
    """
    if not command or command[0] != "train":
        raise InputError("launch runs the train command only: put -- train and its options last.")
    return run_group(
        [sys.executable, "-m", "d2l_autorec", *command],
        workers, servers, hosts, threads, step_timeout,
    )  # fmt: skip


def run_group(
    worker: Sequence[str],
    workers: int,
    servers: int = 1,
    hosts: Path | None = None,
    threads: int | None = None,
    step_timeout: float | None = None,
) -> int:
    """Do what `launch` does with any command for the workers."""
    for name, number in (("workers", workers), ("servers", servers), ("threads", threads)):
        if number is not None and number < 1:
            raise InputError(f"--{name} is {number}; give at least 1.")
    if step_timeout is not None:
        check_step_timeout(step_timeout, "--step-timeout")
    waited = step_timeout_from_environment() if step_timeout is None else step_timeout
    machines = read_hosts(hosts) if hosts else [HERE]
    with ThreadPoolExecutor(len(machines)) as pool:
        ports = list(pool.map(_free_port, machines))
    shared = {
        "DMLC_PS_ROOT_URI": machines[0].address,
        "DMLC_PS_ROOT_PORT": ports[0],
        "DMLC_NUM_WORKER": str(workers),
        "DMLC_NUM_SERVER": str(servers),
    }
    if step_timeout is not None:
        shared["D2L_AUTOREC_STEP_TIMEOUT"] = str(step_timeout)
    if threads is not None:
        shared["OMP_NUM_THREADS"] = str(threads)
    roles = [("scheduler", 0), *(("server", i) for i in range(servers))]
    roles += [("worker", i) for i in range(workers)]
    processes = []
    for role, i in roles:
        place = i % len(machines)
        environment = {**shared, "DMLC_ROLE": role, "DMLC_NODE_HOST": machines[place].address}
        # MXNet plays the role while it is imported, and ends
        program = [sys.executable, "-c", "import d2l_autorec, mxnet"]
        if role == "worker":
            environment["D2L_AUTOREC_RANK"] = str(i)
            here = len(range(place, workers, len(machines)))
            environment["D2L_AUTOREC_WORKERS_HERE"] = str(here)
            program = list(worker)
        name = role if role == "scheduler" else f"{role} {i}"
        processes.append(_Process(name, machines[place], environment, program))
    return _supervise(processes, waited)


@dataclass
class _Process:
    """One process of the run.

    Attributes
    ----------
    tail : deque of str
        The last lines that it wrote.
    greeted : bool
        Whether its guard has answered; what came before is a login's banner.
    silence : float
        Seconds since the guard's last sign of life.
    """

    name: str
    host: Host
    environment: dict[str, str]
    program: list[str]
    shown: bool = True
    popen: subprocess.Popen[bytes] | None = None
    readers: list[threading.Thread] = field(default_factory=list)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    greeted: bool = False
    silence: float = 0.0
    greeting: int = 0
    showing: int = 0

    @property
    def title(self) -> str:
        """Its name, and its machine where that is not this one."""
        return f"{self.name} on {self.host.name}" if self.host.name else self.name

    @property
    def is_worker(self) -> bool:
        return self.name.startswith("worker")

    def start(self) -> None:
        self.popen = _popen(self.host, self.program, self.environment)
        assert self.popen.stdout is not None and self.popen.stderr is not None
        for stream in (self.popen.stdout, self.popen.stderr):
            reader = threading.Thread(
                target=self._read, args=(stream, stream is self.popen.stdout), daemon=True
            )
            reader.start()
            self.readers.append(reader)

    def _read(self, stream: IO[bytes], is_stdout: bool) -> None:
        """Pass on what comes, in lines of bounded length; zero bytes are from the guard."""
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
        return self.popen.poll() if self.popen else None

    def join_readers(self) -> None:
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
    return subprocess.Popen(
        guarded, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def _free_port(host: Host) -> str:
    """Ask a machine for a free port, and thereby whether it can be used at all."""
    probe = _Process("probe", host, {}, [], shown=False)
    reason, end = f"no answer in {_PROBE:g} s", time.monotonic() + _PROBE
    with _stopped_at_end([probe], patience=0):
        try:
            probe.start()
        except FileNotFoundError:
            raise InputError("--hosts needs the program ssh; install OpenSSH's client.") from None
        while time.monotonic() < end:
            ended = probe.code() is not None
            if ended:
                probe.join_readers()
            ports = [re.fullmatch("port ([0-9]+)", line) for line in list(probe.tail)]
            for port in filter(None, ports if probe.greeted else []):
                return port[1]
            if ended or probe.greeting > _MAX_GREETING:
                lines = [line for line in probe.tail if line.strip()]
                reason = lines[-1][:500] if lines else "no message"
                if not ended:
                    reason = "it prints without end and does not start the package"
                break
            time.sleep(0.02)
    raise InputError(
        f"{host.name or 'this machine'} cannot be used ({reason}); it must let ssh in without "
        f"a password and have the package in {sys.executable}, run from {os.getcwd()}."
    )


@dataclass(frozen=True)
class _Failure:
    """Why a run was ended: the processes at fault, what they did, and the exit code to give."""

    processes: list[_Process]
    said: str
    code: int = 1

    def report(self) -> str:
        titles = " and ".join(process.title for process in self.processes)
        lines = [f"d2l-autorec: {titles} {self.said}; all the others have been stopped."]
        for process in self.processes:
            whose = "Its" if len(self.processes) == 1 else f"{process.name}'s".capitalize()
            missing = "" if process.tail else " are missing: it wrote nothing."
            lines[-1] += f" {whose} last lines{missing or ':'}"
            lines += [f"    {line}" for line in process.tail]
        return "\n".join(lines)


def _supervise(processes: list[_Process], step_timeout: float) -> int:
    """Start all, wait for the end or the first failure, and leave none behind."""
    with _stopped_at_end(processes):
        try:
            for process in processes:
                process.start()
            failure = _first_failure(processes, step_timeout)
        except KeyboardInterrupt:
            print("d2l-autorec: stopping all processes", file=sys.stderr, flush=True)
            return 130
    for process in processes:
        process.join_readers()
    if failure is None:
        return 0
    if failure.processes:
        print(failure.report(), file=sys.stderr, flush=True)
        return failure.code
    # All workers have waited in vain. Servers end when asked to, unless they have been stopped.
    stuck = [p for p in processes if not p.is_worker and p.code() in _KILLED]
    if stuck:
        print(_Failure(stuck, failure.said).report(), file=sys.stderr, flush=True)
    else:
        print(
            f"d2l-autorec: All workers have waited {step_timeout:g} s in vain: a server, the "
            "scheduler or the network between the machines hangs (--step-timeout).",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return failure.code


def _first_failure(processes: list[_Process], step_timeout: float) -> _Failure | None:
    workers = [process for process in processes if process.is_worker]
    before, end = time.monotonic(), None
    while True:
        codes = [process.code() for process in processes]
        for process, code in zip(processes, codes):
            if code and code != guard.GAVE_UP:
                process.join_readers()
                return _Failure([process], _how(code), code if 0 < code < 256 else 1)
        if all(process.code() == 0 for process in workers):
            return None
        now = time.monotonic()
        if guard.GAVE_UP in codes:  # not at fault; those are that do not give up, too
            end = end or now + min(30.0, max(2.0, step_timeout / 4))
            late = [process for process in workers if process.code() is None]
            if not late or now > end:
                said = f"kept the others waiting for {step_timeout:g} s (--step-timeout)"
                return _Failure(late, said)
        for process, code in zip(processes, codes):
            if code is None and not process.showing:
                process.silence += min(now - before, 1.0)  # more if this process was stopped
        silent = [p for p, code in zip(processes, codes) if code is None and p.silence > _SILENCE]
        if silent:
            said = f"gave no sign of life for {_SILENCE:g} s: machine or connection hangs"
            return _Failure(silent, said)
        before = now
        time.sleep(0.05)


@contextlib.contextmanager
def _stopped_at_end(
    processes: list[_Process], patience: float = 2 * guard.GRACE
) -> Iterator[None]:
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


def _how(code: int) -> str:
    number = -code if code < 0 else code - 128
    if code < 0 or code > 128:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(number).name}"
    return f"ended with exit code {code}"
