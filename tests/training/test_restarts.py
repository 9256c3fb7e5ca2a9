"""Shared runs that are started again after a loss."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy
import pytest
from test_launch import machines, marked, stop, train_on_toy  # noqa: F401  # two are fixtures

from d2l_autorec.errors import InputError
from d2l_autorec.training import checkpoint
from d2l_autorec.training.distributed import launch
from d2l_autorec.training.distributed.hosts import Host
from d2l_autorec.training.distributed.restarts import with_restarts


def command(folder, *options):
    return ["train", "--checkpoint-every", "2", f"--out={folder}", "--json", *options]


class Starts:
    """Starts that end with the given codes, leave files behind, and are remembered."""

    def __init__(self, *codes, leave=()):
        self.codes, self.leave, self.seen = list(codes), list(leave), []

    def __call__(self, command, *threads):
        self.seen.append((list(command), *threads))
        if self.leave and (path := self.leave.pop(0)):
            path.touch()
        return self.codes.pop(0)


def test_a_loss_is_made_good_from_the_last_checkpoint(tmp_path, monkeypatch, capsys):
    with_threads = SimpleNamespace(computed_with=((4, 2), (3, 2)))
    monkeypatch.setattr(checkpoint, "load", lambda folder: with_threads)
    first = Starts(137)
    again = Starts(1, 0, leave=[tmp_path / checkpoint.NAME])
    asked = command(tmp_path, "--seed", "1")
    assert with_restarts(asked, 3, first, again) == 0
    resumed = ["train", "--resume", str(tmp_path), "--json"]
    assert first.seen == [(asked,)]
    assert again.seen == [(asked, None), (resumed, 3)]
    assert capsys.readouterr().err.splitlines() == [
        "d2l-autorec: starting again from the beginning, as there is no checkpoint (1 of 3 "
        "restarts)",
        "d2l-autorec: starting again from the last checkpoint (2 of 3 restarts)",
    ]


@pytest.mark.parametrize("codes, restarts", [([1], 0), ([0], 2), ([2], 2), ([130], 2)])
def test_what_is_no_loss_is_not_started_again(tmp_path, codes, restarts):
    first, again = Starts(*codes), Starts()
    assert with_restarts(command(tmp_path), restarts, first, again) == codes[0]
    assert again.seen == []


def test_restarts_are_used_up(tmp_path):
    again = Starts(1, 137)
    assert with_restarts(command(tmp_path), 2, Starts(75), again) == 137
    assert len(again.seen) == 2


def test_a_run_that_was_saved_before_the_loss_is_not_started_again(tmp_path):
    first, again = Starts(1, leave=[tmp_path / "run.json"]), Starts()
    assert with_restarts(command(tmp_path), 2, first, again) == 1
    assert again.seen == []


@pytest.mark.parametrize(
    "words, restarts, said",
    [
        (["train"], -1, "--restarts is -1; give 0 or more"),
        (["train", "--out", "a"], 1, "give --checkpoint-every N and --out FOLDER"),
        (["train", "--out", "a", "--checkpoint-every=0"], 1, "give --checkpoint-every N and"),
        (["train", "--checkpoint-every", "2"], 1, "give --checkpoint-every N and --out FOLDER"),
    ],
)
def test_restarts_that_cannot_be(words, restarts, said):
    first = Starts()
    with pytest.raises(InputError, match=said):
        with_restarts(words, restarts, first, first)
    assert first.seen == []


@pytest.fixture
def asked(monkeypatch):
    """Machines that answer, but for those whose name begins with "lost"."""

    def free_port(host):
        if host.name.startswith("lost"):
            raise InputError(f"{host.name} cannot be used")
        return f"port of {host.name}"

    monkeypatch.setattr(launch, "_free_port", free_port)
    return lambda *names, leave_out: launch._usable([Host(n, n) for n in names], leave_out)


def test_a_machine_that_is_listed_twice_keeps_both_places(asked, capsys):
    kept, ports = asked("a", "lost", "b", "a", leave_out=True)
    assert [host.name for host in kept] == ["a", "b", "a"]
    assert ports == ["port of a", "port of b", "port of a"]
    assert capsys.readouterr().err == ("d2l-autorec: going on without it: lost cannot be used\n")


@pytest.mark.parametrize("names, leave_out", [(["a", "lost"], False), (["lost", "lost2"], True)])
def test_a_run_needs_all_its_machines_at_first_and_one_later(asked, names, leave_out):
    with pytest.raises(InputError, match="lost cannot be used"):
        asked(*names, leave_out=leave_out)


def weights(folder):
    paths = sorted((folder / "model").glob("*.npz"))
    assert paths
    return {
        f"{path.name}/{name}": values.tobytes()
        for path in paths
        for name, values in numpy.load(path).items()
    }


def run(launched, out, tmp_path, then=()):
    """Launch a training run; after some epochs do something to it; return what it said."""
    options = ["--recipe", "chapter", "--epochs", 60, "--checkpoint-every", 2, "--save"]
    words = ["launch", "--workers=2", "--threads=1", "--step-timeout=4", *map(str, launched)]
    train = train_on_toy(tmp_path, *options, "--out", out)
    launcher = subprocess.Popen(
        [sys.executable, "-m", "d2l_autorec", *words, "--", *train],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    for epoch, act in then:
        while not said or f"epoch {epoch}/60" not in said[-1]:
            said.append(launcher.stderr.readline())
            assert launcher.poll() is None or said[-1], "".join(said)
        act()
    said.append(launcher.communicate()[1])
    assert launcher.returncode == 0, "".join(said)
    return "".join(said)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Weights of a run without a loss."""
    folder = tmp_path_factory.mktemp("whole")
    run([], folder / "run", folder)
    return weights(folder / "run")


def test_a_worker_and_a_server_that_are_killed_cost_no_bit(whole, tmp_path, marked):  # noqa: F811
    said = run(
        ["--restarts=2"],
        tmp_path / "broken",
        tmp_path,
        [
            (5, lambda: stop(marked, "worker", 1, signal.SIGKILL)),
            (20, lambda: stop(marked, "server", number=signal.SIGKILL)),
        ],
    )
    assert "worker 1 was killed by SIGKILL" in said
    assert "server 0 was killed by SIGKILL" in said
    assert said.count("starting again from the last checkpoint") == 2
    assert weights(tmp_path / "broken") == whole


def test_a_machine_that_is_cut_off_is_left_out(whole, tmp_path, marked, machines):  # noqa: F811
    hosts, names = machines

    def cut():
        down = ["ip", "-n", names[1], "link", "set", f"ar{os.getpid()}b", "down"]
        subprocess.run(down, check=True)
        subprocess.run(["ip", "netns", "del", names[1]], check=True)

    said = run(["--restarts=1", "--hosts", hosts], tmp_path / "cut", tmp_path, [(9, cut)])
    assert f"d2l-autorec: going on without it: {names[1]} cannot be used" in said
    assert said.count("starting again from the last checkpoint (1 of 1 restarts)") == 1
    assert weights(tmp_path / "cut") == whole
