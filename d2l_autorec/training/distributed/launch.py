"""Start a run that several processes share, and see it to its end.

A run has a scheduler, where the processes find each other, servers, which add up, and workers.
MXNet's own processes wait for ever for one that has died, so they are watched from here: the first
that fails ends all. Each runs under `guard`, which takes it down when this process is gone.
"""

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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from d2l_autorec.errors import InputError
from d2l_autorec.training.distributed import guard
from d2l_autorec.training.distributed.hosts import HERE, Host, read_hosts

_PASSED_ON = ("D2L_AUTOREC_", "DMLC_", "MXNET_", "OMP_", "PS_", "PYTHONPATH")  # to other machines
_LAST_LINES = 15
_FAREWELL = 10.0  # seconds that servers get to end by themselves after the workers


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
        If the command is not ``train``, a number is below 1, or a machine cannot be used.
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
    if step_timeout is not None and not step_timeout > 0:
        raise InputError(f"--step-timeout is {step_timeout:g}; give a number of seconds.")
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
        program = [sys.executable, "-c", "import mxnet"]  # which plays the role and ends
        if role == "worker":
            environment["D2L_AUTOREC_RANK"] = str(i)
            here = len(range(place, workers, len(machines)))
            environment["D2L_AUTOREC_WORKERS_HERE"] = str(here)
            program = list(worker)
        name = role if role == "scheduler" else f"{role} {i}"
        processes.append(_Process(name, machines[place], environment, program))
    return _supervise(processes)


@dataclass
class _Process:
    """One process of the run, once started; `tail` is what it wrote last."""

    name: str
    host: Host
    environment: dict[str, str]
    program: list[str]
    popen: subprocess.Popen[str] | None = None
    readers: list[threading.Thread] = field(default_factory=list)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))

    def start(self) -> None:
        self.popen = _popen(self.host, self.program, self.environment)
        assert self.popen.stdout is not None and self.popen.stderr is not None
        for stream in (self.popen.stdout, self.popen.stderr):
            result = self.name == "worker 0" and stream is self.popen.stdout
            reader = threading.Thread(target=self._pass_on, args=(stream, result), daemon=True)
            reader.start()
            self.readers.append(reader)

    def _pass_on(self, stream: IO[str], result: bool) -> None:
        for line in stream:
            self.tail.append(line)
            text = line if result else f"{self.name} | {line.rstrip()}\n"
            with contextlib.suppress(OSError, ValueError):  # cannot be shown; the run goes on
                print(text, end="", file=sys.stdout if result else sys.stderr, flush=True)

    def code(self) -> int | None:
        return self.popen.poll() if self.popen else None

    def join_readers(self) -> None:
        for reader in self.readers:
            reader.join(timeout=1)


def _popen(
    host: Host, program: Sequence[str], environment: dict[str, str]
) -> subprocess.Popen[str]:
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
        stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip


def _free_port(host: Host) -> str:
    """Ask a machine for a free port, and thereby whether it can be used at all."""
    try:
        process = _popen(host, [], {})
        out, err = process.communicate(timeout=30)
    except FileNotFoundError:
        raise InputError("--hosts needs the program ssh; install OpenSSH's client.") from None
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = "", "no answer in 30 s"
    if not out.strip().isdigit():
        reason = (err.strip().splitlines() or ["no message"])[-1]
        raise InputError(
            f"{host.name or 'this machine'} cannot be used ({reason}); it must let ssh in without "
            f"a password and have the package in {sys.executable}, run from {os.getcwd()}."
        )
    return out.strip()


def _supervise(processes: list[_Process]) -> int:
    """Start all, wait for the end or the first failure, and leave none behind."""
    failed = None
    with _stopped_at_end(processes):
        try:
            for process in processes:
                process.start()
            failed = _first_failure(processes)
        except KeyboardInterrupt:
            print("d2l-autorec: stopping all processes", file=sys.stderr, flush=True)
            return 130
    for process in processes:
        process.join_readers()
    if failed is None:
        return 0
    code = failed.code()
    assert code is not None
    where = f" on {failed.host.name}" if failed.host.name else ""
    print(
        f"d2l-autorec: {failed.name}{where} {_how(code)}; all the others have been stopped. "
        f"Its last lines{':' if failed.tail else ' are missing: it wrote nothing.'}",
        *(f"    {line.rstrip()}" for line in failed.tail),
        sep="\n", file=sys.stderr, flush=True,
    )  # fmt: skip
    return code if 0 < code < 256 else 1


def _first_failure(processes: list[_Process]) -> _Process | None:
    end = None
    while True:
        for process in processes:
            if process.code():
                process.join_readers()
                return process
        workers = [process for process in processes if process.name.startswith("worker")]
        if all(process.code() == 0 for process in workers):
            end = end or time.monotonic() + _FAREWELL
            if time.monotonic() > end or all(process.code() == 0 for process in processes):
                return None
        time.sleep(0.05)


@contextlib.contextmanager
def _stopped_at_end(processes: list[_Process]) -> Iterator[None]:
    """Close the guards' input, which stops what they run; kill those that do not end."""
    try:
        yield
    finally:
        running = [p.popen for p in processes if p.popen is not None]
        for popen in running:
            if popen.stdin is not None:
                with contextlib.suppress(OSError):
                    popen.stdin.close()
        end = time.monotonic() + 2 * guard.GRACE
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
