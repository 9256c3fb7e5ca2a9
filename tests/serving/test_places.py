"""Folders that cannot be written, disks that are full: one sentence, and nothing half-written."""

import dataclasses
import gc
import os
import subprocess
import zipfile

import numpy as np
import pytest
from toy_models import run, toy_model

from d2l_autorec.atomic import write_npz
from d2l_autorec.errors import InputError
from d2l_autorec.serving.folder import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Give a model folder and a file of its weights."""
    folder = tmp_path_factory.mktemp("model") / "model"
    toy = toy_model(num_users=400)
    save_model(folder, dataclasses.replace(toy, user_ids=np.arange(400)))
    run("export", "--model", folder, "--npz", folder.parent / "w.npz")
    return folder


@pytest.fixture
def mounted(tmp_path):
    """Return a function that mounts a small file system; of root alone, rights stop nothing."""

    def mount(options):
        made = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)]
        if os.geteuid() != 0 or subprocess.run(made, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        return tmp_path

    yield mount
    subprocess.run(["umount", str(tmp_path)], capture_output=True)


WRITERS = [
    ("export", "--npz"),
    ("export", "--safetensors"),
    ("export", "--onnx"),
    ("import-weights", "--out"),
]


@pytest.mark.parametrize("command, option", WRITERS)
@pytest.mark.parametrize("options, reason", [("ro", "Read-only"), ("size=8k", "No space left")])
# an archive left open complains when it is collected
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_what_cannot_be_written_leaves_nothing(model, mounted, command, option, options, reason):
    place = mounted(options)
    more = ["--weights", model.parent / "w.npz"] if command == "import-weights" else []
    with pytest.raises(InputError, match=f"{place / 'new'} .*{reason}.*make room or name another"):
        run(command, "--model", model, option, place / "new", *more)
    gc.collect()
    assert not list(place.iterdir())


def test_a_run_in_a_read_only_folder(mounted, tmp_path):
    place = mounted("ro")
    data = few_ratings(tmp_path.parent)
    for out in (place, place / "run"):
        with pytest.raises(InputError, match=f"--out {out} cannot be .*name another folder"):
            run("train", "--data", data, "--epochs", 1, "--hidden", 2, "--out", out)


def few_ratings(folder):
    rows = [f"{user},{item},{1 + (user * item) % 5}" for user in range(9) for item in range(9)]
    path = folder / "own.csv"
    path.write_text("\n".join(rows))
    return path


def test_arrays_are_written_as_numpy_does(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b/c": np.array("text"), "d": np.zeros(0, "<i8")}
    for compressed in (False, True):
        with open(tmp_path / "a.npz", "wb") as file:
            write_npz(file, arrays, compressed)
        with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
            assert set(read.files) == set(arrays)
            for name, array in arrays.items():
                np.testing.assert_array_equal(read[name], array)
        with zipfile.ZipFile(tmp_path / "a.npz") as archive:
            kinds = {info.compress_type for info in archive.infolist()}
        assert kinds == {zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED}
    with open(tmp_path / "b.npz", "wb") as file, pytest.raises(ValueError, match="Object arrays"):
        write_npz(file, {"a": np.array([None])})
