"""Checks a student's AutoRec: asks its process for arrays, and judges them here.

What is contained, and what is not
----------------------------------
The submission runs in a process of its own, with a temporary folder as its home, without the
environment of the checker, with limits on time, memory and file size; see
`d2l_autorec.course.containment`. The verdict cannot be forged by what a submission prints or
writes, nor by changing MXNet or the program that runs it: that process sends arrays for inputs
and parameters that are drawn anew, and the right answers are worked out on this side. Full marks
take the right numbers, and who sends those has computed them. Points for behaviour alone (masks,
dropout) could be had by code that answers in the network's place, which is more work than the
network.

On Linux 5.13 and later the kernel keeps the submission from writing outside its folder, from
reading home folders and this package's solutions (Landlock), and on x86-64 and aarch64 from
sockets, new processes and signals (seccomp). Elsewhere Python's audit hook refuses the same to
ordinary Python code, but not to code that sets out to break the interpreter, nor to C libraries
that open files by themselves; macOS does not hold the limit of memory. `Report.held` names what
held. Not contained anywhere: the load on the processor until the time is up, and the disk space
that many files of 64 MiB take until then. Where submissions are hostile and the kernel holds
nothing, run the checker in a container.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec.course.examination import Examination, Load, Matrices
from d2l_autorec.course.report import Report
from d2l_autorec.course.sandbox import Sandbox
from d2l_autorec.errors import InputError, plain, refused

SECONDS = 60.0
MOVIELENS_SECONDS = 240.0
MEMORY = 2 << 30  # bytes
MAX_SOURCE = 1 << 20  # bytes


def check_file(
    path: str | Path,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    seed: int | None = None,
    movielens: bool = False,
) -> Report:
    """Check a file that defines ``AutoRec`` and ``evaluator``, as the chapter does.

    Parameters
    ----------
    path : str or Path
        A Python file. It is copied; its folder is not at hand when it runs.
    seconds : float
        Time for all that the submission does.
    memory : int
        Bytes that it may use beyond what MXNet takes.
    seed : int, optional
        Of the arrays. Drawn anew by default, so that the answers cannot be known beforehand.
    movielens : bool
        Train on MovieLens 100K, too, for which there are `MOVIELENS_SECONDS` more. It must be in
        the cache.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If the file cannot be read, or is no Python file.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InputError(f"{path}: give a Python file, with a name that ends in .py.")
    with refused(f"{path}: it cannot be read"):
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}: this is no file.")
        if size > MAX_SOURCE:
            raise InputError(f"{path}: {size:,} bytes are too many for a submission.")
        source = path.read_bytes()

    def load(sandbox: Sandbox) -> dict[str, Any]:
        copy = sandbox.folder / "submission.py"
        copy.write_bytes(source)
        return sandbox.ask("load", path=str(copy))[0]

    return _check(path.name, load, seconds, memory, seed, movielens)


def check(
    AutoRec: type,
    evaluator: Callable[..., Any],
    seconds: float = SECONDS,
    memory: int = MEMORY,
    seed: int | None = None,
    movielens: bool = False,
) -> Report:
    """Check a class and a function from a notebook, in a process of their own.

    Parameters
    ----------
    AutoRec : type
        ``AutoRec(num_hidden, num_users, dropout)``, a ``gluon.Block``.
    evaluator : callable
        ``evaluator(network, inter_matrix, test_data, devices)`` returns the RMSE.
    seconds, memory, seed, movielens
        As for `check_file`.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If they hold something that cannot be sent to another process, or cloudpickle, which
        sends them, is not installed.
    """
    try:
        import cloudpickle
    except ModuleNotFoundError:
        raise InputError(
            "cloudpickle, which sends your class to its own process, is not installed: "
            "install it, or write the code to a file and run d2l-autorec check on it."
        ) from None
    homes = {getattr(thing, "__module__", None) for thing in (AutoRec, evaluator)}
    modules = [sys.modules[home] for home in homes if home in sys.modules and home != "__main__"]
    registered = []
    try:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
        pickled = cloudpickle.dumps({"AutoRec": AutoRec, "evaluator": evaluator})
    except Exception as error:
        raise InputError(
            f"AutoRec or evaluator cannot be sent to another process ({plain(error)}): let them "
            "use only what they are given, modules and plain numbers."
        ) from None
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)

    def load(sandbox: Sandbox) -> dict[str, Any]:
        return sandbox.ask("load", {"pickled": np.frombuffer(pickled, np.uint8)})[0]

    name = str(getattr(AutoRec, "__name__", "AutoRec"))
    return _check(name, load, seconds, memory, seed, movielens)


def _check(
    name: str, load: Load, seconds: float, memory: int, seed: int | None, movielens: bool
) -> Report:
    seed = secrets.randbits(32) if seed is None else seed
    matrices, threads = None, 1
    if movielens:
        from d2l_autorec.runtime import num_threads

        matrices, threads = _movielens(), num_threads()
        seconds += MOVIELENS_SECONDS
    with Sandbox(seconds, memory, threads) as sandbox:
        findings = Examination(sandbox, np.random.default_rng(seed), matrices).run(load)
        return Report(name, findings, sandbox.refused, sandbox.held, seed)


def _movielens() -> Matrices:
    """MovieLens 100K from the cache, split as in the chapter's runs."""
    from d2l_autorec.config import CHAPTER
    from d2l_autorec.data import sources
    from d2l_autorec.data.matrices import interaction_matrix
    from d2l_autorec.data.split import holdout_split

    file = sources.cache_folder() / "ml-100k" / "u.data"
    if not file.is_file():
        raise InputError(
            "--movielens: MovieLens 100K is not in the cache; `d2l-autorec reproduce` brings it."
        )
    found = sources.load_ml100k(file, quiet=True)
    rows = holdout_split(len(found.table), CHAPTER.test_ratio, 0)
    shape = (found.num_users, found.num_items)
    train, held_out = (interaction_matrix(found.table.iloc[part], *shape) for part in rows)
    return train, held_out


__all__ = ["Report", "check", "check_file"]
