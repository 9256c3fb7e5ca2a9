"""A run that was killed, interrupted or out of room goes on as if nothing had been."""

import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import kill_driver
import numpy
import pytest
from test_run import toy_ratings
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.training import checkpoint, resume, run, session
from d2l_autorec.training.asked import Asked
from d2l_autorec.training.engines import array_shapes

engines = pytest.mark.parametrize("engine", ["fast", "sparse"])
RECIPE = RECIPES["chapter"].but(hidden=(4,), batch_size=10, num_epochs=4, lr=0.05)
SMALL = run.Plan(RECIPE, checkpoint_every=1)


def assert_equal_ends(folder, whole):
    """Compare two finished runs' checkpoints: everything but the time they took."""
    ours, theirs = (numpy.load(f / checkpoint.NAME, allow_pickle=False) for f in (folder, whole))
    assert set(ours.files) == set(theirs.files)
    described = []
    for file in (ours, theirs):
        text = json.loads(file["description"].tobytes())
        text["seconds"] = 0
        if text["scored"]:
            for name in ("seconds", "total_seconds"):
                text["scored"]["result"].pop(name)
            for epoch in text["scored"]["history"]:
                epoch.pop("seconds")
        described.append([text, [epoch.pop("seconds") for epoch in text["history"]]][0])
    assert described[0] == described[1]
    for name in set(ours.files) - {"description"}:
        numpy.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def struck(tmp_path_factory):
    """Kill ten runs of each engine."""
    out = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, kill_driver.__file__, str(out), "10", "0"], check=True)
    return out, json.loads((out / "struck.json").read_text())


@engines
def test_runs_killed_at_random_moments_end_as_one_that_was_not(struck, engine):
    out, moments = struck
    folders = sorted({folder for folder, *_ in moments[engine]})
    assert len(moments[engine]) == 10 and folders
    assert any(0 < reached < 40 for _, reached, _ in moments[engine])
    assert any(reached > 40 for _, reached, _ in moments[engine])  # trained on all ratings
    assert any(being_written for *_, being_written in moments[engine])
    for folder in folders:
        assert_equal_ends(out / folder, out / f"{engine}-whole")
        nets = [(out / name / "net.json").read_text() for name in (folder, f"{engine}-whole")]
        assert nets[0] == nets[1]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "d2l_autorec", "train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # several at once do not wait for each other
    )


def end(process):
    out, errors = process.communicate(timeout=180)
    return process.returncode, out, errors


def wait_for(path, process, modified_after=0):
    limit = time.monotonic() + 180
    while not path.exists() or path.stat().st_mtime_ns <= modified_after:
        assert process.poll() is None and time.monotonic() < limit, process.communicate()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "own.csv"
    toy_ratings().table.drop(columns="timestamp").to_csv(path, index=False)
    return path


