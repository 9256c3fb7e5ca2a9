"""Launch and supervise a multi-process run.

A run has a scheduler, where the processes find each other, servers, which add up, and workers.
MXNet's processes wait for ever for one that has died, so this process watches them, and stops all
when one fails. Each runs under `guard`, which stops it if this process ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from d2l_autorec.errors import InputError
from d2l_autorec.progress import tell
from d2l_autorec.training.distributed import guard
from d2l_autorec.training.distributed.hosts import HERE, Host, read_hosts
from d2l_autorec.training.distributed.process import Process, stopped_at_end
from d2l_autorec.training.distributed.restarts import with_restarts
from d2l_autorec.training.distributed.timeout import (
    check_step_timeout,
    step_timeout_from_environment,
)

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
    restarts: int = 0,
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
    restarts : int, optional
        How often the run is started again from its last checkpoint after a process or a machine
        was lost. Machines that do not answer are left out then. With as many threads as before it
        ends with the bits of a run without a loss.

    Returns 0, or the exit code of the process that failed first; 130 after Ctrl-C. Raises an
    InputError if the command is not ``train``, a number cannot be used, or a machine.
    """
    if not command or command[0] != "train":
        raise InputError("launch runs the train command only: put -- train and its options last.")

    def start(
        command: Sequence[str], as_before: int | None = None, leave_out: bool = False
    ) -> int:
        program = (sys.executable, "-m", "d2l_autorec", *command)
        own = as_before if threads is None else threads
        return run_group(program, workers, servers, hosts, own, step_timeout, leave_out)

    return with_restarts(command, restarts, start, partial(start, leave_out=True))


def run_group(
    worker: Sequence[str],
    workers: int,
    servers: int = 1,
    hosts: Path | None = None,
    threads: int | None = None,
    step_timeout: float | None = None,
    leave_out: bool = False,
) -> int:
    """Do what `launch` does with any command for the workers.

    With ``leave_out`` machines that cannot be used are left out, as long as there is another.
    """
    for name, number in (("workers", workers), ("servers", servers), ("threads", threads)):
        if number is not None and number < 1:
            raise InputError(f"--{name} is {number}; give at least 1.")
    if step_timeout is not None:
        check_step_timeout(step_timeout, "--step-timeout")
    waited = step_timeout_from_environment() if step_timeout is None else step_timeout
    machines, ports = _usable(read_hosts(hosts) if hosts else [HERE], leave_out)
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
        processes.append(Process(name, machines[place], environment, program))
    return _supervise(processes, waited)


def _usable(machines: Sequence[Host], leave_out: bool) -> tuple[list[Host], list[str]]:
    """Ask all machines at once for a free port; leave out those that fail, if that is allowed.

    A machine that is listed twice stays there twice: it gets twice the processes.
    """
    with ThreadPoolExecutor(len(machines)) as pool:
        asked = [pool.submit(_free_port, host) for host in machines]
    errors = [port.exception() for port in asked]
    usable = [i for i, error in enumerate(errors) if error is None]
    for error in filter(None, errors):
        if not leave_out or not usable:
            raise error
        tell(f"d2l-autorec: going on without it: {error}")
    return [machines[i] for i in usable], [asked[i].result() for i in usable]


def _free_port(host: Host) -> str:
    """Ask a machine for a free port, and thereby whether it can be used at all."""
    probe = Process("probe", host, {}, [], shown=False)
    reason, end = f"no answer in {_PROBE:g} s", time.monotonic() + _PROBE
    with stopped_at_end([probe], patience=0):
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

    processes: list[Process]
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


def _supervise(processes: list[Process], step_timeout: float) -> int:
    """Start all processes, wait for the end or the first failure, and stop those that are left."""
    with stopped_at_end(processes):
        try:
            for process in processes:
                process.start()
            failure = _first_failure(processes, step_timeout)
        except KeyboardInterrupt:
            tell("d2l-autorec: stopping all processes")
            return 130
    for process in processes:
        process.join_readers()
    if failure is None:
        return 0
    if failure.processes:
        tell(failure.report())
        return failure.code
    # All workers have waited in vain. Servers end when asked to, unless they have been stopped.
    stuck = [p for p in processes if not p.is_worker and p.code() in _KILLED]
    if stuck:
        tell(_Failure(stuck, failure.said).report())
    else:
        tell(
            f"d2l-autorec: All workers have waited {step_timeout:g} s in vain: a server, the "
            "scheduler or the network between the machines hangs (--step-timeout)."
        )
    return failure.code


def _first_failure(processes: list[Process], step_timeout: float) -> _Failure | None:
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


def _how(code: int) -> str:
    number = -code if code < 0 else code - 128
    if code < 0 or code > 128:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(number).name}"
    return f"ended with exit code {code}"
