"""A blend is a model like any other: asked, explained and exported, each against a slower way."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from scipy import sparse
from toy_models import dense, toy_blend, with_trained

from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.serving.explain import explain
from d2l_autorec.serving.export import export_onnx
from d2l_autorec.serving.folder import load_model, save_model
from d2l_autorec.serving.foldin import new_user, score_new_user
from d2l_autorec.serving.model import flat_arrays
from d2l_autorec.serving.recommend import best_columns, predict, recommend
from d2l_autorec.serving.similar import basis, similar, vectors
from d2l_autorec.serving.weights import export_npz, export_safetensors, import_weights

PAIRS = np.divmod(np.arange(30), 6)  # all users and items


def by_hand(model):
    """The sum of the networks' clipped predictions, from their definition: (users, items)."""
    total = np.zeros((5, 6))
    for network, factor in zip(model.trained.networks, model.trained.factors):
        rated = dense(model) if network.by == "user" else dense(model).T
        scale = network.scale
        base = scale.mean + scale.row[:, None] + scale.col[None]
        read = np.where(rated != 0, (rated - base) / scale.unit, 0).astype(np.float32)
        stars = network.reconstruct(sparse.csr_matrix(read)) * scale.unit + base
        stars = np.clip(stars, 1, 5)
        total += factor * (stars if network.by == "user" else stars.T)
    return total


def test_predictions_are_the_sum_of_the_networks():
    model = toy_blend()
    expected = by_hand(model)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(model.trained.score_users(np.arange(5)), expected, rtol=1e-5)
    np.testing.assert_allclose(
        model.trained.predict(*PAIRS), expected.ravel().clip(1, 5), rtol=1e-5
    )
    table = predict(model, model.user_ids[PAIRS[0]], model.item_ids[PAIRS[1]])
    np.testing.assert_allclose(table["prediction"], expected.ravel().clip(1, 5), rtol=1e-5)
    read = np.count_nonzero(dense(model), axis=0)[PAIRS[1]]
    read += np.count_nonzero(dense(model), axis=1)[PAIRS[0]]
    assert table["num_read"].tolist() == read.tolist()


def test_recommended_are_the_best_unseen():
    model = toy_blend()
    table = recommend(model, n=3)
    for user, (scores, seen) in enumerate(zip(by_hand(model), dense(model))):
        unseen = [i for i in range(5) if not seen[i]]  # the sixth has no ratings at all
        best = sorted(unseen, key=lambda i: -scores[i])[:3]
        mine = table[table["user"] == f"u{user + 1}"]
        assert mine["item"].tolist() == [10 + 10 * i for i in best]


@pytest.mark.parametrize("kinds", [("item", "user", "item"), ("item", "item"), ("user", "user")])
def test_explain_leaves_out_each_rating(kinds):
    model = toy_blend(kinds)
    told = explain(model, "u2", 10)
    assert told.prediction == pytest.approx(by_hand(model)[1, 0], rel=1e-5)
    assert not told.table.duplicated([c for c in ("user", "item") if c in told.table]).any()
    for line in told.table.to_dict("records"):
        user, item = line.get("user", "u2"), line.get("item", 10)
        changed = model.ratings.copy().tolil()
        changed[list(model.item_ids).index(item), list(model.user_ids).index(user)] = 0
        without = by_hand(with_trained(model, ratings=changed.tocsr()))[1, 0]
        assert line["without"] == pytest.approx(without, abs=1e-5)
        assert line["change"] == pytest.approx(told.prediction - without, abs=1e-5)
    rated = dense(model)
    expected = {("u2", 10 + 10 * i) for i in np.flatnonzero(rated[1]) if "user" in kinds}
    expected |= {(f"u{u + 1}", 10) for u in np.flatnonzero(rated[:, 0]) if "item" in kinds}
    found = {(row.get("user", "u2"), row.get("item", 10)) for row in told.table.to_dict("records")}
    assert found == expected


