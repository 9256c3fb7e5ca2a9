"""The command's standard streams: full, closed, or with a reader that has gone."""

import os
import subprocess
import sys

import pytest
from processes import python

FULL = "d2l-autorec: Standard output cannot be written: No space left on device.\n"


def shell(command, **environment):
    """Run a shell line in which ``CLI`` stands for the command."""
    command = command.replace("CLI", f"{sys.executable} -m d2l_autorec")
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80", **environment},
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["--version", "--help", "doctor"])
def test_a_full_standard_output_is_one_sentence(command, unbuffered):
    run = shell(f"CLI {command} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (run.returncode, run.stderr) == (1, FULL)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "streams, code, out, errors",
    [
        ("2>&-", 2, "", ""),
        ("2>/dev/full", 2, "", ""),
        (">&-", 2, "", "d2l-autorec: no/such does not exist; check the path.\n"),
        ("<&- >&- 2>&-", 2, "", ""),
        ("2>&1 | true; exit ${PIPESTATUS[0]}", 2, "", ""),
    ],
)
def test_an_error_without_a_place_to_go(streams, code, out, errors, unbuffered):
    run = shell(f"CLI train --data no/such {streams}", PYTHONUNBUFFERED=unbuffered)
    assert (run.returncode, run.stdout, run.stderr) == (code, out, errors)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_error(unbuffered):
    run = shell("CLI doctor | true; exit ${PIPESTATUS[0]}", PYTHONUNBUFFERED=unbuffered)
    assert (run.returncode, run.stderr) in ((0, ""), (1, ""))


@pytest.mark.parametrize(
    "streams, code, errors",
    [("> /dev/full", 1, FULL), ("> out 2>&-", 0, ""), ("> out 2> /dev/full", 0, "")],
)
def test_no_run_is_lost(tmp_path, streams, code, errors):
    """It trains, saves, and only its messages are missing; no message is in a file of the run."""
    rows = [f"{u},{i},{1 + (u + i) % 5}" for u in range(20) for i in range(0, 20, 1 + u % 3)]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,rating", *rows]) + "\n")
    train = (
        "train --data own.csv --epochs 3 --hidden 4 --checkpoint-every 1 --save --out run --quiet"
    )
    run = shell(f"cd {tmp_path}; CLI {train} --quiet {streams}", PYTHONPATH=os.getcwd())
    assert (run.returncode, run.stderr) == (code, errors)
    for name in ("run.json", "history.csv", "curve.png", "checkpoint.npz", "model/model.json"):
        assert (tmp_path / "run" / name).stat().st_size
        assert b"Draws are" not in (tmp_path / "run" / name).read_bytes()
    if code == 0:
        assert "test RMSE" in (tmp_path / "out").read_text()


def test_memory_that_runs_out_is_one_sentence():
    run = python(
        "-c",
        "import numpy, d2l_autorec.cli as cli, d2l_autorec.__main__ as main\n"
        "cli.app = lambda: numpy.ones(2**50)\n"
        "main.main()",
    )
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr == (
        "d2l-autorec: There is not enough memory (Unable to allocate 8.00 PiB for an array with "
        "shape (1125899906842624,) and data type float64); give less data or a smaller network.\n"
    )


def test_characters_that_the_output_lacks_are_written_as_escapes():
    code = "import d2l_autorec.__main__ as main; main._open_streams(); print('é\\ud800')"
    run = python("-c", code, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert run.stdout == "\\xe9\\ud800\n"
