"""Weights out of a model, and back from files that anybody may have written."""

import dataclasses
import json
import sys
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from toy_models import network, run, toy_model, with_weights

from d2l_autorec.errors import InputError
from d2l_autorec.serving.folder import load_model, save_model
from d2l_autorec.serving.onnx_graph import describe
from d2l_autorec.serving.weights import (
    export_npz,
    export_safetensors,
    import_weights,
    read_weights,
)

EXPORTS = {"safetensors": export_safetensors, "npz": export_npz}


def assert_equal(weights, expected):
    assert list(weights) == list(expected)
    for name, values in expected.items():
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(weights[name], values)


@pytest.mark.parametrize("kind", EXPORTS)
def test_out_and_in_again(tmp_path, kind):
    model = toy_model(hidden=(5, 2, 3))
    save_model(tmp_path / "model", model)
    others = {name: values + 1 for name, values in network(model).weights.items()}
    save_model(tmp_path / "other", with_weights(model, others))
    path, new = tmp_path / f"w.{kind}", tmp_path / "new"
    for words in (
        ["export", "--model", tmp_path / "other", f"--{kind}", path],
        ["import-weights", "--model", tmp_path / "model", "--weights", path, "--out", new],
    ):
        run(*words)
    weights, metadata = read_weights(path)
    assert metadata == describe(model)
    assert sorted(weights) == sorted(others)
    loaded = load_model(new)
    assert_equal(network(loaded).weights, others)
    assert loaded.record == {**model.record, "weights_from": f"w.{kind}"}
    assert loaded.user_ids.tolist() == model.user_ids.tolist()
    assert (loaded.ratings != model.ratings).nnz == 0


def test_files_of_other_makers(tmp_path):
    """Without metadata, in other precisions, compressed, and with names in another order."""
    model = toy_model()
    whole = {name: np.round(values * 8) / 8 for name, values in network(model).weights.items()}
    turned = dict(reversed(whole.items()))
    safetensors.numpy.save_file(
        {name: values.astype(np.float16) for name, values in turned.items()}, tmp_path / "a"
    )
    np.savez(tmp_path / "b.npz", **{name: v.astype(np.float64) for name, v in turned.items()})
    np.savez_compressed(tmp_path / "c.npz", **turned)
    for name in ("a", "b.npz", "c.npz"):
        assert_equal(network(import_weights(model, tmp_path / name)).weights, whole)


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize(
    "change, fragments",
    [
        ({"0.bias": None}, ["holds no 0.bias"]),
        ({"0.weight": np.zeros((5, 3))}, ["0.weight", "(5, 3)", "(3, 5)"]),
        ({"2.weight": np.zeros(1)}, ["'2.weight' too"]),
        ({"1.bias": np.zeros(5, int)}, ["'1.bias'", "floating-point"]),
        ({"1.bias": np.full(5, np.nan)}, ["'1.bias'", "finite"]),
        ({"1.bias": np.full(5, 1e300)}, ["'1.bias'", "finite"]),
    ],
    ids=["missing", "shape", "surplus", "whole numbers", "nan", "large"],
)
def test_weights_that_do_not_fit(tmp_path, kind, change, fragments):
    model = toy_model()
    weights = {**network(model).weights, **change}
    weights = {name: values for name, values in weights.items() if values is not None}
    path = tmp_path / "w"
    if kind == "npz":
        with open(path, "wb") as file:
            np.savez(file, **weights)
    else:
        safetensors.numpy.save_file(weights, path)
    with pytest.raises(InputError) as caught:
        import_weights(model, path)
    for fragment in (str(path), *fragments):
        assert fragment in str(caught.value)


@pytest.mark.parametrize("kind", EXPORTS)
def test_weights_of_another_model(tmp_path, kind):
    EXPORTS[kind](toy_model(encoder="tanh"), tmp_path / "tanh")
    with pytest.raises(InputError, match="encoder 'tanh' and the model 'sigmoid'"):
        import_weights(toy_model(), tmp_path / "tanh")
    EXPORTS[kind](toy_model(), tmp_path / "ids")
    other = dataclasses.replace(toy_model(), item_ids=np.arange(6))
    with pytest.raises(InputError, match="ids_digest"):
        import_weights(other, tmp_path / "ids")


@pytest.mark.parametrize("kind", EXPORTS)
def test_damaged_files_get_one_sentence(tmp_path, kind):
    """Flip bytes, cut and overwrite: the arrays are whole, or nothing is read."""
    model, path = toy_model(), tmp_path / "w"
    EXPORTS[kind](model, path)
    whole = path.read_bytes()
    draws = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        at = int(draws.integers(len(content) if draws.random() < 0.5 else 400))
        content[at] = int(draws.integers(256))
        if draws.random() < 0.3:
            content = content[:at]
        path.write_bytes(content)
        try:
            import_weights(model, path)
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and str(error).endswith(".")
    assert refused > 100
    assert [file.name for file in tmp_path.iterdir()] == ["w"]


HEADERS = [
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    b"{'descr': 5, 'fortran_order': False, 'shape': (1,), }",
    b"{1: 2, 'a': 3}",
    b"  (\n {\n",
    b" a\n   b\n  c",
    b"(" * 60_000,
    b"__import__('os').abort()",
]


@pytest.mark.parametrize("header", HEADERS)
def test_an_array_with_a_false_header(tmp_path, header):
    content = b"\x93NUMPY\x01\x00" + np.uint16(len(header)).tobytes() + header + b"\x80\x04."
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as file:
        file.writestr("0.weight.npy", content)
    with pytest.raises(InputError, match=r"w\.npz"):
        read_weights(tmp_path / "w.npz")


def test_metadata_that_is_none(tmp_path):
    for text in ("[1]", '{"by": 1}', "{", "9" * 100_000):
        np.savez(tmp_path / "w.npz", metadata=np.array(text))
        with pytest.raises(InputError, match="metadata"):
            read_weights(tmp_path / "w.npz")


def test_a_header_of_safetensors_that_claims_more_than_there_is(tmp_path):
    entry = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    header = json.dumps({"0.weight": entry}).encode()
    for size in (len(header), 2**62):
        (tmp_path / "w").write_bytes(size.to_bytes(8, "little") + header + bytes(64))
        with pytest.raises(InputError, match="damaged"):
            read_weights(tmp_path / "w")


def test_the_extra_is_missing(tmp_path, monkeypatch):
    export_safetensors(toy_model(), tmp_path / "w")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (
        lambda: read_weights(tmp_path / "w"),
        lambda: export_safetensors(toy_model(), "x"),
    ):
        with pytest.raises(InputError, match=r"d2l-autorec\[safetensors\].* or use npz"):
            call()
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        read_weights(tmp_path / "none")