def test_similar_is_the_mean_over_the_networks():
    model = toy_blend()
    expected = np.zeros(5)
    for k, factor in enumerate(model.trained.factors):
        space = vectors(model, "item", k)[:5] - vectors(model, "item", k)[:5].mean(axis=0)
        cosine = space @ space[1]
        cosine /= np.linalg.norm(space, axis=1) * np.linalg.norm(space[1])
        expected += factor * cosine / sum(model.trained.factors)
    table = similar(model, "item", 20, n=4)
    order = sorted((i for i in range(5) if i != 1), key=lambda i: -expected[i])
    assert table["item"].tolist() == [10 + 10 * i for i in order]
    np.testing.assert_allclose(table["similarity"], expected[order], rtol=1e-4)
    assert basis(model, "item") == "hidden codes and output weights"


def test_a_new_user_who_rated_nothing_and_one_who_is_known():
    model = toy_blend(("user", "user"))
    seen = model.trained.oriented("user")[1]
    scores = score_new_user(model, seen.indices.astype(int), seen.data)
    # biases of training were fitted in turns and the new user's at once: nearly the same
    np.testing.assert_allclose(scores, by_hand(model)[1], atol=0.1)
    own = pd.DataFrame({"item": [10, 20], "rating": [5.0, 1.0]})
    mixed = new_user(toy_blend(), own)
    assert set(mixed["item"]) == {30, 40, 50}
    assert mixed["prediction"].is_monotonic_decreasing


def test_a_new_user_above_biases_gets_a_bias():
    model = toy_blend(("item", "user"))  # the second is above biases
    network = model.trained.networks[1]
    only = with_trained(model, networks=(network,), factors=(1.0,), recipe=network.recipe)
    flat = {name: values * 0 for name, values in network.weights.items()}
    silent = with_trained(only, networks=(type(network)(network.recipe, flat, network.scale),))
    of_items = network.scale.mean + network.scale.col
    scores = score_new_user(silent, np.array([0, 3]), np.array([5, 4], np.float32))
    own = (5 - of_items[0] + 4 - of_items[3]) / 12
    np.testing.assert_allclose(scores, of_items + own, rtol=1e-6)


def damped_blend():
    """Make the toy blend with its member above biases damped, and a shrinkage of its own."""
    model = toy_blend()
    first, above, last = model.trained.networks
    recipe = replace(above.recipe, shrinkage=(3.0, 7.0), damped=True)
    above = replace(above, recipe=recipe, scale=replace(above.scale, gain=0.4))
    return with_trained(model, networks=(first, above, last))


def test_a_damped_member_in_all_of_serving(tmp_path):
    model, undamped = damped_blend(), toy_blend()
    scale = model.trained.networks[1].scale
    base = scale.mean + scale.row[PAIRS[0]] + scale.col[PAIRS[1]]
    one, other = (
        with_trained(of, networks=of.trained.networks[1:2], factors=(1.0,)).trained.score_pairs(
            *PAIRS
        )
        for of in (model, undamped)
    )
    np.testing.assert_allclose(one - base, 0.4 * (other - base), rtol=1e-5)
    save_model(tmp_path / "model", model)
    again = load_model(tmp_path / "model")
    assert again.trained.networks[1].scale.gain == 0.4
    assert again.trained.networks[1].recipe.shrinkage == (3.0, 7.0)
    np.testing.assert_array_equal(again.trained.predict(*PAIRS), model.trained.predict(*PAIRS))
    assert export_onnx(model, tmp_path / "m.onnx").difference < 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    [seen] = session.run(["rating"], {"users": PAIRS[0], "items": PAIRS[1]})
    np.testing.assert_allclose(seen, model.trained.predict(*PAIRS), atol=1e-5)
    export_npz(model, tmp_path / "w.npz")
    back = import_weights(model, tmp_path / "w.npz")
    np.testing.assert_array_equal(back.trained.predict(*PAIRS), model.trained.predict(*PAIRS))
    told = explain(model, "u2", 10)
    at = 1 * 6 + 0
    assert told.prediction == pytest.approx(model.trained.score_pairs(*PAIRS)[at], rel=1e-5)
    alone = recommend(model, n=1)
    assert len(alone) and not alone["prediction"].isna().any()


