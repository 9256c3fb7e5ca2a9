"""What the commands of the experiments have in common."""

import inspect
import re
from pathlib import Path

import pytest

from d2l_autorec.cli import experiments
from d2l_autorec.cli.groups import GROUPS
from d2l_autorec.experiments.runner import tally

NAMES = [name for name in GROUPS["Experiments"] if name != "report"]


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_says_how_long_it_takes_and_writes_to_runs(name):
    command = getattr(experiments, name.replace("-", "_"))
    on = "" if name == "draws" else " on two cores"
    assert re.search(rf"\(about (a|\d+) minutes?{on}", command.__doc__)
    options = inspect.signature(command).parameters
    assert options["out"].default is None and options["quick"].default is False
    assert experiments.begin(name, None) == Path("runs", name)


def test_a_smoke_run_and_a_folder_that_is_named():
    assert experiments.begin("study", None, quick=True) == Path("runs/study-quick")
    assert experiments.begin("study", Path("results/study")) == Path("results/study")


def test_the_counts_stand_below_the_answer(capsys, monkeypatch):
    monkeypatch.setattr(tally, "read", {(Path("a"), ("1",)), (Path("a"), ("2",))})
    monkeypatch.setattr(tally, "made", set())
    experiments.end(Path("runs/study"), ["The answer."])
    answer, counts = capsys.readouterr().out.splitlines()
    assert answer == "The answer."
    assert counts.startswith("Runs: 2 read, 0 made. The results are in runs/study,")
