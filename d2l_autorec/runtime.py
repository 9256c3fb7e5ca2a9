"""The process a run lives in: threads, generators and devices."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from d2l_autorec.errors import InputError


def num_cores() -> int:
    """Cores this process may run on (its CPU affinity where the system tells)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_threads() -> int:
    """Return the number of threads that a computation is to use.

    It is ``OMP_NUM_THREADS`` where that is set, else the number of cores. Of OpenMP's list for
    nested levels, such as ``4,2``, the first counts. What is no such number is an InputError.
    """
    text = os.environ.get("OMP_NUM_THREADS", "").strip()
    if not text:
        return num_cores()
    first = text.split(",")[0].strip()
    if not (first.isdecimal() and first.isascii() and int(first[:9]) > 0 and len(first) < 10):
        raise InputError(f"OMP_NUM_THREADS is {text[:40]!r}; set it to a number of at least 1.")
    return int(first)


def memory_there() -> int | None:
    """Return the bytes of memory that this process can still take; None where nothing tells.

    It is the least of the machine's free memory, the limits of the control groups (a container),
    and that of the process's address space.
    """
    known = [_free_memory(), *_limits_of_groups()]
    try:
        import resource

        limits = resource.getrlimit(resource.RLIMIT_AS)
        known += [limits[0]] if limits[0] != resource.RLIM_INFINITY else []
    except (ImportError, ValueError, OSError):
        pass
    sizes = [size for size in known if size is not None and size > 0]
    return min(sizes, default=None)


def _free_memory() -> int | None:
    """Return what is available with swap, where the system tells; else the physical memory."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        kib = dict(re.findall(r"(\w+): +(\d+) kB", text))
        return 1024 * (int(kib["MemAvailable"]) + int(kib["SwapFree"]))
    except (OSError, ValueError, KeyError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _limits_of_groups() -> list[int]:
    """Return the limits on memory of this process's control groups, of both versions."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    top = Path("/sys/fs/cgroup")
    own = [top / line[3:].lstrip("/") for line in lines if line.startswith("0::")]
    folders = [top, *own, *[parent for folder in own for parent in folder.parents][:16]]
    files = [folder / "memory.max" for folder in folders]
    limits = []
    for file in (*files, top / "memory" / "memory.limit_in_bytes"):
        try:
            limits.append(int(file.read_text(encoding="ascii")))
        except (OSError, ValueError):  # the latter for "max"
            continue
    return limits


def set_threads() -> None:
    """Let MXNet use every core of this process, unless the user has set ``OMP_NUM_THREADS``.

    MXNet reads it once, when it loads, and without it leaves half the cores idle.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(num_cores()))


def compute_alone() -> int:
    """Let each thread compute by itself, and return how many threads are to compute.

    Call it before NumPy is imported: each matrix product would else take all cores.
    """
    for library in ("OPENBLAS", "MKL", "BLIS"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    os.environ.setdefault("VECLIB_MAXIMUM_THREADS", "1")
    return num_threads()


def seed_everything(seed: int) -> None:
    """Seed the two generators the book's code draws from.

    MXNet's drives the split, the initial weights and dropout; NumPy's drives the order in which
    Gluon's DataLoader shuffles. Both are global, and this is the only place that sets them.
    """
    import mxnet as mx
    import numpy

    mx.random.seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002


def check_shares(batch_size: int, num_devices: int) -> None:
    """Raise an InputError unless every batch can be split evenly over the devices."""
    if batch_size % num_devices:
        raise InputError(
            f"--devices: a batch of {batch_size} rows cannot be shared evenly by "
            f"{num_devices} devices; use a number that divides it."
        )


def parse_devices(text: str) -> tuple[list[Any], str | None]:
    """Turn a text into MXNet contexts, and a notice where they are not those asked for.

    ``cpu:2`` means two CPU contexts, ``gpu`` all GPUs, ``gpu:0,1`` the GPUs of these numbers. An
    InputError refuses other forms, and GPUs that this machine lacks.
    """
    match = re.fullmatch(r"cpu(?::([1-9]\d?))?|gpu(?::(\d+(?:,\d+)*))?", text)
    if not match:
        use = "write cpu, cpu:2, gpu or gpu:0,1."
        raise InputError(f"--devices {text!r} is not understood; {use}")
    import mxnet as mx

    if text.startswith("cpu"):
        return [mx.cpu(i) for i in range(int(match[1] or 1))], None
    found = mx.context.num_gpus()
    if found == 0:
        return [mx.cpu()], f"No GPU was found for --devices {text}: running on the CPU."
    wanted = [int(i) for i in match[2].split(",")] if match[2] else list(range(found))
    missing = [i for i in wanted if i >= found]
    if missing or len(set(wanted)) < len(wanted):
        raise InputError(
            f"--devices {text!r} does not fit the {found} GPU(s) here; "
            f"give each of 0 to {found - 1} at most once."
        )
    return [mx.gpu(i) for i in wanted], None
