"""Jobs over processes: none is run twice, none is lost, none is of other data."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pandas as pd
import pytest

from d2l_autorec.errors import InputError
from d2l_autorec.experiments.runner import are_stored, read_runs, run_jobs, tally

DIGEST = "a" * 64


def work(folder, job):
    """Leave a trace, so that work done twice is seen."""
    trace = folder / f"{job['name']}-{job['seed']}"
    trace.touch(exist_ok=False)
    if job["name"] == "stops":
        os._exit(1)
    return {"value": job["seed"] / 3, "threads": os.environ.get("OMP_NUM_THREADS", "")}


def jobs(*seeds, name="works"):
    return [{"name": name, "seed": seed} for seed in seeds]


def go(folder, asked, processes=1, digest=DIGEST):
    traces = folder / "traces"
    traces.mkdir(exist_ok=True)
    return run_jobs(
        folder,
        partial(work, traces),
        asked,
        data_digest=digest,
        label="",
        quiet=True,
        processes=processes,
    )


@pytest.fixture
def counts(monkeypatch):
    """Count from zero."""
    monkeypatch.setattr(tally, "read", set())
    monkeypatch.setattr(tally, "made", set())


@pytest.mark.parametrize("processes", [1, 2])
def test_a_finished_run_is_not_run_again(tmp_path, processes, counts):
    first = go(tmp_path, jobs(0, 1, 2), processes)
    assert str(tally) == "Runs: 0 read, 3 made."
    assert first["value"].tolist() == [0, 1 / 3, 2 / 3]  # all digits are kept
    if processes == 2:
        assert (first["threads"] == 1).all()
    more = go(tmp_path, jobs(3, 1, 0), processes)
    assert more["seed"].tolist() == [3, 1, 0]
    assert str(tally) == "Runs: 0 read, 4 made."  # what this process made it did not only read
    assert are_stored(tmp_path, jobs(0, 3, 4), DIGEST) == [True, True, False]
    assert sorted(path.name for path in (tmp_path / "traces").iterdir()) == [
        f"works-{seed}" for seed in range(4)
    ]
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 4


@pytest.mark.parametrize("more", [[], [2]], ids=["at the end", "in between"])
def test_what_another_process_adds_meanwhile_is_kept(tmp_path, more):
    def beside(job):
        if job["seed"] == 1:
            go(tmp_path, jobs(7))
        return {"value": job["seed"] / 3, "threads": ""}

    asked = jobs(0, 1, *more)
    mine = run_jobs(tmp_path, beside, asked, data_digest=DIGEST, label="", quiet=True, processes=1)
    assert mine["seed"].tolist() == [0, 1, *more]
    assert pd.read_csv(tmp_path / "runs.csv")["seed"].tolist() == [0, 1, *more, 7]


def test_what_was_done_before_a_process_died_is_kept(tmp_path):
    go(tmp_path, jobs(0))
    with pytest.raises(InputError, match=r"A worker process died, .* repeat the command"):
        go(tmp_path, jobs(1, 2, name="stops"), processes=2)
    assert go(tmp_path, jobs(0))["value"].tolist() == [0]


def test_runs_of_another_time_are_counted_as_read(tmp_path, counts):
    go(tmp_path, jobs(0, 1))
    tally.made.clear()
    go(tmp_path, jobs(0, 1, 2))
    go(tmp_path, jobs(0, 1))
    assert str(tally) == "Runs: 2 read, 1 made."


def test_no_digit_is_lost(tmp_path):
    values = [i / 7 for i in range(1, 50)]  # pandas 2 misreads some of them, such as 1 / 7
    pd.DataFrame({"model": "a", "value": values, "n": 1, "none": ""}).to_csv(tmp_path / "runs.csv")
    table = read_runs(tmp_path / "runs.csv")
    assert table["value"].tolist() == values
    assert table["n"].dtype == int and table["none"].isna().all()
    assert table["model"].tolist() == ["a"] * 49


def test_no_jobs_and_a_job_twice(tmp_path):
    assert len(go(tmp_path, [])) == 0 and are_stored(tmp_path, [], DIGEST) == []
    with pytest.raises(InputError, match=r"seed=1.* is asked for 2 times"):
        go(tmp_path, jobs(0, 1, 1))
    assert not (tmp_path / "runs.csv").exists()


def sleep(job):
    """Take longer than a test may."""
    print("ready", flush=True)
    time.sleep(100)
    return {}


def test_ctrl_c_ends_the_workers_without_a_traceback(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from pathlib import Path
from d2l_autorec.experiments.runner import run_jobs
from test_runner import sleep
if __name__ == "__main__":
    try:
        run_jobs(
            Path("out"), sleep, [{{"seed": 0}}, {{"seed": 1}}], data_digest="a", label="",
            processes=2,
        )
    except KeyboardInterrupt:
        sys.exit(130)
"""
    (tmp_path / "main.py").write_text(code)
    run = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout is not None and run.stdout.readline() == "ready\n"
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    _, errors = run.communicate(timeout=50)  # the jobs would take longer
    assert (run.returncode, errors) == (130, "")
    assert not (tmp_path / "out").exists()


def test_other_ratings_are_refused(tmp_path):
    go(tmp_path, jobs(0))
    with pytest.raises(InputError, match="name a new --out"):
        go(tmp_path, jobs(0), digest="b" * 64)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "runs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"runs\.csv"):
        go(tmp_path, jobs(0))
