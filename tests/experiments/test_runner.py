"""Runs over processes: none twice, none lost, none of other data."""

import os
from functools import partial

import pandas as pd
import pytest

from d2l_autorec.errors import InputError
from d2l_autorec.experiments.runner import run_jobs

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
        folder, partial(work, traces), asked, data_digest=digest, label="", quiet=True,
        processes=processes,
    )  # fmt: skip


@pytest.mark.parametrize("processes", [1, 2])
def test_a_finished_run_is_not_run_again(tmp_path, processes):
    first = go(tmp_path, jobs(0, 1, 2), processes)
    assert first["value"].tolist() == [0, 1 / 3, 2 / 3]  # all digits are kept
    if processes == 2:
        assert (first["threads"] == 1).all()
    more = go(tmp_path, jobs(3, 1, 0), processes)
    assert more["seed"].tolist() == [3, 1, 0]
    assert sorted(path.name for path in (tmp_path / "traces").iterdir()) == [
        f"works-{seed}" for seed in range(4)
    ]
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 4


def test_what_was_done_before_a_process_died_is_kept(tmp_path):
    go(tmp_path, jobs(0))
    with pytest.raises(InputError, match="goes on with the runs that are missing"):
        go(tmp_path, jobs(1, 2, name="stops"), processes=2)
    assert go(tmp_path, jobs(0))["value"].tolist() == [0]


def test_other_ratings_are_refused(tmp_path):
    go(tmp_path, jobs(0))
    with pytest.raises(InputError, match="name a new --out"):
        go(tmp_path, jobs(0), digest="b" * 64)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "runs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"runs\.csv"):
        go(tmp_path, jobs(0))
