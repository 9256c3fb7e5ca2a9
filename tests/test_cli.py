"""The command line as a user meets it: a process of its own."""

import csv
import json
import os
import zipfile
from xml.etree import ElementTree

import pytest
from processes import d2l_autorec, python


def assert_one_sentence(run, *fragments):
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    for fragment in fragments:
        assert fragment in run.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ml100k):
    """Run two epochs of the chapter once, for all that looks at what a run leaves."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    run = d2l_autorec("reproduce", "--epochs", 2, "--devices", "cpu:2", "--json", "--out", folder)
    assert run.returncode == 0, run.stderr
    (folder / "stdout").write_text(run.stdout)
    return folder


def test_json_is_what_the_folder_records(folder, ml100k):
    printed = json.loads((folder / "stdout").read_text())
    recorded = json.loads((folder / "run.json").read_text())
    assert printed["folder"] == str(folder)
    assert printed["result"] == recorded["result"]
    result = recorded["result"]
    assert result["devices"] == ["cpu(0)", "cpu(1)"]
    assert result["data_digest"] == ml100k.digest
    assert result["rows_per_second"] == pytest.approx(result["cells_per_second"] / 943)
    assert recorded["settings"]["num_hidden"] == 500
    assert recorded["versions"]["mxnet"] == "1.9.1"


def test_history_and_curve(folder):
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    result = json.loads((folder / "run.json").read_text())["result"]
    assert float(rows[-1]["test_rmse"]) == result["test_rmse"]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    assert ElementTree.parse(folder / "curve.svg").getroot().tag.endswith("svg")
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in folder.iterdir()} == {
        "curve.png",
        "curve.svg",
        "history.csv",
        "run.json",
        "stdout",
    }


def test_table(tmp_path, ml100k):
    run = d2l_autorec("reproduce", "--epochs", 1, "--out", tmp_path / "run")
    assert run.returncode == 0, run.stderr
    assert "the book" in run.stdout and "0.901" in run.stdout
    *table, folder_line = run.stdout.splitlines()
    assert max(map(len, table)) <= 80 and str(tmp_path / "run") in folder_line
    assert run.stderr == ""  # no terminal, no bar


def test_gpu_falls_back_and_says_so(tmp_path, ml100k):
    run = d2l_autorec("reproduce", "--epochs", 1, "--devices", "gpu", "--out", tmp_path / "run")
    assert run.returncode == 0, run.stderr
    assert "No GPU" in run.stderr and "cpu(0)" in run.stdout


@pytest.mark.parametrize("devices", ["tpu", "cpu:0", "gpu:a", "cpu:1,2", ""])
def test_unknown_devices(devices):
    assert_one_sentence(d2l_autorec("reproduce", f"--devices={devices}"), "--devices", "cpu:2")


def test_devices_that_cannot_share_a_batch(tmp_path, ml100k):
    run = d2l_autorec("reproduce", "--devices", "cpu:3", "--out", tmp_path / "run")
    assert_one_sentence(run, "--devices", "256", "3 devices")
    assert not (tmp_path / "run").exists()


def test_nothing_is_overwritten(tmp_path, ml100k):
    (tmp_path / "mine").write_text("mine")
    run = d2l_autorec("reproduce", "--epochs", 1, "--out", tmp_path)
    assert_one_sentence(run, "--out", "not empty")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert_one_sentence(d2l_autorec("reproduce", "--out", tmp_path / "mine"), "--out")


def test_damaged_data(tmp_path):
    (tmp_path / "u.data").write_text("1\t1\t5\t0\n1\t2\tfive\t0\n")
    run = d2l_autorec("reproduce", "--data", tmp_path / "u.data", "--out", tmp_path / "run")
    assert_one_sentence(run, "u.data", "line 2", "five")
    assert not (tmp_path / "run").exists()


def test_a_name_inside_an_archive_reaches_no_terminal(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("\x1b[31mred\nend\x9b/ratings.csv", "1,2,3\n1,3,x\n")
    run = d2l_autorec("train", "--data", tmp_path / "a.zip")
    assert_one_sentence(run, "a.zip", "[31mred end/ratings.csv, line 2")
    assert run.stderr.strip().isprintable()


def test_warnings_and_errors_reach_no_terminal(tmp_path):
    (tmp_path / "\x1b[7mown.csv").write_text("1,2,3\n1,2,4\n1,3,5\n")
    run = d2l_autorec("train", "--data", tmp_path / "\x1b[7mown.csv", "--by", "film")
    assert run.returncode == 2
    warning, *_, error = run.stderr.splitlines()
    assert "the last rating was kept" in warning and "--by" in error
    assert warning.isprintable() and "[7mown.csv, line 2" in warning


def test_ctrl_c_before_a_command_has_begun():
    code = """
