"""Run folders and the files in them."""

import os
import resource

import pytest
from processes import python

from d2l_autorec import runs
from d2l_autorec.atomic import write_atomic
from d2l_autorec.errors import InputError


@pytest.mark.parametrize("mask, mode", [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_files_follow_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        runs.write(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    runs.write(tmp_path / "file", "old")

    def fail(file):
        file.write(b"new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(tmp_path / "file", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_folder_is_checked_without_making_it(tmp_path):
    folder = tmp_path / "a" / "b"
    assert runs.new_folder(folder, "", make=False) == folder
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    for out, problem in (
        (tmp_path, "not empty"),
        (tmp_path / "file", "cannot"),
        (tmp_path / "file" / "x", "cannot"),
    ):
        with pytest.raises(InputError, match=problem):
            runs.new_folder(out, "", make=False)


def test_an_interrupted_reproduce_leaves_no_folder(tmp_path, ml100k):
    code = """
import sys
from d2l_autorec.chapter import autorec
from d2l_autorec.__main__ import main

def stop(*_, **__):
    raise KeyboardInterrupt

autorec.train_autorec = stop
sys.argv = ["d2l-autorec", "reproduce", "--quiet"]
main()
"""
    run = python("-c", code, cwd=tmp_path)
    assert run.returncode not in (0, 2) and "Traceback" not in run.stderr
    assert not list(tmp_path.iterdir())


def test_starting_up_imports_nothing_before_ctrl_c_is_handled():
    """An interrupt in an import of the top level would show a traceback."""
    code = "import sys; before = set(sys.modules); import d2l_autorec.__main__; " + (
        "print(*sorted(set(sys.modules) - before - {'typing', 'collections', '__future__'}))"
    )
    run = python("-c", code)
    own = [name for name in run.stdout.split() if name.startswith("d2l_autorec")]
    hook = ["d2l_autorec.compat", "d2l_autorec.errors"]  # the import hook for MXNet
    assert own == ["d2l_autorec", "d2l_autorec.__main__", *hook]


def test_a_file_too_large_leaves_nothing(tmp_path):
    """What is still in the buffer fails again when the file is closed."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomic(tmp_path / "file", lambda file: file.write(b"x" * 5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
