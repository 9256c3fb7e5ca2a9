"""New ratings in a trained model: known and new users and items, twice, and out of range."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from toy_models import dense, network, toy_blend, toy_model
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.data.formats import Ratings
from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import fit_biases
from d2l_autorec.serving import update as module
from d2l_autorec.serving.folder import load_model, save_model
from d2l_autorec.serving.foldin import score_new_user
from d2l_autorec.serving.model import flat_arrays
from d2l_autorec.serving.recommend import predict, recommend
from d2l_autorec.serving.update import update


def given(*rows, items=None):
    """Make ratings of rows of user, item and rating."""
    users, user = np.unique([row[0] for row in rows], return_inverse=True)
    ids, item = np.unique([row[1] for row in rows], return_inverse=True)
    table = pd.DataFrame({"user": user, "item": item, "timestamp": 0})
    table["rating"] = np.array([row[2] for row in rows], np.float32)
    return Ratings(table, users, ids, items, "new.csv", "1" * 64)


NEW = given(("u0", 20, 4), ("u0", 35, 2), ("u1", 35, 5), ("u1", 10, 1), ("u2", 20, 3))


def test_what_the_model_holds_then():
    model = toy_model()
    before = dense(model)
    done = update(model, NEW)
    assert done.model.user_ids.tolist() == ["u0", "u1", "u2", "u3", "u4", "u5"]
    assert done.model.item_ids.tolist() == [10, 20, 30, 35, 40, 50, 60]
    after = dense(done.model)
    expected = np.insert(np.insert(before, 3, 0, axis=1), 0, 0, axis=0)
    expected[0, 1], expected[0, 3] = 4, 2
    expected[1, 3], expected[1, 0], expected[2, 1] = 5, 1, 3
    np.testing.assert_array_equal(after, expected)
    assert before[0, 0] == 4 and before[1, 1] == 5  # u1 had rated 10 with 4, and u2 20 with 5
    assert (done.added, done.changed, done.new_users, done.new_items) == (3, 2, 1, 1)
    np.testing.assert_array_equal(dense(model), before)  # the given one stays
    rated = set(zip(*np.nonzero(after)))
    table = recommend(done.model, n=9, min_ratings=0)
    users, items = (list(ids) for ids in (done.model.user_ids, done.model.item_ids))
    shown = {(users.index(row.user), items.index(row.item)) for row in table.itertuples()}
    assert not shown & rated and len(shown) + len(rated) == 42


@pytest.mark.parametrize("by", ["item", "user"])
def test_a_new_user_is_predicted_as_new_user_does(by, monkeypatch):
    """The new user's column is not read, so that the items' codes stay as they are."""
    monkeypatch.setattr(module, "FEW", 0)
    model = toy_model(by)
    done = update(model, given(("u9", 20, 4.0), ("u9", 40, 2.0)))
    alone = score_new_user(model, np.array([1, 3]), np.array([4, 2], np.float32))
    stars = done.model.trained.score_users(np.array([5]))[0]
    np.testing.assert_allclose(stars, alone, atol=1e-5)
    others = np.arange(5)
    np.testing.assert_array_equal(
        done.model.trained.score_users(others), model.trained.score_users(others)
    )


def transposed(model):
    """Turn users into items: an item-based network reads as a user-based one the same rows."""
    only = network(model)
    other = {"item": "user", "user": "item"}[only.by]
    turned = dataclasses.replace(only, recipe=only.recipe.but(by=other))
    trained = dataclasses.replace(
        model.trained, networks=(turned,), ratings=model.ratings.T.tocsr()
    )
    return dataclasses.replace(
        model, trained=trained, user_ids=model.item_ids, item_ids=model.user_ids, items=None
    )


@pytest.mark.parametrize("by", ["item", "user"])
def test_both_kinds_are_each_other_transposed(by):
    model = toy_model(by)
    turned = update(
        transposed(model),
        given((20, "u0", 4), (35, "u0", 2), (35, "u1", 5), (10, "u1", 1), (20, "u2", 3)),
    )
    stars = update(model, NEW).model.trained.score_users(np.arange(6))
    np.testing.assert_allclose(turned.model.trained.score_users(np.arange(7)), stars.T, atol=1e-5)


@pytest.mark.parametrize(
    "few, new, fitted",
    [
        (0, [("u1", 20, 3)], False),  # one new rating beside those it had
        (0, [("u1", 20, 3), ("u1", 60, 4), ("u1", 35, 4), ("u1", 45, 2)], True),  # as many
        (4, [("u1", 20, 3)], True),
        (3, [("u1", 20, 3)], False),
        (4, [("u1", 10, 4)], False),  # it has this rating
        (4, [("u1", 10, 5)], True),
    ],
)
def test_which_known_columns_get_other_weights(monkeypatch, few, new, fitted):
    model = toy_model(titles=False)
    assert (dense(model)[0] > 0).sum() == 4
    monkeypatch.setattr(module, "FEW", few)
    found = network(update(model, given(*new)).model).output_layer
    changed = [not np.array_equal(a, b) for a, b in zip(found, network(model).output_layer)]
    assert changed == [fitted, fitted]
    for ours, theirs in zip(found, network(model).output_layer):
        np.testing.assert_array_equal(ours[1:5], theirs[1:])


def test_mean_and_biases_are_those_of_all_ratings():
    model = toy_blend(("item", "user", "item"))
    done = update(model, NEW)
    assert len(done.model.trained.networks) == 3 and done.model.trained.factors == (
        0.5,
        0.375,
        0.25,
    )
    matrix = done.model.ratings.T.tocoo()  # the second network reads users, above biases
    mean, of_user, of_item = fit_biases(matrix.row, matrix.col, matrix.data, matrix.shape)
    scale = done.model.trained.networks[1].scale
    assert scale.mean == pytest.approx(mean)
    np.testing.assert_allclose(scale.row, of_user)
    np.testing.assert_allclose(scale.col, of_item)
    third = done.model.trained.networks[2].scale
    assert third.mean == pytest.approx(matrix.data.mean())


@pytest.mark.parametrize("model", [toy_model(), toy_model("user"), toy_blend()])
def test_to_update_twice_is_to_update_once(model):
    once = update(model, NEW)
    twice = update(once.model, NEW)
    assert (twice.added, twice.changed, twice.new_users, twice.new_items) == (0, 0, 0, 0)
    ours, theirs = (flat_arrays(done.model.trained) for done in (twice, once))
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values)
    assert twice.model.record == once.model.record
    assert once.model.record["updates"] == [
        {
            "ratings": "new.csv",
            "digest": "1" * 64,
            "added": 3,
            "changed": 2,
            "new_users": 1,
            "new_items": 1,
        }
    ]


def test_a_rating_of_zero_is_a_rating():
    model = dataclasses.replace(toy_model(), low=0.0)
    done = update(model, given(("u1", 20, 0.0), ("u7", 20, 0.0)))
    assert done.added == 2 and done.model.ratings.nnz == model.ratings.nnz + 2
    assert predict(done.model, ["u1", "u7"], [20, 20])["rating"].tolist() == [0, 0]
    assert update(done.model, given(("u1", 20, 0.0))).changed == 0
    assert update(done.model, given(("u1", 20, 1.0))).changed == 1


def test_titles_are_the_model_s_or_else_those_beside_the_ratings():
    items = pd.DataFrame({"item_id": [20, 35, 40], "title": ["No", "New", "Delta"]})
    items["year"] = pd.array([1900, 2000, None], dtype="Int64")
    items["genres"] = ["War", "Drama|War", ""]
    rows = [("u1", 20, 3), ("u1", 35, 3), ("u1", 40, 3)]
    done = update(toy_model(), given(*rows, items=items))
    shown = done.model.items
    assert shown["title"].tolist() == ["Alpha", "Beta", "Gamma", "New", "Delta", "Epsilon", "Zeta"]
    assert shown["year"].tolist()[:4] == [1991, 1992, pd.NA, 2000]
    assert shown["genres"].tolist()[3] == "Drama|War"
    without = update(toy_model(titles=False), given(*rows, items=items)).model
    assert without.items["title"].tolist()[:4] == [None, "No", None, "New"]
    assert update(toy_model(titles=False), given(*rows)).model.items is None


@pytest.mark.parametrize(
    "model, rows, words",
    [
        (toy_model(), [("x", 11, 3)], "none of its users, such as 'x', and none of its items"),
        (toy_model(), [("u1", 20, 6)], "rating 6 of item '20' by user 'u1' is outside 1 to 5"),
        (toy_model(decoder="sigmoid"), [("u9", 20, 3)], "output is sigmoid.*takes a new user"),
        (toy_model("user", decoder="sigmoid"), [("u1", 35, 3)], "takes a new item only"),
    ],
)
def test_what_is_refused(model, rows, words):
    with pytest.raises(InputError, match=words) as refused:
        update(model, given(*rows))
    assert "\n" not in str(refused.value)


def test_other_outputs_keep_the_known_columns():
    model = toy_model(decoder="sigmoid")
    done = update(model, given(("u1", 20, 3), ("u1", 35, 4)))  # a new item is a row
    for ours, theirs in zip(network(done.model).output_layer, network(model).output_layer):
        np.testing.assert_array_equal(ours, theirs)


def test_whole_numbers_beside_texts_become_texts():
    with pytest.warns(UserWarning, match="item ids are whole numbers and not all of the new"):
        done = update(toy_model(), given(("u1", "7x", 3), ("u1", "20", 3)))
    assert done.model.item_ids.tolist() == ["10", "20", "30", "40", "50", "60", "7x"]
    np.testing.assert_array_equal(dense(done.model)[1:, :6], dense(toy_model())[1:])
    whole = update(toy_model(), given(("u1", 7, 3), ("u1", 100, 3))).model
    assert whole.item_ids.tolist() == [7, 10, 20, 30, 40, 50, 60, 100]


def test_the_command(tmp_path):
    save_model(tmp_path / "model", toy_model())
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    (tmp_path / "new.csv").write_text(
        "who;what;stars\nu0;20;4\nu0;35;2\nu1;35;5\nu1;10;3\nu1;10;1\nu2;20;3\n"
    )
    words = ["update", "--model", str(tmp_path / "model"), "--ratings", str(tmp_path / "new.csv")]
    words += ["--columns", "user=who,item=what,rating=stars", "--json", "--out"]

    def run(out):
        with pytest.warns(UserWarning, match="has rated item '10' before"):
            return CliRunner().invoke(app, [*words, str(tmp_path / out)])

    said = json.loads(run("a").stdout)
    assert [said[name] for name in ("added", "changed", "new_users", "new_items")] == [3, 2, 1, 1]
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    model = load_model(tmp_path / "a")
    assert predict(model, ["u1"], [10])["rating"].tolist() == [1]
    assert model.record["updates"][0]["ratings"] == "new.csv"
    refused = CliRunner().invoke(app, [*words, str(tmp_path / "a")])
    assert "is not empty; name a new folder" in str(refused.exception)
    assert (
        isinstance(model.ratings, sparse.csr_matrix) and model.ratings.nnz == said["num_ratings"]
    )