@engines
def test_the_command_is_killed_then_interrupted_and_goes_on(tmp_path, own, engine):
    given = [
        "--recipe",
        "chapter",
        "--engine",
        engine,
        "--hidden",
        8,
        "--batch-size",
        7,
        "--data",
        own,
        "--save",
    ]
    given += ["--epochs", 60, "--val-ratio", 0.2, "--patience", 60, "--checkpoint-every", 1]
    folder = tmp_path / "killed"
    saved = folder / checkpoint.NAME
    process = start(*given, "--out", folder)
    wait_for(saved, process)
    process.kill()
    assert end(process)[0] == -signal.SIGKILL
    (folder / f".{checkpoint.NAME}.0a1b2c3d").write_text("by a process killed while it wrote")
    process = start("--resume", folder)
    wait_for(saved, process, saved.stat().st_mtime_ns)
    process.send_signal(signal.SIGINT)
    code, _, errors = end(process)
    assert code == 130
    assert errors.splitlines()[-2:] == [
        "Stopping after this epoch, with a checkpoint; Ctrl-C again stops at once.",
        f"d2l-autorec: Stopped. To go on: d2l-autorec train --resume {folder}",
    ]
    assert {path.name for path in folder.iterdir()} == {checkpoint.NAME}
    resumed = start("--resume", folder, "--seed", 0, "--json")
    whole = start(*given, "--out", tmp_path / "whole", "--json")
    results = []
    for code, out, errors in (end(resumed), end(whole)):
        assert code == 0, errors
        results.append(json.loads(out))
        for seconds in ("seconds", "total_seconds"):
            results[-1]["result"].pop(seconds)
    assert "not the book's" in errors
    assert results[0]["result"] == results[1]["result"]
    assert results[0]["draws"] == "seeded for each epoch"
    assert_equal_ends(folder, tmp_path / "whole")
    weights = [path / "model" / "weights.npz" for path in (folder, tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_ctrl_c_without_checkpoints_leaves_nothing(tmp_path, own):
    process = start(
        *("--recipe", "chapter", "--data", own, "--hidden", 8, "--batch-size", 7),
        *("--epochs", 10**6, "--out", tmp_path / "run"),
    )
    wait_for(tmp_path / "run", process)
    process.send_signal(signal.SIGINT)
    code, out, errors = end(process)
    assert code == 130 and out == "" and "Traceback" not in errors, errors
    assert "nothing was kept" in errors.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def stopped(folder, epochs, settings=SMALL, options=None, ratings=None, total=None):
    """Train to an epoch and stop, as after Ctrl-C; return the checkpoint."""
    folder.mkdir()
    asked = iter([False] * (epochs - 1) + [True])
    keep = checkpoint.Keep(folder, options or {}, None, lambda: next(asked))
    if epochs < (total or settings.recipe.num_epochs):
        with pytest.raises(KeyboardInterrupt):
            run.train(ratings or toy_ratings(), settings, keep=keep)
    else:
        run.train(ratings or toy_ratings(), settings, keep=keep)
    return checkpoint.load(folder)


@engines
def test_a_run_killed_between_its_last_epoch_and_its_end(tmp_path, engine):
    recipe = RECIPE.but(val_ratio=0.2, num_epochs=30, patience=3, lr=0.5)
    plan = replace(SMALL, engine=engine, recipe=recipe)
    model, result, history = run.train(toy_ratings(), plan)
    assert result.epoch < len(history) < 30
    former = stopped(tmp_path / "run", 30, plan)
    again = run.train(toy_ratings(), plan, keep=checkpoint.Keep(tmp_path, {}, former))
    assert again[1].test_rmse == result.test_rmse and again[1].epoch == result.epoch
    assert len(again[2]) == len(history)
    assert_equal_weights(again[0], model)


def assert_equal_weights(ours, theirs):
    for name, values in theirs.networks[0].weights.items():
        numpy.testing.assert_array_equal(ours.networks[0].weights[name], values, err_msg=name)


@engines
@pytest.mark.parametrize("epochs", [2, 7])
def test_a_run_stopped_before_or_in_its_refit_goes_on(tmp_path, engine, epochs):
    recipe = RECIPES["default"].but(hidden=(4,), batch_size=10, num_epochs=6)
    plan = replace(SMALL, engine=engine, recipe=recipe)
    whole = run.train(toy_ratings(), plan)
    assert [epoch.refit for epoch in whole[2]] == [False] * 6 + [True] * whole[1].epoch
    assert whole[1].epoch > 2
    former = stopped(tmp_path / "run", epochs, plan, total=99)
    assert len(former.chosen) == (6 if epochs > 6 else 0)
    again = run.train(toy_ratings(), plan, keep=checkpoint.Keep(tmp_path, {}, former))
    assert_equal_weights(again[0], whole[0])
    assert again[1].test_rmse == whole[1].test_rmse
    assert again[1].val_rmse == whole[1].val_rmse > 0
    assert [e.rmse for e in again[2]] == [e.rmse for e in whole[2]]


def test_two_devices_go_on(tmp_path):
    import mxnet as mx

    devices = [mx.cpu(0), mx.cpu(1)]
    model, *_ = run.train(toy_ratings(), SMALL, devices)
    former = stopped(tmp_path / "run", 2)
    keep = checkpoint.Keep(tmp_path, {}, former)
    again, *_ = run.train(toy_ratings(), SMALL, devices, keep=keep)
    for name, values in model.networks[0].weights.items():
        numpy.testing.assert_allclose(again.networks[0].weights[name], values, atol=1e-6)


def test_every_epoch_has_draws_of_its_own(tmp_path):
    a, b = (
        run.train(toy_ratings(), replace(SMALL, checkpoint_every=every))[2] for every in (1, 2)
    )
    assert [e.train_loss for e in a] == [e.train_loss for e in b]  # how often does not count
    book = run.train(toy_ratings(), replace(SMALL, checkpoint_every=0))[2]
    assert [e.train_loss for e in book] != [e.train_loss for e in a]


def rewrite(path, change):
    with numpy.load(path) as file:
        arrays = dict(file)
    described = json.loads(arrays["description"].tobytes())
    change(arrays, described)
    arrays["description"] = numpy.frombuffer(json.dumps(described).encode(), numpy.uint8)
    numpy.savez(path, **arrays)


def compressed(path):
    with numpy.load(path) as file:
        numpy.savez_compressed(path, **file)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda path: path.unlink(), "has no checkpoint.npz"),
        (lambda path: path.with_name("run.json").write_text("{}"), "is finished"),
        (lambda path: os.truncate(path, path.stat().st_size - 100), "damaged or cut short"),
        (lambda path: os.truncate(path, 0), "damaged"),
        (lambda path: path.write_text("checkpoint"), "damaged"),
        (flip, "damaged"),
        (compressed, "damaged"),
        (lambda p: rewrite(p, lambda _, d: d.update(format=4)), "a newer d2l-autorec"),
        (lambda p: rewrite(p, lambda _, d: d.update(format=1)), "an older d2l-autorec"),
        (lambda p: rewrite(p, lambda _, d: d.update(format="x")), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d["plan"].pop("seed")), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d["plan"].update(seed="0")), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d["plan"]["recipe"].update(lr="0.1")), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d.update(history=[])), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d.update(more=1)), "damaged"),
        (lambda p: rewrite(p, lambda a, _: a.pop("rest")), "damaged"),
        (lambda p: rewrite(p, lambda a, _: a.update(rest=numpy.array([99]))), "do not fit"),
        (lambda p: rewrite(p, lambda a, _: a.pop("arrays/0_mean")), "do not fit"),
        (lambda p: rewrite(p, lambda a, _: a.update({"arrays/1": numpy.float32([9])})), "not fit"),
        (lambda p: rewrite(p, lambda a, _: a.update({"arrays/1": numpy.array(["x"])})), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d["history"][1].update(rmse=math.nan)), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d["history"][1].update(epoch=3)), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d["history"][1].update(rmse=None)), "epochs .* do not"),
        (lambda p: rewrite(p, lambda _, d: d.update(val_rmse="1")), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d.update(weight=-1)), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d.update(step=-8)), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d.update(step=9)), "steps .* do not fit"),
        # two batches that were not made, whose rows are left over
        (
            lambda p: rewrite(
                p, lambda a, d: (a.update(rest=numpy.arange(20)), d.update(step=d["step"] - 2))
            ),
            "steps .* do not fit",
        ),
        (lambda p: rewrite(p, lambda _, d: d.update(seconds=math.inf)), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d.update(computed_with=[])), "damaged"),
        (lambda p: rewrite(p, lambda _, d: d["plan"].update(seed=2**32)), "damaged"),
        (lambda p: rewrite(p, lambda a, _: a["arrays/0_var"].fill(-1)), "arrays .* do not fit"),
        (lambda p: rewrite(p, lambda a, _: a["arrays/1"].fill(math.inf)), "damaged"),
        (lambda p: rewrite(p, lambda a, _: a.update(rest=numpy.array([None]))), "damaged"),
        (lambda p: rewrite(p, lambda a, _: a.update({"arrays/1": a["arrays/1"] + 0.0j})), "damag"),
        (lambda p: rewrite(p, lambda _, d: d.update(data_digest="1" * 64)), "file with --data"),
        (lambda p: rewrite(p, lambda _, d: d.update(split_digest="1" * 64)), "are split"),
    ],
)
def test_what_cannot_be_gone_on_from_is_named(tmp_path, damage, said):
    stopped(tmp_path / "run", 2)
    damage(tmp_path / "run" / checkpoint.NAME)
    with pytest.raises(InputError, match=said) as refused:
        former = checkpoint.load(tmp_path / "run")
        run.train(toy_ratings(), SMALL, keep=checkpoint.Keep(tmp_path, {}, former))
    assert "\n" not in str(refused.value)


