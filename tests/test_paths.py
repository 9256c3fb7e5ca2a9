"""Paths that are no files or cannot be looked at, and locks on folders."""

import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import python

from d2l_autorec.atomic import LOCK, lock_folder, sweep
from d2l_autorec.data.blobs import file_blob, open_archive
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.npz import read_npz
from d2l_autorec.errors import InputError
from d2l_autorec.paths import kind, open_file
from d2l_autorec.training.distributed.hosts import read_hosts


@pytest.fixture
def no_hang():
    """End a test that waits for ever; a hang cannot be seen otherwise."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def things(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    return tmp_path


def test_what_lies_at_a_path(things):
    kinds = {"folder": "folder", "file": "file", "link": "file", "pipe": "named pipe"}
    kinds |= {"socket": "socket", "nothing": "", "file/below": ""}
    assert {name: kind(things / name) for name in kinds} == kinds
    assert kind("/dev/null") == "device"
    for path, reason in (
        (things / ("x" * 300), "File name too long"),
        (things / "a\0b", "null"),
        (things / "y" / ("x/" * 3000), "File name too long"),
    ):
        with pytest.raises(InputError, match=f"cannot be read \\(.*{reason}.*\\); check the path"):
            kind(path)


def test_a_folder_that_may_not_be_read(things):
    things.chmod(0)
    code = "import os, sys; from d2l_autorec.paths import kind;"
    code += "os.geteuid() or os.setuid(65534); kind(sys.argv[1])"
    try:
        run = python("-c", code, things / "file")
    finally:
        things.chmod(0o755)
    assert run.stderr.splitlines()[-1].endswith(
        "(Permission denied); check the path and its rights."
    )


@pytest.mark.parametrize("name", ["pipe", "socket", "folder", "/dev/zero"])
def test_only_files_are_opened(things, no_hang, name):
    with pytest.raises(InputError, match=r"is a .*, not a file; save the content in a file\."):
        open_file(things / name)
    with open_file(things / "link") as file:
        assert file.read() == b"content"
    with pytest.raises(FileNotFoundError):
        open_file(things / "nothing")


def test_a_pipe_put_in_the_files_place(things, no_hang, monkeypatch):
    """The check before the opening is passed; the opening must not wait either."""
    monkeypatch.setattr("d2l_autorec.paths.require_file", lambda path: None)
    with pytest.raises(InputError, match="is a named pipe, not a file"):
        open_file(things / "pipe")


@pytest.mark.parametrize("name", ["u.data", "ratings.csv", "ratings.dat", "movies.csv"])
def test_pipes_in_a_folder_of_ratings(tmp_path, no_hang, name):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n1,2,3\n2,3,4\n")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name} is a named pipe, not a file"):
        read_ratings(tmp_path)


def test_other_readers_refuse_pipes(tmp_path, no_hang):
    for name in ("pipe.gz", "pipe.npz", "hosts"):
        os.mkfifo(tmp_path / name)
    for read in (
        lambda: file_blob(tmp_path / "pipe.gz").open(),
        lambda: open_archive(tmp_path / "pipe.npz", "it"),
        lambda: read_npz(tmp_path / "pipe.npz"),
        lambda: read_hosts(tmp_path / "hosts"),
    ):
        with pytest.raises(InputError, match="is a named pipe, not a file"):
            read()


def test_an_archive_is_still_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("x/u", "text")
    assert open_archive(tmp_path / "a.zip", "it")["x/u"].open().read() == b"text"


LOCKED = """
import sys, time
from pathlib import Path
from d2l_autorec.atomic import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


def hold(folder):
    process = subprocess.Popen([sys.executable, "-c", LOCKED, folder], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"locked\n"
    return process


def test_a_lock_names_its_process_and_ends_with_it(tmp_path):
    holder = hold(tmp_path)
    try:
        said = f"^{tmp_path} is in use by process {holder.pid} on this machine, "
        for _ in range(2):  # the first refusal leaves the lock
            with pytest.raises(InputError, match=said), lock_folder(tmp_path):
                pass
        holder.send_signal(signal.SIGSTOP)  # is alive
        with pytest.raises(InputError, match=said), lock_folder(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert (tmp_path / LOCK).exists()
    with lock_folder(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
        with pytest.raises(InputError, match=f"process {os.getpid()}"), lock_folder(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "held, taken",
    [
        ({"pid": os.getpid(), "host": socket.gethostname(), "started": "another boot 1"}, True),
        ({"pid": 2**22 + 1, "host": socket.gethostname(), "started": ""}, True),
        ({"pid": 2**200, "host": socket.gethostname(), "started": ""}, True),
        ("damaged", True),
        ({"pid": "1"}, True),
        ({"pid": 1, "host": "another-machine", "started": ""}, False),
    ],
    ids=["pid given out again", "dead", "no pid", "damaged", "no number", "elsewhere"],
)
def test_locks_that_were_left(tmp_path, held, taken):
    (tmp_path / LOCK).write_text(held if held == "damaged" else json.dumps(held))
    if taken:
        with lock_folder(tmp_path):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
        assert not (tmp_path / LOCK).exists()
        return
    said = rf"in use by process 1 on another-machine; .* gone, remove {tmp_path / LOCK}\)\."
    with pytest.raises(InputError, match=said), lock_folder(tmp_path):
        pass


def test_of_many_processes_one_gets_a_stale_lock(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}))
    code = LOCKED.replace("time.sleep(600)", "sys.stdin.read()")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(6)
    ]
    held = [process for process in processes if process.stdout.readline()]
    for process in processes:
        process.communicate()
    assert len(held) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_lock_sweeps_what_a_kill_has_left(tmp_path):
    for name in (".checkpoint.npz.0a1b2c3d", ".run.json.abcd_123", ".lock.00000000"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".model.x1y2z3a4").mkdir()
    (tmp_path / ".model.x1y2z3a4" / "weights.npz").write_text("x")
    kept = {"run.json", ".hidden", ".gitignore", "a.0a1b2c3d"}
    for name in kept:
        (tmp_path / name).write_text("x")
    sweep(tmp_path, older_than=3600)
    assert len(list(tmp_path.iterdir())) == 8
    with lock_folder(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {*kept, LOCK}


def test_a_folder_that_cannot_be_locked(tmp_path):
    with (
        pytest.raises(InputError, match=r"cannot be locked \(No such file"),
        lock_folder(tmp_path / "gone"),
    ):
        pass
    assert not Path(tmp_path / "gone").exists()
