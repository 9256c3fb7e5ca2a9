"""Many runs that are independent of each other: over processes, and not twice.

Each finished run is a row of ``runs.csv``, which is written anew, whole, after every run. A run is
known by its job, the values in the row's first columns: asked for again, it is read and not run.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2l_autorec import runs
from d2l_autorec.errors import InputError
from d2l_autorec.runtime import num_cores

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Job = Mapping[str, Any]


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
    """Run a function on each job, all cores at work, and keep what it measured.

    Parameters
    ----------
    folder : Path
        Where ``runs.csv`` is, or shall be.
    function : callable
        At the top of a module, so that other processes find it; takes a job and returns what it
        measured, as names and plain values. It sets its own seeds.
    jobs : sequence of dict
        Names and plain values; all of the same names.
    data_digest : str
        Of the ratings: rows measured on others are refused.
    label : str
        Before the progress bar.
    processes : int, optional
        One for each core by default, each with its share of the cores as threads.
    quiet : bool
        Show no progress.

    Returns
    -------
    pandas.DataFrame
        A row for each job, in their order: job, then measures.

    Raises
    ------
    InputError
        If ``runs.csv`` stands for other ratings, or cannot be read or written, or a process died.
    """
    import pandas as pd

    path = folder / "runs.csv"
    jobs = [{**job, "data": data_digest[:12]} for job in jobs]
    known = _read(path, jobs[0])
    missing = [job for job in jobs if _key(job) not in known]
    with _bar(label, len(jobs), len(jobs) - len(missing), quiet) as advance:
        for job, measures in _results(function, missing, processes or num_cores()):
            known[_key(job)] = {**job, **measures}
            _write(path, list(known.values()))
            advance()
    known = {**{_key(job): known[_key(job)] for job in jobs}, **known}
    _write(path, list(known.values()))
    # read back even what is fresh: asked for again, it gives the same numbers
    table = pd.read_csv(path, float_precision="round_trip").head(len(jobs))
    return table.assign(**{name: [job[name] for job in jobs] for name in jobs[0]})


def save_results(
    folder: Path,
    command: str,
    question: str,
    answer: Sequence[str],
    settings: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
) -> None:
    """Write what an experiment came to: tables, figures and, last, ``experiment.json``.

    The report shows all of it, in this order; the README quotes from it.

    Parameters
    ----------
    folder : Path
    command : str
        That makes these results.
    question : str
        What was asked, in one plain sentence.
    answer : sequence of str
        What came out, in plain sentences with their numbers, made from the tables.
    settings : mapping
        What it was told, and what a reader needs to know; goes into ``experiment.json``.
    tables : mapping
        Name of the CSV file, without its ending, to table.
    figures : mapping
        Name to figure; each becomes an SVG and a PNG.
    """
    from d2l_autorec.experiments.plots import images

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        runs.write(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    for name, figure in figures.items():
        for kind, image in images(figure).items():
            runs.write(folder / f"{name}.{kind}", image)
    record = {
        "command": command,
        "question": question,
        "answer": list(answer),
        "tables": list(tables),
        "figures": list(figures),
        "settings": dict(settings),
        "versions": runs.versions(),
    }
    runs.write(folder / "experiment.json", json.dumps(record, indent=2) + "\n")


def _results(
    function: Callable[[Job], Mapping[str, Any]], jobs: Sequence[Job], processes: int
) -> Iterator[tuple[Job, Mapping[str, Any]]]:
    processes = min(processes, len(jobs))
    if processes <= 1:
        for job in jobs:
            yield job, function(job)
        return
    context = multiprocessing.get_context("spawn")  # MXNet does not survive a fork
    threads = max(1, num_cores() // processes)
    with ProcessPoolExecutor(processes, context, _use_threads, (threads,)) as pool:
        futures = {pool.submit(function, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise InputError(
                "A process ended without a word, perhaps for lack of memory; repeat the command, "
                "which goes on with the runs that are missing."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _use_threads(count: int) -> None:
    """Before anything heavy is imported: OpenMP, OpenBLAS and `runtime.num_threads` read this."""
    os.environ["OMP_NUM_THREADS"] = str(count)


def _key(job: Job) -> tuple[str, ...]:
    return tuple(f"{name}={'' if value is None else value}" for name, value in job.items())


def _read(path: Path, job: Job) -> dict[tuple[str, ...], dict[str, str]]:
    """Return the rows as text, so that writing them again changes nothing."""
    import pandas as pd

    if not path.exists():
        return {}
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it to begin anew.") from None
    if list(rows.columns[: len(job)]) != list(job) or not (rows["data"] == job["data"]).all():
        raise InputError(f"{path} holds runs of other ratings or settings; name a new --out.")
    return {_key({name: row[name] for name in job}): row for row in rows.to_dict("records")}


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        runs.write(path, text.getvalue())
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); name another --out."
        ) from None


@contextmanager
def _bar(label: str, total: int, done: int, quiet: bool) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn(label), BarColumn(bar_width=20), MofNCompleteColumn(), Elapsed())
    with Progress(
        *columns, TextColumn("left"), Remaining(), console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    ) as progress:  # fmt: skip
        task = progress.add_task(label, total=total, completed=done)
        yield lambda: progress.advance(task)
