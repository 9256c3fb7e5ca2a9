"""Recommendations, neighbours, explanations and new users, each against a slower way."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from toy_models import (
    dense,
    inputs,
    network,
    random_network,
    reconstructed,
    toy_model,
    with_trained,
    with_weights,
)

from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.serving.explain import explain
from d2l_autorec.serving.files import read_columns
from d2l_autorec.serving.folder import save_model
from d2l_autorec.serving.foldin import FACTORS, new_user, ridge, score_new_user
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import predict, rated, recommend, recommend_in_blocks
from d2l_autorec.serving.records import records
from d2l_autorec.serving.similar import similar

BOTH = pytest.mark.parametrize("by", ["item", "user"])


def scores(model):
    whole = reconstructed(model)
    return whole if model.by == "user" else whole.T  # (users, items)


@BOTH
@pytest.mark.parametrize("cells", [1, 1000])
def test_recommended_are_the_best_unseen(by, cells, monkeypatch):
    monkeypatch.setattr(
        "d2l_autorec.serving.recommend._CELLS", cells
    )  # one user at a time, or all
    model = toy_model(by)
    table = recommend(model, n=3)
    rows = []
    for user, (values, seen) in enumerate(zip(scores(model), dense(model))):
        unseen = [i for i in range(5) if not seen[i]]  # the sixth has no ratings at all
        best = sorted(unseen, key=lambda i: -values[i])[:3]
        rows += [(f"u{user + 1}", rank, 10 + 10 * i) for rank, i in enumerate(best, 1)]
    assert list(zip(table["user"], table["rank"], table["item"])) == rows
    blocks = list(recommend_in_blocks(model, n=3))
    assert len(blocks) == (5 if cells == 1 else 1)
    pd.testing.assert_frame_equal(pd.concat(blocks, ignore_index=True), table)
    asked = recommend(model, ["u3", "u1"], n=2)
    assert asked["user"].tolist() == ["u3", "u3", "u1", "u1"][: len(asked)]
    assert table["prediction"].between(1, 5).all()
    assert table["num_ratings"].min() >= 1 and 60 in set(recommend(model, min_ratings=0)["item"])


def test_order_is_that_before_clipping_and_ties_go_to_the_first_item():
    model = toy_model("user")
    weights = {name: values * 0 for name, values in network(model).weights.items()}
    weights["1.bias"] = np.array([9, 6, 8, 8, 7, 7], np.float32)
    model = with_weights(model, weights)
    table = recommend(model, ["u5"], n=4)
    assert table["item"].tolist() == [10, 30, 40, 50]
    assert table["prediction"].tolist() == [5, 5, 5, 5]
    assert table["title"].isna().tolist() == [False, False, True, False]


@BOTH
def test_predict(by):
    model = toy_model(by)
    table = predict(model, ["u1", "u1", "u2"], ["10", 20, 60])
    expected = scores(model)[[0, 0, 1], [0, 1, 5]].clip(1, 5)
    np.testing.assert_allclose(table["prediction"], expected, rtol=1e-5)
    assert table["rating"].iloc[0] == 4 and table["rating"].iloc[1:].isna().all()
    read = np.count_nonzero(dense(model), axis=0 if by == "item" else 1)
    assert (
        table["num_read"].tolist()
        == (read[[0, 1, 5]] if by == "item" else read[[0, 0, 1]]).tolist()
    )
    model.trained.hidden(0)  # from here on, hidden codes are looked up
    again = predict(model, ["u1", "u1", "u2"], ["10", 20, 60])
    np.testing.assert_allclose(again["prediction"], expected, rtol=1e-5)


def test_ratings_of_pairs_in_any_order():
    model = toy_model()
    users, items = np.array([4, 2, 0, 2, 0, 4]), np.array([0, 0, 5, 2, 0, 1])
    expected = [model.ratings[i, u] or np.nan for u, i in zip(users, items)]
    np.testing.assert_array_equal(rated(model, users, items), expected)
    assert np.isnan(rated(model, users[:1], items[:1])).all()  # who has rated nothing


def test_records_are_plain_values():
    columns = {
        "text": ["a", None],
        "year": pd.array([1999, None], dtype="Int64"),
        "count": np.array([3, 4]),
        "value": np.array([0.1, np.nan], np.float32),
        "genres": pd.array(["x", None], dtype="string"),
    }
    first, second = records(pd.DataFrame(columns))
    assert first == {"text": "a", "year": 1999, "count": 3, "value": 0.1, "genres": "x"}
    assert second == {"text": None, "year": None, "count": 4, "value": None, "genres": None}
    assert [type(value) for value in first.values()] == [str, int, int, float, str]


def test_a_stored_zero_is_a_rating():
    model = toy_model()
    matrix = model.ratings.copy()
    matrix.data[0] = 0
    model = with_trained(model, ratings=matrix)
    user = int(matrix.indices[0])
    assert predict(model, [f"u{user + 1}"], [10])["rating"].iloc[0] == 0
    assert 10 not in recommend(model, [f"u{user + 1}"], n=6, min_ratings=0)["item"].tolist()


@BOTH
@pytest.mark.parametrize("what, name, place", [("item", 20, 1), ("user", "u2", 1)])
def test_similar_is_the_cosine_less_the_mean(by, what, name, place):
    model = toy_model(by, hidden=(4, 3, 4))
    ids = model.item_ids if what == "item" else model.user_ids
    space = model.trained.hidden(0)[1] if what == by else network(model).output_layer[0]
    space = space - space[:-1].mean(axis=0)  # the last has no ratings
    cosine = {
        ids[i]: vector @ space[place] / np.linalg.norm(vector) / np.linalg.norm(space[place])
        for i, vector in enumerate(space[:-1])
        if i != place
    }
    table = similar(model, what, name, n=3)
    assert table[what].tolist() == sorted(cosine, key=lambda i: -cosine[i])[:3]
    np.testing.assert_allclose(table["similarity"], sorted(cosine.values())[::-1][:3], rtol=1e-4)


@BOTH
@pytest.mark.parametrize("chunk", [1, 4096])
def test_explain_leaves_out_each_rating(by, chunk, monkeypatch):
    monkeypatch.setattr("d2l_autorec.serving.explain._CHUNK", chunk)
    model = toy_model(by, hidden=(4, 3), decoder="selu")
    result = explain(model, "u2", 10)
    row, column = (0, 1) if by == "item" else (1, 0)
    ratings = inputs(model)[row].toarray()[0]
    assert result.prediction == pytest.approx(float(scores(model)[1, 0]), rel=1e-5)
    assert len(result.table) == np.count_nonzero(ratings) >= 2
    ids = model.user_ids if by == "item" else model.item_ids
    for line in result.table.to_dict("records"):
        code = list(ids).index(line["user" if by == "item" else "item"])
        without = ratings.copy()
        without[code] = 0
        again = network(model).reconstruct(sparse.csr_matrix(without))[0, column]
        assert line["rating"] == ratings[code]
        assert line["without"] == pytest.approx(float(again), rel=1e-4)
        assert line["change"] == pytest.approx(result.prediction - float(again), abs=1e-5)
    assert result.table["change"].abs().is_monotonic_decreasing


def test_a_new_user_of_a_user_based_model_is_read_like_an_old_one():
    model = toy_model("user")
    seen = inputs(model)[1]
    own = pd.DataFrame({"item": model.item_ids[seen.indices].astype(str), "rating": seen.data})
    columns = ["rank", "item", "prediction"]
    pd.testing.assert_frame_equal(new_user(model, own)[columns], recommend(model, ["u2"])[columns])


def test_ridge_chooses_by_errors_that_were_left_out():
    draws = np.random.default_rng(3)
    for rows, width in ((6, 9), (12, 4)):  # fewer ratings than weights, and more
        x = draws.normal(size=(rows, width))
        y = x @ draws.normal(size=width) + draws.normal(size=rows)
        costs = []
        for factor in FACTORS:
            errors = [
                y[i] - x[i] @ solve(np.delete(x, i, 0), np.delete(y, i), 0.5 * factor)
                for i in range(rows)
            ]
            costs.append(np.square(errors).sum() / 0.5 + np.log(factor) ** 2)
        weights, strength = ridge(x, y, 0.5)
        assert strength == pytest.approx(0.5 * FACTORS[np.argmin(costs)])
        np.testing.assert_allclose(weights, solve(x, y, strength))


def solve(x, y, strength):
    return np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y)


def test_a_new_user_of_an_item_based_model_is_folded_in_next_to_the_average_user():
    model = toy_model(num_users=9)
    W, b = network(model).output_layer
    codes = model.trained.hidden(0)[-1]
    usual = codes @ W[:-1].mean(axis=0) + b[:-1].mean()  # the last user has no ratings
    nobody = score_new_user(model, np.array([], int), np.array([], np.float32))
    np.testing.assert_allclose(nobody, usual, rtol=1e-5)
    # the penalty is Mahalanobis's distance from the mean row: solve for it directly
    items, values = np.array([0, 2, 3]), np.array([5, 1, 2], np.float32)
    rows = np.c_[W, b][:-1].astype(float)
    spread = rows - rows.mean(axis=0)
    precision = np.linalg.inv(spread.T @ spread / len(rows))
    x = np.c_[codes, np.ones(6)]
    fits = [
        x
        @ (
            rows.mean(axis=0)
            + np.linalg.solve(
                x[items].T @ x[items] + strength * precision, x[items].T @ (values - usual[items])
            )
        )
        for strength in noise(model) * FACTORS
    ]
    found = score_new_user(model, items, values)
    assert min(np.abs(found - fit).max() for fit in fits) < 1e-4
    assert set(new_user(model, pd.DataFrame({"item": [10], "rating": [5]}))["item"]) == {
        20,
        30,
        40,
        50,
    }


def noise(model):
    matrix = model.ratings.tocoo()
    errors = matrix.data - reconstructed(model)[matrix.row, matrix.col]
    return np.mean(np.square(errors.astype(float)))


def test_ratings_of_a_new_user_are_checked():
    model = toy_model()
    own = pd.DataFrame({"item": ["10", "77", "10"], "rating": [1.0, 2.0, 5.0]})
    with pytest.warns(UserWarning, match="'77'"):
        table = new_user(model, own)
    alone = new_user(model, own.iloc[2:])
    pd.testing.assert_frame_equal(table, alone)  # of 10 the last rating stands
    with pytest.raises(InputError, match="none of the 1"):
        new_user(model, own.iloc[1:2])
    with pytest.raises(InputError, match="rating 6 of item '10' is outside 1 to 5"):
        new_user(model, own.iloc[:1].assign(rating=6))
    with pytest.raises(InputError, match="identity"):
        new_user(toy_model(decoder="sigmoid"), own.iloc[:1])


@pytest.mark.parametrize(
    "ask, words",
    [
        (lambda m: recommend(m, ["u9"]), "no user 'u9'; the nearest id is 'u5'"),
        (lambda m: recommend(m, ["x\x1b[31m"]), r"'x\\x1b\[31m'"),
        (lambda m: predict(m, ["u1"], [33]), "no item '33'; the nearest ids are 20, 30, 40"),
        (lambda m: predict(m, ["u1"], ["eta"]), r"like it: 20 \('Beta'\), 60 \('Zeta'\)"),
        (lambda m: predict(m, ["u1"], ["none"]), "whole numbers from 10 to 60"),
        (lambda m: predict(m, ["u1"], [10, 20]), "1 users and 2 items"),
        (lambda m: recommend(m, n=0), "n is 0"),
        (lambda m: similar(m, "item", 10, min_ratings=-1), "min_ratings is -1"),
    ],
)
def test_what_cannot_be_asked_is_said(ask, words):
    with pytest.raises(InputError, match=words):
        ask(toy_model())


def test_files_of_a_question(tmp_path):
    path = tmp_path / "file"

    def read(text, *columns):
        path.write_text(text)
        return read_columns(path, columns).to_numpy().tolist()

    assert read("a,b\n\n c \n", "user") == [["a,b"], ["c"]]
    assert read("userId\n7\n", "user") == [["7"]]
    assert read("item;stars;user\n1;2.5;9\n", "item", "rating") == [["1", 2.5]]
    assert read('"a,b"\t3\n', "user", "item") == [["a,b", "3"]]
    for text, words in (
        ("1,2\n3\n", "line 2: it has 1 fields where 2"),
        ("1,good\n", "line 1: .* 'good', is no rating"),
        ("1,nan\n", "no line has a rating"),
        ("1,inf\n", "finite"),
        ("item,user\n1,2\n", "no column rating"),
        ("item,rating\n", "a header but no rating"),
        ("", "empty"),
        ("1,2\0\n", "zero byte"),
        ("x" * 2**21, "longer"),
        ('"1,2', "line 1"),
    ):
        with pytest.raises(InputError, match=words):
            read(text, "item", "rating")
    with pytest.raises(InputError, match="no file"):
        read_columns(tmp_path / "none", ("user",))


def test_nothing_asked_loads_mxnet(tmp_path):
    save_model(tmp_path / "model", toy_model())
    code = f"""
