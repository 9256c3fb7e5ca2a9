import json

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.data.split import holdout_split
from d2l_autorec.experiments import baselines, best, pool
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training import blend
from d2l_autorec.training.fit import fit, fit_network

SUM = Recipe().but(
    objective="sum", lam=1.0, hidden=(4,), batch_size=8, num_epochs=3, clip=(1.0, 5.0), lr=0.02
)


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    rows = [(u, i, rng.integers(1, 6)) for u in range(20) for i in rng.permutation(12)[:6]]
    return pd.DataFrame(rows, columns=["user", "item", "rating"]).astype({"rating": "float32"})


def matrix(table, shape=(20, 13)):
    return interaction_csr(table, *shape)


def test_a_user_based_fit_is_the_item_based_one_of_the_transpose(table):
    train = matrix(table)
    users, items = np.array([0, 3, 19]), np.array([11, 0, 5])
    by_user = fit_network(train, SUM.but(by="user"), seed=4)
    turned = fit_network(train.T.tocsr(), SUM, seed=4)
    np.testing.assert_array_equal(by_user.predict(users, items), turned.predict(items, users))


def test_what_nobody_rated_gets_the_default(table):
    pairs = np.array([0, 1]), np.array([12, 3])  # nobody rated item 12
    with_default = fit_network(matrix(table), SUM.but(default=3.0))
    plain = fit_network(matrix(table), SUM)
    assert with_default.predict(*pairs)[0] == 3.0 != plain.predict(*pairs)[0]
    assert with_default.predict(*pairs)[1] == plain.predict(*pairs)[1]


@pytest.mark.parametrize("by", ["item", "user"])
def test_biases_are_those_worked_out_by_hand(by):
    table = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 0], "rating": [5.0, 3.0, 1.0]})
    fitted = fit_network(matrix(table, (2, 2)), SUM.but(by=by, targets="biases"), seed=0)
    scale = fitted.networks[0].scale
    assert scale.mean == 3.0
    # at the fixed point each bias is the sum of what is left, over the count and ten
    item, user = (scale.row, scale.col) if by == "item" else (scale.col, scale.row)
    np.testing.assert_allclose(user[1], (1 - 3 - item[0]) / 11, atol=1e-6)
    np.testing.assert_allclose(item[0], (5 - 3 - user[0] + 1 - 3 - user[1]) / 12, atol=1e-6)


def test_the_epoch_that_validation_likes_best_is_kept(table):
    train, held_out = matrix(table.iloc[:100]), matrix(table.iloc[100:])
    recipe = SUM.but(num_epochs=30, lr=0.2, lam=0.0)
    fitted = fit_network(train, recipe, 0, validation=held_out)
    assert fitted.epoch == np.argmin(fitted.val_rmses) + 1 < 30
    asked = table.iloc[100:]
    guess = fitted.predict(asked["user"].to_numpy(), asked["item"].to_numpy())
    rmse = np.sqrt(np.mean((guess - asked["rating"]) ** 2))
    assert rmse == pytest.approx(min(fitted.val_rmses), abs=1e-5)
    again = fit_network(train, recipe, 0, stop=fitted.epoch)
    weights = (model.networks[0].weights["1.weight"] for model in (again, fitted))
    np.testing.assert_array_equal(*weights)


def test_a_model_keeps_to_the_interface(table):
    pairs = table["user"].to_numpy(), table["item"].to_numpy()
    for options in ({}, {"val_ratio": 0.2}, {"val_ratio": 0.2, "refit": True}):
        guess = baselines.recipe(table, (20, 13), 0, SUM.but(**options))(*pairs)
        assert guess.shape == (len(table),) and (guess >= 1).all() and (guess <= 5).all()


def test_weights_are_those_of_least_squares():
    rng = np.random.default_rng(0)
    guesses = list(rng.normal(3, 1, (3, 200)))
    weights = blend.blend_weights(guesses, 0.7 * guesses[0] + 0.4 * guesses[2])
    np.testing.assert_allclose(weights, [0.7, 0, 0.4], atol=1e-12)
    assert blend.blend_weights(guesses, -3 * np.ones(200)).tolist() == [1 / 3] * 3


def test_a_blend_is_what_it_is_made_of(table):
    longer = SUM.but(num_epochs=40)
    both = (longer, longer.but(by="user", targets="biases"))
    recipe = Recipe(members=both, num_seeds=2, val_ratio=0.2, refit=True, clip=(1.0, 5.0))
    pairs = np.arange(20), np.full(20, 3)
    model = fit(table, (20, 13), recipe, 5)
    guess = model.predict(*pairs)
    np.testing.assert_array_equal(fit(table, (20, 13), recipe, 5).predict(*pairs), guess)
    assert (guess >= 1).all() and (guess <= 5).all() and np.ptp(guess) > 0
    # by hand: epochs and weights from networks beside the validation ratings, then all ratings
    kept, held_out = (table.iloc[rows] for rows in holdout_split(len(table), 0.2, 5))
    asked = held_out["user"].to_numpy(), held_out["item"].to_numpy()
    beside, whole = [], []
    for member in both:
        fits = [
            fit_network(matrix(kept), member, seed, validation=matrix(held_out))
            for seed in (5, 1005)
        ]
        beside.append(np.mean([one.predict(*asked) for one in fits], axis=0))
        again = [
            fit_network(matrix(table), member, seed, stop=one.epoch)
            for seed, one in zip((5, 1005), fits)
        ]
        whole.append(np.mean([one.predict(*pairs) for one in again], axis=0))
    weights = blend.blend_weights(beside, held_out["rating"])
    np.testing.assert_allclose(guess, (weights @ np.stack(whole)).clip(1, 5), rtol=1e-12)
    assert model.recipe.weights == tuple(weights)
    expected = np.sqrt(np.mean(((weights @ beside).clip(1, 5) - held_out["rating"]) ** 2))
    assert model.val_rmse == pytest.approx(expected)


def test_the_ladder_from_start_to_summary(experiment, ml100k, tmp_path, monkeypatch):
    def tiny(recipe):
        hidden = tuple(2 for _ in recipe.architecture.hidden)
        return recipe.but(hidden=hidden, num_epochs=1, batch_size=512)

    for name in ("POOL", "ASIDE", "CANDIDATES"):
        for key, recipe in getattr(pool, name).items():
            monkeypatch.setitem(getattr(pool, name), key, tiny(recipe))
    for name in ("STOPPED", "PAPER"):
        monkeypatch.setattr(best, name, tiny(getattr(pool, name)))
    monkeypatch.setattr(best, "NUM_SEEDS", 1)
    monkeypatch.setattr(best, "Recipe", lambda: tiny(Recipe()))
    summary = best.best(experiment, ml100k, num_splits=2, num_searched=1)
    assert summary["step"].tolist() == list(best.LADDER.values())
    record = json.loads((tmp_path / "experiment.json").read_text())
    assert record["tables"] == ["summary", "aside", "weights", "candidates", "nested"]
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert (runs["clipping"] <= runs["stopping"]).all()
    searched = pd.read_csv(tmp_path / "nested" / "runs.csv")
    # the published single recipe is the ladder's: the same network on the same split
    assert searched["single, as published"].tolist() == [runs.loc[0, "refit"]]
    assert runs.filter(like="weight: ").ge(0).all(axis=None)