def test_the_bias_of_a_new_user_is_shrunken_as_in_training_and_the_rest_damped():
    model = damped_blend()
    network = model.trained.networks[1]
    only = with_trained(model, networks=(network,), factors=(1.0,), recipe=network.recipe)
    of_items = network.scale.mean + network.scale.col
    own = (5 - of_items[0] + 4 - of_items[3]) / (2 + 3)
    rated = np.array([0, 3]), np.array([5, 4], np.float32)
    added = score_new_user(only, *rated) - of_items - own
    full = replace(network, scale=replace(network.scale, gain=1.0))
    undamped = score_new_user(with_trained(only, networks=(full,)), *rated) - of_items - own
    assert np.abs(added).max() > 0.01
    np.testing.assert_allclose(added, 0.4 * undamped, rtol=1e-5)


@pytest.mark.parametrize("decoder", ACTIVATIONS)
def test_onnx_predicts_pairs_as_mxnet_and_numpy(tmp_path, decoder):
    model = toy_blend(decoder=decoder)
    path = tmp_path / "blend.onnx"
    assert 0 <= export_onnx(model, path).difference < 1e-5
    session = onnxruntime.InferenceSession(str(path))
    for part in (slice(0, 1), slice(None)):
        users, items = (codes[part] for codes in PAIRS)
        score, rating = session.run(["score", "rating"], {"users": users, "items": items})
        np.testing.assert_allclose(score, model.trained.score_pairs(users, items), atol=1e-5)
        np.testing.assert_allclose(rating, model.trained.predict(users, items), atol=1e-5)


def test_onnx_with_a_default_for_what_nobody_rated(tmp_path):
    model = toy_blend()
    model = with_trained(model, recipe=model.trained.recipe.but(default=3.0))
    export_onnx(model, tmp_path / "blend.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "blend.onnx"))
    users, items = PAIRS
    score, seen = session.run(["score", "rating"], {"users": users, "items": items})
    np.testing.assert_allclose(score, model.trained.score_pairs(users, items), atol=1e-5)
    assert (seen[(items == 5) | (users == 4)] == 3).all() and (seen[:5] != 3).any()


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_weights_go_out_and_come_back(tmp_path, kind):
    model, write = toy_blend(), {"safetensors": export_safetensors, "npz": export_npz}[kind]
    path = tmp_path / f"w.{kind}"
    write(model, path)
    zeros = tuple(
        type(network)(
            network.recipe, {n: v * 0 for n, v in network.weights.items()}, network.scale
        )
        for network in model.trained.networks
    )
    back = import_weights(with_trained(model, networks=zeros), path)
    for name, values in flat_arrays(model.trained).items():
        np.testing.assert_array_equal(flat_arrays(back.trained)[name], values)
    save_model(tmp_path / "model", back)
    again = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.trained.predict(*PAIRS), model.trained.predict(*PAIRS))


def test_the_first_n_are_the_first_of_one_order():
    draws = np.random.default_rng(0)
    scores = draws.integers(0, 4, (50, 30)).astype(np.float32)
    scores[draws.random(scores.shape) < 0.2] = -np.inf
    whole = [(row, col, rank) for row, col, rank in zip(*map(list, best_columns(scores, 30)))]
    for n in range(1, 31):
        some = list(zip(*map(list, best_columns(scores, n))))
        assert some == [entry for entry in whole if entry[2] <= n]
    expected = np.lexsort((np.arange(30), -scores[0]))
    kept = [int(i) for i in expected if scores[0, i] > -np.inf]
    assert [int(col) for row, col, _ in whole if row == 0] == kept


def test_nobody_asked_for_is_an_empty_table():
    table = recommend(toy_blend(), [])
    assert len(table) == 0
    assert {"user", "rank", "item", "title", "prediction", "num_ratings"} <= set(table.columns)


def test_a_blend_of_networks_that_count_for_nothing_has_neighbours():
    model = with_trained(toy_blend(), factors=(0.5, -0.5, 0.0))
    assert len(similar(model, "item", 10, 3)) == 3