@engines
def test_best_weights_that_are_missing_are_missed(tmp_path, engine):
    """Else the weights of the last epoch would be saved under the RMSE of the best."""
    plan = replace(SMALL, engine=engine, recipe=RECIPE.but(val_ratio=0.2))
    stopped(tmp_path / "run", 2, plan)

    def without(arrays, _):
        for name in [name for name in arrays if name.startswith("best_weights/")][-1:]:
            del arrays[name]

    while any(n.startswith("best") for n in numpy.load(tmp_path / "run" / checkpoint.NAME).files):
        rewrite(tmp_path / "run" / checkpoint.NAME, without)
        keep = checkpoint.Keep(tmp_path, {}, checkpoint.load(tmp_path / "run"))
        with pytest.raises(InputError, match=r"arrays .* do not fit"):
            run.train(toy_ratings(), plan, keep=keep)


@engines
def test_the_shapes_expected_are_those_of_the_state(tmp_path, engine):
    for hidden in ((4,), (5, 2, 3)):
        for by in ("item", "user"):
            recipe = RECIPE.but(hidden=hidden, by=by, val_ratio=0.2)
            former = stopped(
                tmp_path / f"{by}{len(hidden)}", 2, run.Plan(recipe, engine, checkpoint_every=1)
            )
            shapes = array_shapes(engine, recipe.architecture, 30 if by == "item" else 40)
            for arrays, expected in zip((former.arrays, former.best_weights), shapes):
                assert {name: array.shape for name, array in arrays.items()} == expected


