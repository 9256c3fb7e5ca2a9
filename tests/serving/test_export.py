"""The ONNX file against MXNet and NumPy, and in an environment that has no MXNet."""

import dataclasses
import re
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from toy_models import dense, inputs, network, reconstructed, toy_model, with_weights
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.serving import export, onnx_graph
from d2l_autorec.serving.folder import save_model
from d2l_autorec.serving.model import ids_digest

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve_onnx.py"


@pytest.mark.parametrize("hidden", [(4,), (5, 2, 3)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_predictions_are_those_of_mxnet_and_numpy(tmp_path, name, hidden):
    others = dict(zip(ACTIVATIONS, ACTIVATIONS[1:] + ACTIVATIONS[:1]))
    model = toy_model(hidden=hidden, encoder=name, decoder=others[name])
    model = dataclasses.replace(model, low=0.25, high=0.5)  # so that both ends are met
    path = tmp_path / "model.onnx"
    assert 0 <= export.export_onnx(model, path) < 1e-5
    session = onnxruntime.InferenceSession(str(path))
    for rows in (slice(0, 1), slice(0, 6)):
        batch = inputs(model)[rows]
        [seen] = session.run(["predictions"], {"ratings": batch.toarray()})
        expected = network(model).reconstruct(batch)
        assert seen.dtype == np.float32
        np.testing.assert_allclose(seen, expected.clip(0.25, 0.5), atol=1e-5)
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
        **{"format": "1", "by": "user", "encoder": "sigmoid", "decoder": "identity"},
        **{"low": "1.0", "high": "5.0", "ids_digest": ids_digest(model), "data_digest": "0" * 64},
    }


def test_a_file_that_would_predict_otherwise_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setitem(onnx_graph._OPERATORS, "sigmoid", "Tanh")
    model = dataclasses.replace(toy_model(), low=-9.0, high=9.0)
    with pytest.raises(InputError, match=r"model\.onnx was not written: .* differ"):
        export.export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


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


@pytest.mark.parametrize("by", ["item", "user"])
def test_served_without_mxnet(tmp_path, without_mxnet, by):
    for module in ("mxnet", "pandas", "d2l_autorec"):
        assert (
            "ModuleNotFoundError" in in_isolation(without_mxnet, "-c", f"import {module}").stderr
        )
    model = toy_model(by)
    save_model(tmp_path / "model", model)
    words = ["export", "--model", tmp_path / "model", "--onnx", tmp_path / "model.onnx"]
    done = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert re.fullmatch(r".*model\.onnx: predicts what MXNet does, to \S+ at most\n", done.output)

    served = in_isolation(
        without_mxnet, EXAMPLE, tmp_path / "model.onnx", tmp_path / "model", "u1"
    )
    assert served.returncode == 0, served.stderr
    lines = [line.split() for line in served.stdout.splitlines()]
    scores = reconstructed(model).clip(1, 5)
    scores = scores if by == "user" else scores.T
    unseen = np.flatnonzero(dense(model)[0] == 0)
    assert 0 < len(unseen) < len(lines) == 6
    best = unseen[np.argsort(-scores[0, unseen], kind="stable")]
    shown = [(float(score), int(item)) for score, item in lines if score != "-inf"]
    assert [item for _, item in shown] == [model.item_ids[i] for i in best]
    np.testing.assert_allclose([score for score, _ in shown], scores[0, best], atol=0.0051)


def test_the_example_is_short():
    code = EXAMPLE.read_text().split('"""')[2]
    lines = [line for line in code.splitlines() if line.strip() and line.strip()[0] != "#"]
    assert len(lines) <= 15


def test_nothing_asked_for(tmp_path):
    with pytest.raises(InputError, match="--onnx"):
        CliRunner().invoke(app, ["export", "--model", str(tmp_path)], catch_exceptions=False)
