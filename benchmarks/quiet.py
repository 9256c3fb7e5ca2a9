"""Whether the machine is idle, and a process with the time and the cores it took."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from d2l_autorec.errors import InputError

TOLERATED = 0.10
"""Share of the cores that other processes may take."""
PATIENCE = 20.0
TRIES = 3


@dataclass(frozen=True)
class Ran:
    """A process that has ended."""

    stdout: str
    seconds: float  # wall clock
    others: float | None  # share of our cores that others took; None where the system is silent
    peak: int  # the most memory that it held, in bytes; 0 where it had no limit


def machine() -> dict[str, Any]:
    """What is measured on, without its name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores_used": len(cores()),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def described(of: dict[str, Any]) -> str:
    """Say in a line what `machine` found."""
    cores = f"{of['cores_used']} of {of['cores']} cores"
    return f"{of['cpu']}, {cores}, {of['memory_gib']} GiB, {of['system']}"


def cores() -> list[int]:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def keep_cores(count: int) -> None:
    """Leave this process and its children so many cores."""
    if len(cores()) < count:
        raise InputError(f"{len(cores())} core(s) here; the benchmark needs {count}.")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[:count])


def busy_seconds() -> float | None:
    """Seconds that our cores have worked since the start of the system, for whomever."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    wanted = {f"cpu{core}" for core in cores()}
    total = 0
    for name, *ticks in map(str.split, stat.read_text().splitlines()):
        if name in wanted:  # user nice system idle iowait irq softirq steal
            total += sum(int(ticks[i]) for i in (0, 1, 2, 5, 6, 7))
    return total / os.sysconf("SC_CLK_TCK")


def load(seconds: float = 0.3) -> float:
    """Share of our cores that is taken while this process sleeps."""
    before = busy_seconds()
    if before is None:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    start = time.perf_counter()
    time.sleep(seconds)
    after = busy_seconds()
    return ((after or 0) - before) / (time.perf_counter() - start) / len(cores())


def wait_for_idle(anyway: bool) -> float:
    """Wait a while for an idle machine; return the share that is taken.

    Raises
    ------
    InputError
        If it does not become idle, unless `anyway`.
    """
    deadline = time.monotonic() + (0 if anyway else PATIENCE)
    while (taken := load()) > TOLERATED:
        if time.monotonic() > deadline:
            if not anyway:
                raise InputError(
                    f"Other processes take {taken:.0%} of the cores; wait until they are done, or "
                    "measure nevertheless with --anyway."
                )
            print(f"warning: other processes take {taken:.0%} of the cores", file=sys.stderr)
            break
        time.sleep(0.5 if not anyway else 0)
    return taken


def run(command: list[str], environment: dict[str, str], anyway: bool) -> Ran:
    """Run a process on an idle machine; if others got in the way, run it again."""
    for _ in range(1 if anyway else TRIES):
        wait_for_idle(anyway)
        ran = run_unwatched(command, environment)
        if ran.others is None or ran.others <= TOLERATED:
            return ran
        print(f"warning: others took {ran.others:.0%} of the cores meanwhile", file=sys.stderr)
    if not anyway:
        raise InputError("Other processes got in the way of every try; stop them, or --anyway.")
    return ran


def run_unwatched(
    command: list[str],
    environment: dict[str, str],
    folder: Path | None = None,
    limit: int | None = None,
) -> Ran:
    """Run a process, whatever else runs; an InputError tells what it said if it fails.

    It runs in the folder, where one is given, and gets no more memory than the limit in bytes.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        before, start = busy_seconds(), time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **environment},
            cwd=folder,
            preexec_fn=partial(_keep_to, limit) if limit else None,
        )
        peak = 0
        while not (ended := os.wait4(process.pid, os.WNOHANG if limit else 0))[0]:
            peak = max(peak, held(process.pid))
            time.sleep(0.02)
        _, status, usage = ended
        seconds, after = time.perf_counter() - start, busy_seconds()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        stdout, stderr = out.read().decode(), err.read().decode()
    if process.returncode:
        raise InputError(f"{' '.join(command)} failed:\n{stdout[-1000:]}\n{stderr[-3000:]}")
    others = None
    if before is not None and after is not None:
        own = usage.ru_utime + usage.ru_stime
        others = max((after - before - own) / seconds / len(cores()), 0.0)
    return Ran(stdout, seconds, others, peak)


def held(pid: int) -> int:
    """Return the most bytes that a process has held since it was started, not what its parent did.

    The system's own account, ``ru_maxrss``, begins with the parent's.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _keep_to(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