def test_other_threads_or_workers_are_told_and_recorded(tmp_path, monkeypatch):
    assert resume.other_computation((2, 1), (2, 1)) is None
    said = resume.other_computation((2, 1), (1, 3))
    assert said.startswith("The run had 2 threads and 1 worker and goes on with 1 thread and 3 w")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    former = stopped(tmp_path / "run", 2)
    assert former.computed_with == ((1, 1),)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    keep = checkpoint.Keep(tmp_path, {}, former)
    assert run.train(toy_ratings(), SMALL, keep=keep)[1].computed_with == ((1, 1), (2, 1))


def test_what_is_said_after_ctrl_c_is_true(tmp_path):
    assert "nothing was kept" in resume.farewell(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    assert "the model is kept in" in resume.farewell(tmp_path)
    (tmp_path / checkpoint.NAME).write_text("")
    assert f"train --resume {tmp_path}" in resume.farewell(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    assert "is complete" in resume.farewell(tmp_path)


def test_no_room_for_the_first_checkpoint(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_atomic", full)
    with pytest.raises(InputError, match=r"No space left.*then start the run again\.$"):
        run.train(toy_ratings(), SMALL, keep=checkpoint.Keep(tmp_path))


@pytest.mark.parametrize("moment", ["new_folder", "lock_folder"])
def test_ctrl_c_at_once_leaves_nothing_and_says_so(tmp_path, own, monkeypatch, capsys, moment):
    """The folder has just been made when the signal comes."""
    before = {"new_folder": session.runs, "lock_folder": session}[moment]
    honest = getattr(before, moment)

    def interrupted(folder, *given, **options):
        if moment == "new_folder":
            honest(folder, *given, **options)
        if (tmp_path / "run").exists():
            raise KeyboardInterrupt
        return folder

    monkeypatch.setattr(before, moment, interrupted)
    asked = Asked("chapter", {"hidden": (4,)}, {"engine": "sparse"}, own, out=tmp_path / "run")
    with pytest.raises(SystemExit):
        session.begin(asked, lambda *_: None, quiet=True)
    assert "nothing was kept" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_options_that_contradict_the_run(tmp_path, own):
    options = {"data": str(own), "devices": "cpu", "save": False, "tensorboard": None}
    stopped(
        tmp_path / "run", 2, options=options, ratings=read_ratings(own, allow_nonpositive=True)
    )

    def resume(*more):
        given = ["train", "--resume", tmp_path / "run", "--json", *more]
        return CliRunner().invoke(app, [*map(str, given)])

    wrong = {"--lr": 0.1, "--hidden": 8, "--epochs": 3, "--devices": "cpu:2", "--out": own}
    for option, value in wrong.items():
        refused = str(resume(option, value).exception)
        assert option in refused and "with --resume" in refused, refused
    other = tmp_path / "other.csv"
    other.write_text(own.read_text() + "99,99,1\n")
    assert "original file with --data" in str(resume("--data", other).exception)
    assert os.listdir(tmp_path / "run") == [checkpoint.NAME]
    done = resume("--lr", 0.05, "--epochs", 6, "--data", own)
    assert json.loads(done.stdout)["result"]["epoch"] == 6
    assert "is finished" in str(resume().exception)


def test_a_checkpoint_that_the_command_did_not_make(tmp_path):
    stopped(tmp_path / "run", 2)
    done = CliRunner().invoke(app, ["train", "--resume", str(tmp_path / "run")])
    assert "not made by the train command" in str(done.exception)


@engines
def test_no_room_left_keeps_the_former_checkpoint(tmp_path, engine):
    settings = replace(SMALL, engine=engine)
    former = stopped(tmp_path / "run", 2, settings)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        keep = checkpoint.Keep(tmp_path / "run", {}, former)
        with pytest.raises(
            InputError, match=r"File too large.*go on with --resume from the former"
        ):
            run.train(toy_ratings(), settings, keep=keep)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path / "run") == [checkpoint.NAME]
    assert len(checkpoint.load(tmp_path / "run").history) == 2


@pytest.fixture
def full_disk(tmp_path):
    """Mount a file system of 64 KiB."""
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_the_command_on_a_full_disk(full_disk, own):
    """The checkpoint of a small net fits; curve.png does not."""
    code, out, errors = end(
        start(
            *(
                "--data",
                own,
                "--recipe",
                "chapter",
                "--hidden",
                4,
                "--batch-size",
                7,
                "--epochs",
                2,
            ),
            *("--checkpoint-every", 1, "--out", full_disk / "run", "--quiet"),
        )
    )
    assert code == 2 and out == "" and len(errors.splitlines()) == 1, errors
    assert "No space left on device" in errors
    assert len(checkpoint.load(full_disk / "run").history) == 2
    assert not (full_disk / "run" / "run.json").exists()


def test_what_the_file_holds_is_plain(tmp_path):
    stopped(tmp_path / "run", 2)
    with zipfile.ZipFile(tmp_path / "run" / checkpoint.NAME) as archive:
        assert {Path(name).suffix for name in archive.namelist()} == {".npy"}
    with numpy.load(tmp_path / "run" / checkpoint.NAME, allow_pickle=False) as file:
        assert {array.dtype.str for array in file.values()} <= {"<f4", "<i8", "|u1"}
