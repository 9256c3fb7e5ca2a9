"""``d2l-autorec check`` as a student and a grader meet it."""

import json
import os
import subprocess
import sys

import pytest

from d2l_autorec.course.mistakes import RIGHT, source


def check(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "d2l_autorec", "check", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "80", **environment},
    )


def test_json_for_graders():
    run = check(source("no_mask"), "--json", "--seed", 7)
    record = json.loads(run.stdout)
    assert run.returncode == 1 and run.stderr == ""
    assert (record["submission"], record["points"], record["total"]) == ("no_mask.py", 70, 100)
    assert record["passed"] is False and record["seed"] == 7
    states = {entry["check"]: entry["state"] for entry in record["checks"]}
    assert states["mask"] == "wrong" and states["gradient"] == "not reached"
    assert sum(entry["points"] for entry in record["checks"]) == 70


def test_text_for_students():
    run = check(RIGHT)
    assert run.returncode == 0 and run.stderr == ""
    assert run.stdout.startswith("right.py: 100 of 100 points\n")
    assert max(map(len, run.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("missing.py", "cannot be read (No such file or directory)"),
        ("lesson.ipynb", "a name that ends in .py"),
        ("folder.py", "this is no file"),
        ("large.py", "too many for a submission"),
    ],
)
def test_a_file_that_cannot_be_checked(tmp_path, name, fragment):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "large.py").write_bytes(b"#" * (1 << 21))
    run = check(tmp_path / name)
    assert run.returncode == 2 and run.stdout == ""
    assert name in run.stderr and fragment in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_movielens_must_be_in_the_cache(tmp_path):
    run = check(RIGHT, "--movielens", D2L_AUTOREC_DATA=str(tmp_path))
    assert run.returncode == 2 and "not in the cache" in run.stderr
    assert list(tmp_path.iterdir()) == []
