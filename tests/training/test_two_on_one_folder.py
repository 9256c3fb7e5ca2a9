"""Two processes on one run's folder, and a folder whose process was killed early."""

import os
import signal
import subprocess
import sys

from d2l_autorec.atomic import LOCK


def train(folder, *options):
    command = [sys.executable, "-m", "d2l_autorec", "train", *map(str, options)]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )


def write_ratings(folder):
    rows = [f"{u},{i},{1 + (u + i) % 5}" for u in range(20) for i in range(0, 20, 1 + u % 3)]
    (folder / "own.csv").write_text("\n".join(["user,item,rating", *rows]) + "\n")


def test_a_live_run_is_not_resumed(tmp_path):
    """The live one is stopped just while the other is refused; then it ends well."""
    write_ratings(tmp_path)
    options = ["--hidden", 4, "--checkpoint-every", 1, "--epochs", 3000, "--quiet"]
    live = train(tmp_path, "--data", "own.csv", "--out", "run", *options)
    try:
        while not (tmp_path / "run" / "checkpoint.npz").exists():
            assert live.poll() is None, live.stderr.read()
        live.send_signal(signal.SIGSTOP)
        (tmp_path / "run" / ".checkpoint.npz.0a1b2c3d").write_text("as if being written")
        before = {path.name for path in (tmp_path / "run").iterdir()}
        other = train(tmp_path, "--resume", "run")
        out, errors = other.communicate()
        assert (other.returncode, out) == (2, "")
        *_, error = errors.splitlines()  # after what was read
        assert error.startswith(
            f"d2l-autorec: run is in use by process {live.pid} on this machine, "
        )
        assert {path.name for path in (tmp_path / "run").iterdir()} == before
        live.send_signal(signal.SIGCONT)
        live.send_signal(signal.SIGINT)  # ends after this epoch, with a checkpoint
        _, errors = live.communicate()
        assert live.returncode == 130 and "--resume run" in errors
    finally:
        live.kill()
        live.communicate()
    assert not (tmp_path / "run" / LOCK).exists()


def test_a_folder_killed_in_its_first_checkpoint_can_be_used_again(tmp_path):
    write_ratings(tmp_path)
    options = ["--hidden", 4, "--checkpoint-every", 1, "--quiet", "--out", "run"]
    first = train(tmp_path, "--data", "own.csv", "--epochs", 3000, *options)
    while not (tmp_path / "run" / LOCK).exists():
        assert first.poll() is None, first.stderr.read()
    first.kill()
    first.communicate()
    for path in (tmp_path / "run").iterdir():  # as if killed in the first checkpoint
        if path.name != LOCK:
            path.unlink()
    (tmp_path / "run" / ".checkpoint.npz.0a1b2c3d").write_text("half")
    again = train(tmp_path, "--data", "own.csv", "--epochs", 2, *options)
    _, errors = again.communicate()
    assert again.returncode == 0, errors
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
