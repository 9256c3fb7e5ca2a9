"""A model folder comes back as it was, or one sentence says why not."""

import dataclasses
import hashlib
import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path

import mxnet as mx
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from toy_models import inputs, network, random_network, reconstructed, toy_blend, toy_model

from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.models.autorec import AutoRec, get_weights, to_net
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.serving._reading import description_digest
from d2l_autorec.serving.explain import explain
from d2l_autorec.serving.folder import Model, ids_digest, load_model, make_model, save_model
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.model import flat_arrays
from d2l_autorec.serving.recommend import predict, recommend
from d2l_autorec.serving.similar import similar
from d2l_autorec.training import run

OLD = Path(__file__).parent / "old_models"


def same(one, other):
    ours, theirs = flat_arrays(one.trained), flat_arrays(other.trained)
    assert list(ours) == list(theirs)
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])
        assert theirs[name].dtype == (np.float64 if name.endswith("_bias") else np.float32)
    assert one.trained.recipe == other.trained.recipe
    assert one.trained.factors == other.trained.factors
    for mine, its in zip(one.trained.networks, other.trained.networks):
        assert (mine.recipe, mine.epoch) == (its.recipe, its.epoch)
        assert (mine.scale.mean, mine.scale.unit) == (its.scale.mean, its.scale.unit)
    for name in ("indptr", "indices", "data"):  # stored zeros too
        np.testing.assert_array_equal(getattr(one.ratings, name), getattr(other.ratings, name))
    assert one.ratings.shape == other.ratings.shape
    for name in ("user_ids", "item_ids"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.items is None) == (other.items is None)
    if one.items is not None:
        tables = (table.astype(object).fillna("none") for table in (one.items, other.items))
        pd.testing.assert_frame_equal(*tables)  # pandas 3 reads texts as another dtype
    for field in dataclasses.fields(Model):
        if field.name not in ("trained", "user_ids", "item_ids", "items", "digest"):
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert ids_digest(one) == ids_digest(other)


UNICODE = st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])
TEXT = st.text(UNICODE, min_size=1, max_size=8)
FLOATS = st.floats(-(2.0**99), 2.0**99, width=32)


@st.composite
def models(draw, floats=FLOATS):
    def ids():
        kind = draw(st.sampled_from([TEXT, st.integers(-(2**63), 2**63 - 1)]))
        names = draw(st.sets(kind, min_size=1, max_size=5))
        return np.array(sorted(names), np.int64 if isinstance(min(names), int) else np.str_)

    user_ids, item_ids, by = ids(), ids(), draw(st.sampled_from(["item", "user"]))
    shape = (len(item_ids), len(user_ids))
    hidden = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    places = sorted(draw(st.sets(st.integers(0, shape[0] * shape[1] - 1), min_size=1)))
    data = np.array(draw(st.lists(floats, min_size=len(places), max_size=len(places))), "f4")
    matrix = sparse.csr_matrix((data, np.divmod(np.array(places, int), shape[1])), shape)
    count, items = len(item_ids), None
    if draw(st.booleans()):
        items = pd.DataFrame({"item_id": item_ids})
        texts = st.lists(st.none() | TEXT, min_size=count, max_size=count)
        years = st.lists(st.none() | st.integers(0, 9999), min_size=count, max_size=count)
        for name, values in (("title", texts), ("year", years), ("genres", texts)):
            kind = "Int64" if name == "year" else object
            items[name] = pd.Series(draw(values), dtype=kind)
    seed = draw(st.integers(0, 2**32 - 1))
    names = [draw(st.sampled_from(ACTIVATIONS)) for _ in range(2)]
    rates = [draw(st.floats(0, 0.99)) for _ in range(2)]
    low, high = sorted(draw(st.tuples(floats, floats)))
    plain = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-9, 9) | TEXT
    record = draw(st.dictionaries(TEXT, plain | st.lists(plain, max_size=3), max_size=3))
    recipe = Recipe().but(
        by=by,
        hidden=hidden,
        encoder=names[0],
        decoder=names[1],
        dropout=rates[0],
        input_dropout=rates[1],
        targets=draw(st.sampled_from(["stars", "mean", "biases"])),
    )
    network = random_network(recipe, matrix, np.random.default_rng(seed))
    trained = TrainedModel(recipe, (network,), (1.0,), matrix)
    return Model(trained, user_ids, item_ids, items, low, high, record)


