"""The launcher with real processes: its ends, good and bad, and machines of their own."""

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import group_worker
import numpy
import pytest
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.errors import InputError
from d2l_autorec.runtime import num_cores
from d2l_autorec.training.distributed import guard
from d2l_autorec.training.distributed.hosts import read_hosts
from d2l_autorec.training.distributed.launch import launch, run_group

WORKER = Path(group_worker.__file__)


def worker(**wanted):
    return [sys.executable, str(WORKER), json.dumps(wanted)]


@pytest.fixture
def marked(monkeypatch):
    """Give the processes of a test a mark, and assert that none of them is left.

    One that has just been killed, or whose pipe was cut, takes a moment to go.
    """
    mark = f"D2L_AUTOREC_MARK={uuid.uuid4()}"
    monkeypatch.setenv(*mark.split("="))
    yield mark
    end = time.monotonic() + 10
    while left(mark) and time.monotonic() < end:
        time.sleep(0.1)
    assert left(mark) == []


def left(mark):
    """Command lines of the marked processes, except this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            lines = process.joinpath("cmdline").read_bytes()  # empty for a zombie
            marked = mark.encode() in process.joinpath("environ").read_bytes()
            if marked and lines and int(process.name) != os.getpid():
                found.append(lines.replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize(
    "how, code, said",
    [
        ("die", 137, "worker 1 was killed by SIGKILL"),
        ("raise", 1, "worker 1 ended with exit code 1"),
    ],
)
def test_the_first_failure_ends_all_and_is_named(marked, capfd, how, code, said):
    assert run_group(worker(misbehave=how), workers=2) == code
    errors = capfd.readouterr().err
    *_, report = errors.partition("d2l-autorec: ")
    assert said in report
    assert "\n    these are its last words\n" in report
    assert "worker 1 | these are its last words\n" in errors
    assert ("RuntimeError: a fault of the worker's own" in report) == (how == "raise")


def test_a_worker_that_hangs_is_named_not_those_that_wait(marked, capfd, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert run_group(worker(misbehave="hang"), workers=2, step_timeout=3) == 1
    errors = capfd.readouterr().err
    assert "worker 0 | d2l-autorec: worker 0 has waited 3 s for the other workers" in errors
    *_, report = errors.partition("\nd2l-autorec: ")
    assert report.startswith("worker 1 kept the others waiting for 3 s (--step-timeout); all the")
    assert report.endswith("\n    these are its last words\n")
    share = max(1, num_cores() // 2)
    assert errors.count(f"| threads {share}\n") == 2


def train_on_toy(tmp_path, *options):
    """Give a train command on a toy; it has 300 epochs and shows each."""
    ratings, _ = group_worker.toy()
    rows, columns = ratings.nonzero()
    lines = [f"{u},{i},{1 + (u + i) % 5}" for u, i in zip(columns, rows)]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,rating", *lines]) + "\n")
    train = ["train", "--data", tmp_path / "own.csv", "--hidden", 7, "--batch-size", 8, "--json"]
    return [*map(str, train), *map(str, options)]


def stop(mark, role, rank=None, number=signal.SIGSTOP):
    """Send a signal to a process of a run, not to its guard."""
    wanted = {mark, f"DMLC_ROLE={role}"} | ({f"D2L_AUTOREC_RANK={rank}"} if rank else set())
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = process.joinpath("environ").read_bytes().decode().split("\0")
            if (
                wanted <= set(environment)
                and b"distributed.guard" not in process.joinpath("cmdline").read_bytes()
            ):
                os.kill(int(process.name), number)
                return
    raise AssertionError(f"no {role}")


@pytest.mark.parametrize(
    "stopped, epochs, code, said",
    [
        (("scheduler",), 40, 0, None),
        (
            ("worker", 2),
            300,
            1,
            "worker 2 kept the others waiting for 4 s (--step-timeout); all the",
        ),
        (
            ("server",),
            300,
            1,
            "server 0 kept the others waiting for 4 s (--step-timeout); all the",
        ),
    ],
)
def test_a_process_that_is_stopped(tmp_path, marked, stopped, epochs, code, said):
    """Without the scheduler a run goes on; for any other process the report names that one."""
    train = train_on_toy(
        tmp_path, "--recipe", "chapter", "--epochs", epochs, "--out", tmp_path / "run"
    )
    launcher = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "d2l_autorec",
            "launch",
            "--workers=3",
            "--step-timeout=4",
            "--",
            *train,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while f"epoch 2/{epochs}" not in launcher.stderr.readline():
        assert launcher.poll() is None
    stop(marked, *stopped)
    out, errors = launcher.communicate()
    assert launcher.returncode == code, errors
    if said:
        assert f"\nd2l-autorec: {said}" in errors
    else:
        assert "d2l-autorec: " not in errors
        assert json.loads(out)["result"]["epoch"] == epochs
    assert (tmp_path / "run" / "run.json").exists() == (code == 0)


def test_workers_that_were_told_different_things(marked, capfd):
    assert run_group(worker(disagree=True), workers=2, threads=3) == 1
    errors = capfd.readouterr().err
    assert "The seed on worker 1 differs from worker 0" in errors
    assert "worker 0 | threads 3\n" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_launcher(marked, number):
    code = "import sys; from d2l_autorec.training.distributed.launch import run_group;"
    code += "sys.exit(run_group(sys.argv[1:], 2))"
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, *worker(misbehave="nothing")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert "pid" in launcher.stdout.readline()
    assert len(left(marked)) == 9  # the launcher, and four processes with their guards
    launcher.send_signal(number)
    assert launcher.wait(10) == (130 if number == signal.SIGINT else -number)
    launcher.communicate()
    end = time.monotonic() + 10
    while left(marked) and time.monotonic() < end:
        time.sleep(0.1)


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "names no machine"),
        ("# node1\n\n", "names no machine"),
        ("node1 10.0.0.5 10.0.0.6\n", "line 1"),
        ("127.0.0.1\n-oProxyCommand=x\n", "line 2"),
        ("127.0.0.1\nno-such-machine.invalid # or is there\n", "line 2.*no IPv4 address"),
        ("127.0.0.1\na..b\n", "line 2.*no IPv4 address"),
        ("localhost\nnode1 10.0.0.5\n", "cannot reach localhost at 127"),
        (b"\xff\xfe", "not a text file"),
        (None, "No such file"),
    ],
)
def test_hosts_files_that_cannot_be_used(tmp_path, text, said):
    path = tmp_path / "hosts"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f"--hosts .*{said}"):
        launch(["train"], workers=2, hosts=path)


def test_hosts(tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.4  # here\n\nme@node1 10.0.0.5\n")
    hosts = read_hosts(tmp_path / "hosts")
    assert [(host.name, host.address) for host in hosts] == [
        ("10.0.0.4", "10.0.0.4"),
        ("me@node1", "10.0.0.5"),
    ]


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"command": []}, "train"),
        ({"command": ["reproduce"]}, "train"),
        ({"workers": 0}, "--workers is 0"),
        ({"servers": 0}, "--servers is 0"),
        ({"threads": 0}, "--threads is 0"),
        ({"step_timeout": 0}, "--step-timeout is 0; give a number of seconds"),
        ({"step_timeout": -1}, "--step-timeout is -1; give"),
        ({"step_timeout": math.inf}, "--step-timeout is inf; give"),
        ({"step_timeout": math.nan}, "--step-timeout is nan; give"),
    ],
)
def test_arguments_that_cannot_be(wrong, said):
    with pytest.raises(InputError, match=said):
        launch(**{"command": ["train"], "workers": 2, **wrong})


def test_what_launch_is_given_reaches_it(monkeypatch):
    seen = []

    def stand_in(*arguments):
        seen.append((*arguments, os.environ.get("OMP_NUM_THREADS")))
        return 3

    monkeypatch.setattr("d2l_autorec.training.distributed.launch.launch", stand_in)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    given = ["launch", "--workers", "3", "--threads", "2", "--", "train", "--seed", "1"]
    assert CliRunner().invoke(app, given).exit_code == 3
    assert seen == [(["train", "--seed", "1"], 3, 1, None, 2, None, 0, None)]  # no cores taken yet


def test_command(tmp_path, marked):
    train = train_on_toy(tmp_path, "--epochs", 3, "--val-ratio", 0.2, "--out")
    results = {}
    for before, out in (["launch", "--workers", 2, "--"], "two"), ([], "one"):
        command = [*before, *train, tmp_path / out]
        done = subprocess.run(
            [sys.executable, "-m", "d2l_autorec", *map(str, command)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        results[out] = json.loads(done.stdout)["result"], done.stderr
        assert json.loads((tmp_path / out / "run.json").read_text())["command"] == "train"
    (two, log), (one, _) = results["two"], results["one"]
    assert two["test_rmse"] == pytest.approx(one["test_rmse"], abs=1e-5)
    told = [line.partition(":")[0] for line in log.splitlines() if "| epoch" in line]
    refit = two["epoch"]  # the default recipe trains again, up to the epoch that it has chosen
    assert told == [f"worker 0 | epoch {epoch}/6" for epoch in range(1, 4 + refit)]


SSH = """#!/bin/sh
while [ "${1#-o}" != "$1" ]; do shift; done
name=$1; shift
exec ip netns exec "$name" sh -c "$*"
"""


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """Two network namespaces joined by a cable, an ssh that enters them, and a hosts file."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    names = [f"autorec{os.getpid()}{end}" for end in "ab"]
    ends = [f"ar{os.getpid()}{end}" for end in "ab"]

    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
            for i, (name, end) in enumerate(zip(names, ends), 1):
                ip("link", "set", end, "netns", name)
                ip("-n", name, "addr", "add", f"10.203.77.{i}/24", "dev", end)
                ip("-n", name, "link", "set", end, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"the kernel refuses network namespaces: {error.stderr.decode().strip()}")
        (tmp_path / "ssh").write_text(SSH)
        (tmp_path / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        lines = [f"{name} 10.203.77.{i}\n" for i, name in enumerate(names, 1)]
        (tmp_path / "hosts").write_text("".join(lines))
        yield tmp_path / "hosts", names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_machines_equal_one_process(marked, machines, tmp_path):
    wanted = worker(out=str(tmp_path), runs={"sparse": ["sparse", {}]})
    assert run_group(wanted, workers=2, servers=2, hosts=machines[0], step_timeout=20) == 0
    expected = group_worker.train("sparse")
    for rank in range(2):
        result = numpy.load(tmp_path / f"sparse-{rank}.npz")
        for key, values in expected.items():
            numpy.testing.assert_allclose(result[key], values, rtol=0, atol=1e-6)


def test_a_worker_killed_on_another_machine_ends_all(marked, machines, capfd):
    hosts, names = machines
    assert run_group(worker(misbehave="die"), workers=2, hosts=hosts, step_timeout=60) == 137
    report = capfd.readouterr().err
    assert f"d2l-autorec: worker 1 on {names[1]} was killed by SIGKILL" in report
    assert report.splitlines()[-1] == "    these are its last words"


def test_a_cable_that_is_cut(marked, machines, capfd):
    """Nothing ends and no connection breaks: only the workers' own watch can tell."""
    hosts, names = machines
    end = f"ar{os.getpid()}b"
    cut = ["ip", "-n", names[1], "link", "set", end, "down"]
    wanted = worker(misbehave="call", call=cut)
    assert run_group(wanted, workers=2, hosts=hosts, step_timeout=3) == 1
    assert "has waited 3 s for the other workers" in (errors := capfd.readouterr().err)
    assert errors.splitlines()[-1] == (
        "d2l-autorec: All workers have waited 3 s in vain: a server, the scheduler or the network "
        "between the machines hangs (--step-timeout)."
    )


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """Put a program in ssh's place; its last argument is the command for the machine."""

    def put(script):
        (tmp_path / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        (tmp_path / "hosts").write_text("node1 127.0.0.1\n")
        return tmp_path / "hosts"

    return put


RUN_LAST = 'for last; do :; done; exec sh -c "$last"'


@pytest.mark.parametrize(
    "script, said",
    [
        ("echo Permission denied >&2; exit 255", r"Permission denied"),
        ("echo Welcome; echo 4; exec sleep 60", r"no answer in 3 s"),
        ("yes welcome", r"it prints without end and does not start the package"),
        ("yes | tr -d '\\n' >&2", r"it prints without end and does not start the package"),
        ("echo Welcome; echo This account is closed.; exit 1", r"This account is closed\."),
    ],
    ids=["refused", "hangs", "floods", "floods in one line", "banner"],
)
def test_a_machine_that_lets_nobody_in(marked, monkeypatch, ssh, script, said):
    monkeypatch.setattr(
        "d2l_autorec.training.distributed.launch._PROBE", 3.0 if "sleep" in script else 60.0
    )
    with pytest.raises(InputError, match=rf"^node1 cannot be used \({said}\); it must let"):
        launch(["train"], workers=2, hosts=ssh(script))


def test_a_banner_is_no_part_of_the_result(marked, capfd, ssh):
    hosts = ssh(f"echo Welcome to 12345; {RUN_LAST}")
    assert run_group(["echo", "the result"], workers=1, hosts=hosts) == 0
    out, errors = capfd.readouterr()
    assert out == "the result\n"
    assert "worker 0 | Welcome to 12345\n" in errors


@pytest.mark.parametrize("when", ["before the package", "while it runs"])
def test_connections_that_hang_after_the_first(marked, capfd, monkeypatch, ssh, tmp_path, when):
    """A worker's own time-out cannot help: nothing of the worker arrives."""
    monkeypatch.setattr("d2l_autorec.training.distributed.launch._SILENCE", 3.0)
    monkeypatch.setattr(guard, "BEAT", 1.0)
    asleep = 'case "$*" in *DMLC_ROLE*) exec sleep 60;; esac'
    if when == "while it runs":
        asleep = 'case "$*" in *DMLC_ROLE=worker*) printf "\\000"; exec sleep 60;; esac'
    hosts = ssh(f"{asleep}; {RUN_LAST}")
    assert run_group(worker(misbehave="nothing"), workers=2, hosts=hosts) == 1
    *_, report = capfd.readouterr().err.partition("d2l-autorec: ")
    assert "worker 1 on node1" in report.splitlines()[0]
    assert "no sign of life for 3 s: machine or connection hangs; all the others" in report


def test_a_flood_is_not_kept(marked):
    """One line of 300 MB passes through a launcher that needs no more memory for it."""
    code = """
import resource, sys
from d2l_autorec.training.distributed.launch import run_group
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert run_group(sys.argv[1:], 1) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    flood = "head -c 300000000 /dev/zero | tr '\\0' x >&2"
    done = subprocess.run(
        [sys.executable, "-c", code, "sh", "-c", flood],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    assert int(done.stdout) < 50_000  # KiB


@pytest.mark.parametrize("pause", [0, 0.7], ids=["the same thread", "a thread anew"])
def test_a_wait_after_others_is_watched(pause):
    code = f"""
import time
from d2l_autorec.training.distributed.timeout import Watch
watch = Watch(3, 0.5)
for _ in range(8):
    with watch:
        time.sleep(0.1)
time.sleep({pause})
print("all", flush=True)
with watch:
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (guard.GAVE_UP, "all\n")
    assert done.stderr.startswith("d2l-autorec: worker 3 has waited 0.5 s for the other workers")