import builtins
import d2l_autorec.__main__ as main

def stop(name, *rest, old=builtins.__import__, **more):
    if name == "d2l_autorec.cli":
        raise KeyboardInterrupt
    return old(name, *rest, **more)

builtins.__import__ = stop
main.main()
"""
    run = python("-c", code)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


def test_help_shows_the_commands_in_groups():
    run = d2l_autorec("-h")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip() == d2l_autorec("--help").stdout.strip()
    assert run.stdout.strip() == d2l_autorec().stdout.strip()
    lines = [line.strip("│╭╮─ ") for line in run.stdout.splitlines()]
    groups = ["Start", "Your ratings", "Experiments", "Course", "Tools"]
    assert [line for line in lines if line in groups] == groups
    assert lines[lines.index("Start") + 1].startswith("reproduce ")
    assert lines[lines.index("Tools") + 1].startswith("serve ")
    assert "--install-completion" in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80


def test_every_command_explains_itself_in_80_columns(monkeypatch):
    from typer.testing import CliRunner

    from d2l_autorec.cli import app, groups

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    names = [name for group in groups.GROUPS.values() for name in group]
    assert len(names) == len(set(names)) == len(app.registered_commands)
    for name in names:
        shown = CliRunner().invoke(app, [name, "-h"])
        assert shown.exit_code == 0 and f" {name} [OPTIONS]" in shown.stdout
        assert "…" not in shown.stdout, name  # an option whose name is cut off


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("train --epoch 3", "No such option: --epoch"),
        ("train --epochs many", "'--epochs'"),
        ("train --seed -1", "'--seed'"),
        ("train --epochs", "--epochs"),
        ("recommend", "Missing option '--model'"),
        ("check", "Missing argument"),
        ("check a.py b.py", "b.py"),
        ("trian", "No such command 'trian'"),
        ("--versoin", "--versoin"),
    ],
)
def test_a_wrong_option_is_one_sentence(line, fragment):
    from typer.testing import CliRunner

    from d2l_autorec.cli import app
    from d2l_autorec.errors import InputError

    run = CliRunner().invoke(app, line.split())
    assert isinstance(run.exception, InputError)  # which main prints; the exit code is 2
    assert run.output == "" and fragment in str(run.exception)
    assert "\n" not in str(run.exception)


def test_a_wrong_option_ends_as_every_error():
    run = d2l_autorec("train", "--epochs", "many")
    assert_one_sentence(run, "d2l-autorec: ", "'--epochs'", "train --help.")


def test_the_shell_completes_commands_and_options():
    def completed(words):
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        environment = {**os.environ, "_D2L_AUTOREC_COMPLETE": "complete_bash", **asked}
        code = "import sys; sys.argv[0] = 'd2l-autorec'; from d2l_autorec.__main__ import main"
        return python("-c", f"{code}; main()", env=environment).stdout.split()

    assert completed("d2l-autorec rep") == ["reproduce", "report"]
    assert completed("d2l-autorec train --ch") == ["--checkpoint-every"]