import sys, pandas as pd
from d2l_autorec.serving.folder import load_model
from d2l_autorec.serving import explain, foldin, recommend, similar
model = load_model({str(tmp_path / "model")!r})
recommend.recommend(model); similar.similar(model, "item", 10); explain.explain(model, "u1", 10)
foldin.new_user(model, pd.DataFrame({{"item": [10], "rating": [5]}}))
print(*{{"mxnet", "d2l", "numba", "matplotlib"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


@BOTH
def test_all_users_of_movielens_100k_in_less_than_a_second(by, ml100k):
    matrix = interaction_csr(ml100k.table, 943, 1682)
    recipe, draws = Recipe().but(by=by), np.random.default_rng(0)
    seconds = []
    for _ in range(3):  # nothing is kept from one model to the next
        trained = TrainedModel(recipe, (random_network(recipe, matrix, draws),), (1.0,), matrix)
        model = Model(trained, ml100k.user_ids, ml100k.item_ids, ml100k.items, 1.0, 5.0, {})
        start = time.perf_counter()
        table = recommend(model)
        seconds.append(time.perf_counter() - start)
    assert len(table) == 9430 and min(seconds) < 1
    scores = model.trained.score_users(np.array([0]))[0]
    best = np.sort(np.where(dense(model)[0] > 0, -9, scores))[::-1][:10]
    np.testing.assert_allclose(table["prediction"][:10], best.clip(1, 5), rtol=1e-4)
