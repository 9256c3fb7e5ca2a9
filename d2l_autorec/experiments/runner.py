"""Run independent jobs over processes, and keep each result.

Each finished run is a row of ``runs.csv``. The file is written atomically after every run. A run
is identified by its job, the values in the first columns of the row. A job that is asked for again
is read from the file and not run.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2l_autorec import runs
from d2l_autorec.errors import InputError, refused
from d2l_autorec.progress import jobs_bar
from d2l_autorec.runtime import num_cores

if TYPE_CHECKING:
    import pandas as pd

Job = Mapping[str, Any]
Key = tuple[str, ...]


@dataclass
class Tally:
    """The runs that a process has read from ``runs.csv`` files and those that it has made."""

    read: set[tuple[Path, Key]] = field(default_factory=set)
    made: set[tuple[Path, Key]] = field(default_factory=set)

    def __str__(self) -> str:
        return f"Runs: {len(self.read):,} read, {len(self.made):,} made."


tally = Tally()
"""Of this process; the commands print it below their results."""


def run_jobs(
    folder: Path,
    function: Callable[[Job], Mapping[str, Any]],
    jobs: Sequence[Job],
    *,
    data_digest: str,
    label: str,
    processes: int | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """Run a function on each job with all cores, and keep what it measured.

    Rows that another process adds meanwhile are kept.

    Parameters
    ----------
    folder : Path
        The folder of ``runs.csv``. It is made with the first result.
    function : callable
        Takes a job and returns what it measured, as names and plain values. It must be at the top
        level of a module, so that other processes can import it, and set its own seeds.
    jobs : sequence of dict
        Names and plain values. All jobs have the same names.
    data_digest : str
        Digest of the ratings. Rows measured on other ratings are refused.
    label : str
        Text before the progress bar.
    quiet : bool
        Show no progress bar.
    processes : int, optional
        One for each core by default, each with its share of the cores as threads.

    Returns
    -------
    pandas.DataFrame
        A row for each job, in their order: the job, then what was measured.

    Raises
    ------
    InputError
        If a job is asked for twice, ``runs.csv`` holds runs of other ratings or cannot be read or
        written, or a worker process died.
    """
    import pandas as pd

    path = folder / "runs.csv"
    if not jobs:
        return pd.DataFrame()
    jobs = [{**job, "data": data_digest[:12]} for job in jobs]
    keys = [_key(job) for job in jobs]
    for key, count in Counter(keys).items():
        if count > 1:
            raise InputError(f"The job {', '.join(key)} is asked for {count} times; ask once.")
    known = _read(path, jobs[0])
    missing = [job for job, key in zip(jobs, keys) if key not in known]
    tally.read |= {(path, key) for key in keys if key in known} - tally.made
    with jobs_bar(label, len(jobs), len(jobs) - len(missing), quiet) as advance:
        for job, measures in _results(function, missing, processes or num_cores()):
            known = {**_read(path, jobs[0]), **known, _key(job): {**job, **measures}}
            tally.made.add((path, _key(job)))
            _write(path, list(known.values()))
            advance()
    known = {**{key: known[key] for key in keys}, **_read(path, jobs[0]), **known}
    _write(path, list(known.values()))
    # fresh results are read back too, so that a repeated command gives the same numbers
    table = read_runs(path).head(len(jobs))
    return table.assign(**{name: [job[name] for job in jobs] for name in jobs[0]})


def read_runs(path: Path) -> pd.DataFrame:
    """Read a table of runs to the last digit; pandas before 3.1 may lose it by itself."""
    import pandas as pd

    content = path.read_text(encoding="utf-8")
    table, texts = (pd.read_csv(io.StringIO(content), dtype=kind) for kind in (None, object))
    exact = {name: texts[name].astype(float) for name in table.select_dtypes("float")}
    return table.assign(**exact)


def are_stored(folder: Path, jobs: Sequence[Job], data_digest: str) -> list[bool]:
    """Return for each job whether ``runs.csv`` in a folder holds it."""
    jobs = [{**job, "data": data_digest[:12]} for job in jobs]
    known = _read(folder / "runs.csv", jobs[0]) if jobs else {}
    return [_key(job) in known for job in jobs]


def _results(
    function: Callable[[Job], Mapping[str, Any]], jobs: Sequence[Job], processes: int
) -> Iterator[tuple[Job, Mapping[str, Any]]]:
    """Yield each job with its result, in the order in which they finish."""
    processes = min(processes, len(jobs))
    if processes <= 1:
        for job in jobs:
            yield job, function(job)
        return
    context = multiprocessing.get_context("spawn")  # MXNet does not survive a fork
    threads = max(1, num_cores() // processes)
    with ProcessPoolExecutor(processes, context, _use_threads, (threads,)) as pool:
        with _without_ctrl_c():  # inherited: Ctrl-C reaches this process only
            futures = {pool.submit(function, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise InputError(
                "A worker process died, perhaps because the memory was full; repeat the command "
                "to go on with the runs that are missing."
            ) from None
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Ignore SIGINT, here and in processes that start meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _use_threads(count: int) -> None:
    """Set what OpenMP, OpenBLAS and `runtime.num_threads` read when they are imported."""
    os.environ["OMP_NUM_THREADS"] = str(count)


def _key(job: Job) -> Key:
    return tuple(f"{name}={'' if value is None else value}" for name, value in job.items())


def _read(path: Path, job: Job) -> dict[Key, dict[str, str]]:
    """Return the rows as text, so that writing them again does not change them."""
    import pandas as pd

    if not path.exists():
        return {}
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it to start again.") from None
    if list(rows.columns[: len(job)]) != list(job) or not (rows["data"] == job["data"]).all():
        raise InputError(f"{path} holds runs of other ratings or settings; name a new --out.")
    return {_key({name: row[name] for name in job}): row for row in rows.to_dict("records")}


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with refused(f"{path} cannot be written", "name another --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        runs.write(path, text.getvalue())