@settings(max_examples=40, deadline=None)
@given(model=models())
def test_any_model_comes_back(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any") / "model"
    save_model(folder, model)
    same(model, load_model(folder))


@settings(max_examples=60, deadline=None)
@given(model=models(st.floats(-1000, 1000, width=32)), data=st.data())
def test_any_model_can_be_asked(model, data):
    user = data.draw(st.sampled_from(model.user_ids.tolist()))
    item = data.draw(st.sampled_from(model.item_ids.tolist()))
    table = recommend(model, n=2)
    assert table["prediction"].between(np.float32(model.low), np.float32(model.high)).all()
    assert predict(model, table["user"], table["item"])["rating"].isna().all()
    for what, name in (("user", user), ("item", item)):
        assert name not in similar(model, what, name)[what].tolist()
    told = explain(model, user, item)
    expected = predict(model, [user], [item])["prediction"].iloc[0]
    assert np.clip(told.prediction, model.low, model.high) == pytest.approx(expected, rel=1e-3)
    own = pd.DataFrame({"item": [item], "rating": [np.float32(model.low)]})
    if model.by == "user" or model.trained.recipe.architecture.decoder == "identity":
        assert item not in new_user(model, own)["item"].tolist()


def test_from_a_trained_net_and_back(tmp_path):
    table = pd.DataFrame({"user": [0, 1, 1, 2], "item": [0, 0, 1, 1], "rating": [2, 0, 4.5, 9]})
    ratings = Ratings(table, np.array(["a", "b", "c"]), np.array([5, 7]), None, "own", "1" * 64)
    matrix = interaction_csr(table, 3, 2, np.array([0, 1, 2]))
    for by, num_inputs in (("item", 3), ("user", 2)):
        recipe = Recipe().but(by=by, hidden=(4, 2), encoder="elu", decoder="tanh", dropout=0.1)
        net = AutoRec(num_inputs, recipe.architecture)
        net.initialize(mx.init.Normal(0.5))
        own = Network(recipe, get_weights(net), Scale.of(matrix, recipe), 3)
        done = run.Result(
            0.5, 1.0, 0.9, None, 3, 0.1, 1, 1.0, 2.0, 3, 0, 1, "mxnet", "1" * 64, "2" * 64
        )
        record = run.record(run.Plan(recipe), done)
        trained = TrainedModel(recipe, (own,), (1.0,), matrix)
        model = make_model(trained, ratings, record)
        assert (model.low, model.high) == (0, 4.5)  # of the ratings trained on
        save_model(tmp_path / by / "model", model)
        loaded = load_model(tmp_path / by)  # the folder of a run
        same(model, loaded)
        assert loaded.record["plan"]["recipe"]["encoder"] == "elu"
        assert loaded.record["result"]["test_rmse"] == 0.5
        assert (loaded.ratings != matrix).nnz == 0 and loaded.ratings.nnz == 3
        rows = mx.np.array(inputs(loaded).toarray())
        expected = net(rows).asnumpy()
        np.testing.assert_allclose(reconstructed(loaded), expected, rtol=1e-5)
        again = to_net(network(loaded).recipe.architecture, network(loaded).weights)
        np.testing.assert_array_equal(again(rows).asnumpy(), expected)
        assert again.architecture == recipe.architecture


def test_a_blend_comes_back(tmp_path):
    model = toy_blend()
    save_model(tmp_path / "model", model)
    loaded = load_model(tmp_path)
    same(model, loaded)
    users, items = np.divmod(np.arange(30), 6)
    np.testing.assert_array_equal(
        loaded.trained.predict(users, items), model.trained.predict(users, items)
    )


@pytest.mark.parametrize("by", ["item", "user"])
def test_a_folder_of_format_1_still_answers(by, tmp_path):
    """The folders were written, and asked, by the version before recipes were stored."""
    model = load_model(OLD / by)
    architecture = network(model).recipe.architecture
    assert architecture.by == by and architecture.hidden == ((4, 3, 4) if by == "item" else (3,))
    asked = pd.read_csv(OLD / f"{by}-predicted.csv")
    found = predict(model, asked["user"], asked["item"])
    np.testing.assert_allclose(found["prediction"], asked["prediction"], atol=1e-6)
    np.testing.assert_array_equal(found["rating"], asked["rating"])
    np.testing.assert_array_equal(found["num_read"], asked["num_read"])
    save_model(tmp_path / "new", model)  # as format 3
    same(model, load_model(tmp_path / "new"))


def test_saving_is_all_or_nothing(tmp_path, monkeypatch):
    model = toy_model()
    (tmp_path / "mine").mkdir()
    save_model(tmp_path / "mine", model)  # empty: taken
    before = {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    with pytest.raises(InputError, match="not empty"):
        save_model(tmp_path / "mine", model)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        save_model(tmp_path / "file", model)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        save_model(tmp_path / "new", model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Give the files of a model folder, and the model."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(folder, toy_model(hidden=(3, 2)))
    return {path.name: path.read_bytes() for path in folder.iterdir()}, load_model(folder)


def sealed(files, describe=lambda said: None):
    """Describe the files anew, with digests that fit."""
    said = json.loads(files["model.json"])
    for name, data in files.items():
        if name != "model.json" and data is not None:
            said["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    describe(said)
    said["digest"] = description_digest(said)
    return json.dumps(said).encode()


@pytest.fixture
def put(tmp_path, saved):
    """Return a function that lays out the folder with some files changed, sealed or not."""

    def put(seal=True, describe=lambda said: None, **changed):
        files = {**saved[0], **{name.replace("_", "."): data for name, data in changed.items()}}
        if seal:
            files["model.json"] = sealed(files, describe)
        for name, data in files.items():
            (tmp_path / name).unlink(missing_ok=True)
            if data is not None:
                (tmp_path / name).write_bytes(data)
        return tmp_path

    return put


def packed(archive):
    """Pack one member, in which a bomb could hide, and make room for it."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w") as new:
        new.comment = bytes(1000)
        for name in old.namelist():
            kind = zipfile.ZIP_DEFLATED if name == "1.weight.npy" else zipfile.ZIP_STORED
            new.writestr(name, old.read(name), kind)
    return file.getvalue()


def npz(saved, name, **changed):
    """Write an array file anew, with some arrays changed."""
    with np.load(io.BytesIO(saved[0][name])) as arrays:
        arrays = {**arrays, **{key.replace("_", "."): value for key, value in changed.items()}}
    file = io.BytesIO()
    arrays = {key: value for key, value in arrays.items() if value is not None}
    np.savez(file, **arrays)
    return file.getvalue()


def refused(folder, *words):
    with pytest.raises(InputError) as caught:
        load_model(folder)
    text = str(caught.value)
    assert "\n" not in text and all(word in text for word in words), text


FILES = pytest.mark.parametrize("name", ["model.json", "weights.npz", "ratings.npz", "ids.json"])


@FILES
def test_a_file_missing_cut_or_changed(name, saved, put):
    key, data = name.replace(".", "_"), saved[0][name]
    refused(put(seal=False, **{key: None}), name, "missing")
    cut = "damaged" if name == "model.json" else "bytes in place of"
    refused(put(seal=False, **{key: data[:-9]}), name, cut)
    changed = "was changed" if name == "model.json" else "digest"
    other = data.replace(b"5", b"6") if name.endswith("json") else data[:-9] + b"123456789"
    refused(put(seal=False, **{key: other}), name, changed)


@FILES
def test_a_link_out_of_the_folder(name, saved, put, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / name
    elsewhere.write_bytes(saved[0][name])
    folder = put()
    (folder / name).unlink()
    (folder / name).symlink_to(elsewhere)
    refused(folder, name, "link")
    (folder / name).unlink()
    (folder / name).mkdir()
    refused(folder, name, "not a file")


def test_other_folders(tmp_path):
    refused(tmp_path / "none", "does not exist")
    refused(tmp_path, "holds no model")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "file")


def part(name, **values):
    return lambda said: said[name].update(values)


def of_network(**values):
    return lambda said: said["networks"][0]["recipe"].update(values)


@pytest.mark.parametrize(
    "describe, words",
    [
        (lambda said: said.update(format=4), ("format 4", "update")),
        (lambda said: said.update(format="1"), ("describes no model",)),
        (lambda said: said.pop("recipe"), ("lacks a part",)),
        (lambda said: said.pop("networks"), ("lacks a part",)),
        (lambda said: said.update(networks=[]), ("lacks a part",)),
        (lambda said: said["networks"][0].update(factor=True), ("lacks a part",)),
        (lambda said: said["networks"][0].update(factor=1e-320), ("lacks a part",)),
        (lambda said: said["networks"][0].update(mean=float("nan")), ("lacks a part",)),
        (lambda said: said.update(record=[1]), ("lacks a part",)),
        (lambda said: said.update(rating_range=[5, 1]), ("lacks a part",)),
        (lambda said: said.update(rating_range=[1, float("inf")]), ("lacks a part",)),
        (of_network(encoder="step"), ("encoder 'step' is unknown",)),
        (of_network(decoder=None), ("decoder", "unknown")),
        (of_network(dropout=1.0), ("dropout",)),
        (of_network(by="film"), ("by 'film'",)),
        (of_network(hidden=[]), ("hidden",)),
        (of_network(hidden=[3, -2]), ("hidden",)),
        (of_network(hidden=[3, True]), ("hidden",)),
        (of_network(hidden=[3, 3]), ("weights.npz", "1.weight", "3 x 3")),
        (of_network(hidden=[3]), ("weights.npz", "other arrays")),
        (lambda said: said.update(num_users=10**12), ("weights.npz", "0.weight")),
        (lambda said: said.update(num_items=7), ("ratings.npz", "indptr")),
        (lambda said: said.update(num_ratings=10**15), ("ratings.npz", "indices")),
        (part("files", **{"../ids.json": {"size": 1, "sha256": ""}}), ("leads out",)),
        (part("files", **{"other": {"size": 1, "sha256": ""}}), ("no file of a model",)),
        (lambda said: said["files"].pop("ids.json"), ("does not list ids.json",)),
        (lambda said: said.update(ids_digest=""), ("ids.json", "other ids")),
    ],
)
def test_a_description_that_cannot_be(describe, words, put):
    refused(put(describe=describe), *words)


@pytest.mark.parametrize(
    "text, words",
    [
        (b"[" * 100_000, "damaged"),
        (b'{"format": ' + b"1" * 100_000 + b"}", "damaged"),
        (b" " * 2**21, "1,048,576"),
        (b"[]", "describes no model"),
        (b"\xff{}", "damaged"),
        (b"", "damaged"),
    ],
)
def test_a_description_that_is_none(text, words, put):
    refused(put(seal=False, model_json=text), "model.json", words)


def test_arrays_that_cannot_be(saved, put):
    ratings = saved[1].ratings

    def check(name, words, **changed):
        key = name.replace(".", "_")
        refused(put(**{key: npz(saved, name, **changed)}), name, *words)

    bias = np.zeros(3, np.float32)
    check("weights.npz", ["0.bias", "not finite"], **{"0_bias": bias + np.nan})
    check("weights.npz", ["0.bias", "3 array"], **{"0_bias": bias.astype("f8")})
    check("weights.npz", ["0.bias"], **{"0_bias": np.array(["ab", "c", "d"])})
    check("weights.npz", ["0.bias"], **{"0_bias": np.array([None, 1, 2])})  # a pickle
    turned = np.asfortranarray(network(saved[1]).weights["0.weight"])
    check("weights.npz", ["0.weight"], **{"0_weight": turned})
    check("weights.npz", ["other arrays"], **{"0_bias": None})
    check("weights.npz", ["other arrays"], more=bias)
    refused(put(weights_npz=packed(saved[0]["weights.npz"])), "weights.npz", "1.weight")
    outside, order = ratings.indices.copy(), ratings.indices.copy()
    outside[-1], order[:2] = 5, order[:2][::-1]
    check("ratings.npz", ["outside 0 to 4"], indices=outside)
    check("ratings.npz", ["outside 0 to 4"], indices=-1 - ratings.indices)
    check("ratings.npz", ["not in order"], indices=order)
    check("ratings.npz", ["indptr does not divide"], indptr=ratings.indptr.astype(int)[::-1])
    check("ratings.npz", ["not finite"], data=ratings.data + np.inf)
    refused(put(weights_npz=saved[0]["ids.json"]), "weights.npz", "damaged")


def test_a_bomb_is_refused_before_it_fills_memory(put):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2**34,)}
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"):
            with archive.open(f"{name}.npy", "w") as member:
                member.write(header.getvalue() + bytes(2**24))
    assert len(file.getvalue()) < 2**18
    refused(put(weights_npz=file.getvalue()), "weights.npz", "more than its own size")


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("user_ids"),
        lambda said: said["user_ids"].pop(),
        lambda said: said["user_ids"].reverse(),
        lambda said: said["item_ids"].insert(0, 10),
        lambda said: said.update(item_ids=[1, 2, 3, 4, 5, "6"]),
        lambda said: said.update(item_ids=[1, 2, 3, 4, 5, 2**63]),
        lambda said: said.update(item_ids={}),
        lambda said: said["items"].pop("title"),
        lambda said: said["items"].update(title=["a"]),
        lambda said: said["items"].update(title=[1] * 6),
        lambda said: said["items"].update(title=["\ud800"] * 6),
        lambda said: said.update(user_ids=["a", "b", "c", "d", "\ud800"]),
        lambda said: said["items"].update(year=["1990"] * 6),
        lambda said: said["items"].update(year=[2**63] * 6),
        lambda said: said.update(items=[]),
    ],
)
def test_ids_that_cannot_be(change, saved, put):
    said = json.loads(saved[0]["ids.json"])
    change(said)
    refused(put(ids_json=json.dumps(said).encode()), "ids.json", "5 users and 6 items")


def test_other_ids_in_good_order_are_refused(saved, put):
    said = json.loads(saved[0]["ids.json"])
    said["item_ids"][0] = 9
    refused(put(ids_json=json.dumps(said).encode()), "ids.json", "other ids")


DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["model.json", "weights.npz", "ratings.npz", "ids.json"]),
        st.sampled_from(["flip", "cut", "insert", "drop"]),
        st.integers(0, 2**32),
        st.integers(1, 255),
    ),
    min_size=1,
    max_size=3,
)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=DAMAGE, resealed=st.booleans())
def test_damage_gives_one_sentence_or_the_same_model(damage, resealed, saved, tmp_path):
    """Resealed: whoever did it has put all digests right."""
    files = dict(saved[0])
    for name, kind, place, value in damage:
        data = files[name]
        if not data:
            continue
        at = place % len(data)
        files[name] = {
            "flip": data[:at] + bytes([data[at] ^ value]) + data[at + 1 :],
            "cut": data[:at],
            "insert": data[:at] + bytes([value]) + data[at:],
            "drop": None,
        }[kind]
    if resealed:
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            files["model.json"] = sealed(files)
    for name, data in files.items():
        (tmp_path / name).unlink(missing_ok=True)
        if data is not None:
            (tmp_path / name).write_bytes(data)
    try:
        model = load_model(tmp_path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        if not resealed:
            same(saved[1], model)


def test_one_long_id_makes_only_itself_long(tmp_path):
    """In an array of fixed width these ids would take 2000 x 200,000 x 4 bytes."""
    import tracemalloc

    model = toy_model(num_users=2000, titles=False)
    ids = np.array([f"u{i:05}" for i in range(1999)] + ["v" * 200_000], dtype=object)
    save_model(tmp_path / "model", dataclasses.replace(model, user_ids=ids))
    tracemalloc.start()
    loaded = load_model(tmp_path / "model")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded.user_ids[1999] == ids[1999] and peak < 30e6
    assert list(recommend(loaded, ["u00000"], 1)["user"]) == ["u00000"]
