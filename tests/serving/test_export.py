"""The ONNX file against MXNet and NumPy, and in an environment that has no MXNet."""

import dataclasses
import re
import shutil
import subprocess
import sys
import venv
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from toy_models import inputs, network, run, toy_blend, toy_model, with_weights

from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.serving import export, onnx_graph
from d2l_autorec.serving.folder import load_model, save_model
from d2l_autorec.serving.model import ids_digest
from d2l_autorec.serving.recommend import recommend

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve_onnx.py"


@pytest.mark.parametrize("hidden", [(4,), (5, 2, 3)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_predictions_are_those_of_mxnet_and_numpy(tmp_path, name, hidden):
    others = dict(zip(ACTIVATIONS, ACTIVATIONS[1:] + ACTIVATIONS[:1]))
    model = toy_model(hidden=hidden, encoder=name, decoder=others[name])
    model = dataclasses.replace(model, low=0.25, high=0.5)  # so that both ends are met
    path = tmp_path / "model.onnx"
    checked = export.export_onnx(model, path)
    assert 0 <= checked.difference < 1e-5 and (checked.num_users, checked.ties) == (5, 0)
    session = onnxruntime.InferenceSession(str(path))
    for rows in (slice(0, 1), slice(0, 6)):
        batch = inputs(model)[rows]
        score, rating = session.run(["score", "rating"], {"ratings": batch.toarray()})
        expected = network(model).reconstruct(batch)
        assert score.dtype == rating.dtype == np.float32
        np.testing.assert_allclose(score, expected, atol=1e-5)
        np.testing.assert_allclose(rating, expected.clip(0.25, 0.5), atol=1e-5)
    assert (expected != expected.clip(0.25, 0.5)).any()
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_what_the_file_says(tmp_path):
    model = toy_model("user")
    export.export_onnx(model, tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    for end in (*proto.graph.input, *proto.graph.output):
        sizes = end.type.tensor_type.shape.dim
        assert [size.dim_param or size.dim_value for size in sizes] == ["batch", 6]
    said = {entry.key: entry.value for entry in proto.metadata_props}
    assert said == {
        **{"format": "2", "by": "user", "encoder": "sigmoid", "decoder": "identity"},
        **{"low": "1.0", "high": "5.0", "ids_digest": ids_digest(model), "data_digest": "0" * 64},
        "model_digest": "",
    }


def test_a_file_that_would_predict_otherwise_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setitem(onnx_graph._OPERATORS, "sigmoid", "Tanh")
    for low, high in ((-9.0, 9.0), (7.0, 7.0)):  # at 7 the ratings are equal, clipped
        model = dataclasses.replace(toy_model(), low=low, high=high)
        with pytest.raises(InputError, match=r"model\.onnx was not written: .* differ"):
            export.export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [toy_model, partial(toy_model, "user"), toy_blend])
def test_a_file_that_would_recommend_other_items_is_not_written(tmp_path, monkeypatch, make):
    """Other lists at equal scores: the item that is best for everybody is called rated."""
    model = make()
    best = recommend(model, n=1)["item"].mode()[0]
    honest = export._Lists.__init__

    def forgetful(self, *given):
        honest(self, *given)
        self.unrated[list(model.item_ids).index(best)] = True

    monkeypatch.setattr(export._Lists, "__init__", forgetful)
    with pytest.raises(InputError, match=r"not written: for \d of 5 users it recommends other"):
        export.export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_lists_that_differ_in_ties_alone():
    model = toy_model()
    expected = np.full((5, export.LIST), -1)
    for user, rank, item in recommend(model)[["user", "rank", "item"]].itertuples(index=False):
        expected[int(user[1:]) - 1, rank - 1] = item // 10 - 1
    users = np.arange(5)
    assert export._compare_lists(model, users, expected, 0.0) == (0, 0)
    swapped = expected.copy()
    swapped[4, [0, 1]] = swapped[4, [1, 0]]
    apart = float(np.ptp(model.trained.score_pairs(np.array([4, 4]), swapped[4, :2])))
    assert apart > 0.01
    assert export._compare_lists(model, users, swapped, 0.9 * apart) == (1, 0)
    assert export._compare_lists(model, users, swapped, 1.1 * apart) == (0, 1)
    shorter = expected.copy()
    shorter[4, 4] = -1
    assert export._compare_lists(model, users, shorter, 99.0) == (1, 0)


@pytest.mark.parametrize("batch", [2, 256])
def test_lists_do_not_depend_on_how_scores_come_in(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(export, "_BATCH", batch)
    monkeypatch.setattr(export, "_PAIRS_AT_ONCE", 6 * batch)
    monkeypatch.setattr(export, "LIST", 2)
    for model in (toy_model(num_users=9), toy_model("user", num_users=9), toy_blend()):
        checked = export.export_onnx(model, tmp_path / "model.onnx")
        assert checked.num_users == len(model.user_ids) and not checked.ties
    monkeypatch.setattr(export, "_LISTED_PAIRS", 20)  # of a model of pairs, some users
    assert export.export_onnx(toy_blend(), tmp_path / "model.onnx").num_users == 3


def test_weights_that_give_nan_do_not_pass_for_equal(tmp_path):
    model = toy_model(encoder="identity")
    big = {name: np.full_like(values, 3e38) for name, values in network(model).weights.items()}
    big["1.weight"][:, 0] *= -1
    with pytest.raises(InputError, match="nan"):
        export.export_onnx(with_weights(model, big), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_the_extra_is_missing(tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"pip install \"d2l-autorec\[onnx\]\""):
        export.export_onnx(toy_model(), tmp_path / "model.onnx")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    for name in ("folder.onnx", "missing/model.onnx"):
        with pytest.raises(InputError, match=f"{name} cannot be written"):
            export.export_onnx(toy_model(), tmp_path / name)
    assert [file.name for file in tmp_path.rglob("*")] == ["folder.onnx"]


@pytest.fixture(scope="module")
def without_mxnet(tmp_path_factory):
    """Make an environment of onnxruntime and NumPy and nothing else."""
    folder = tmp_path_factory.mktemp("without") / "venv"
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for module in (np, onnxruntime):
        source = Path(module.__file__).parent
        (packages / source.name).symlink_to(source)
        libraries = source.with_name(f"{source.name}.libs")
        if libraries.exists():
            (packages / libraries.name).symlink_to(libraries)
    return folder / "bin" / "python"


def in_isolation(python, *arguments):
    return subprocess.run(
        [python, "-I", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def clipped(make):
    """Return a model whose predictions are all clipped to 9, so that ratings give no order."""
    return dataclasses.replace(make(), low=9.0, high=9.0)


@pytest.mark.parametrize("make", [toy_model, partial(toy_model, "user"), toy_blend])
def test_served_without_mxnet_as_recommend_does(tmp_path, without_mxnet, make):
    for module in ("mxnet", "pandas", "d2l_autorec"):
        assert (
            "ModuleNotFoundError" in in_isolation(without_mxnet, "-c", f"import {module}").stderr
        )
    kept, file = tmp_path / "run", tmp_path / "model.onnx"
    model = clipped(make)
    save_model(kept / "model", model)
    assert re.fullmatch(
        r".*model\.onnx: predicts what MXNet does, to \S+ at most\n"
        r"The 10 best items of 5 users are those of recommend\n",
        run("export", "--model", kept, "--onnx", file),
    )
    for user, folder in (("u1", kept), ("u2", kept / "model"), ("u5", kept)):
        served = in_isolation(without_mxnet, EXAMPLE, file, folder, user)
        assert served.returncode == 0, served.stderr
        lines = [line.split() for line in served.stdout.splitlines()]
        expected = recommend(model, [user])
        assert [int(item) for _, item in lines] == expected["item"].tolist()
        assert {rating for rating, _ in lines} <= {"9.00"}


def test_what_the_example_refuses(tmp_path, without_mxnet):
    save_model(tmp_path / "run" / "model", toy_model())
    save_model(tmp_path / "other", toy_model(num_users=4))
    save_model(tmp_path / "same_ids", toy_model(encoder="tanh"))
    file = tmp_path / "model.onnx"
    export.export_onnx(load_model(tmp_path / "run"), file)
    shutil.copytree(tmp_path / "run" / "model", tmp_path / "damaged")
    with open(tmp_path / "damaged" / "ratings.npz", "r+b") as ratings:
        ratings.seek(300)
        ratings.write(b"?")
    (tmp_path / "text.onnx").write_text("no graph")
    tries = [
        (file, "run", "u9", "knows no user 'u9'"),
        (file, "other", "u1", "was exported from another model than"),
        (file, "same_ids", "u1", "was exported from another model than"),
        (file, "damaged", "u1", "ratings.npz is damaged"),
        (file, "nothing", "u1", "No such file"),
        (tmp_path / "text.onnx", "run", "u1", "text.onnx"),
        (tmp_path / "missing.onnx", "run", "u1", "missing.onnx"),
    ]
    for onnx_file, folder, user, said in tries:
        served = in_isolation(without_mxnet, EXAMPLE, onnx_file, tmp_path / folder, user)
        assert served.returncode == 1 and not served.stdout
        assert said in served.stderr and len(served.stderr.splitlines()) == 1, served.stderr


def test_nothing_asked_for(tmp_path):
    with pytest.raises(InputError, match="--onnx"):
        run("export", "--model", tmp_path)
