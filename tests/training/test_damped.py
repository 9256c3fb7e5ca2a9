"""Networks above biases are damped on validation ratings; the biases are a member of the blend."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.data.formats import Ratings
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import RECIPES, Named, for_size
from d2l_autorec.training import checkpoint, run
from d2l_autorec.training.asked import Asked, make_plan
from d2l_autorec.training.blend import damped_weights, least_squares_gain
from d2l_autorec.training.fit import fit

SMALL = RECIPES["default"].but(
    hidden=(20,), encoder="tanh", batch_size=16, num_epochs=3, lr=0.05, lam=0.0
)
PAIRS = np.divmod(np.arange(40 * 30), 30)  # all users and items


def ratings(seed=1, spread=0.3):
    """900 ratings of 40 users and 30 items: biases, tastes and noise."""
    rng = np.random.default_rng(seed)
    user, item = np.divmod(rng.permutation(1200)[:900], 30)
    a, b = rng.normal(0, 0.5, 40), rng.normal(0, 0.5, 30)
    taste = spread * rng.normal(size=40)[user] * rng.normal(size=30)[item]
    stars = 3 + a[user] + b[item] + taste + rng.normal(0, 0.4, 900)
    table = pd.DataFrame({"user": user, "item": item, "rating": stars.astype("float32")})
    return Ratings(table.assign(timestamp=0), np.arange(40), np.arange(30), None, "toy", "0" * 64)


def bases(model):
    """The biases alone, from the arrays that the model keeps: (users * items,)."""
    scale = model.networks[0].scale
    return scale.mean + scale.row[PAIRS[1]] + scale.col[PAIRS[0]]


def test_least_squares_between_zero_and_one():
    added = np.array([1.0, -1.0, 2.0])
    assert least_squares_gain(added, 0.5 * added + [1, 1, 0]) == pytest.approx(0.5)
    assert least_squares_gain(added, 3 * added) == 1
    assert least_squares_gain(added, -added) == 0
    assert least_squares_gain(np.zeros(3), added) == 1


def test_the_weight_of_the_biases_goes_to_the_members_above_them(monkeypatch):
    monkeypatch.setattr("d2l_autorec.training.blend.EQUAL_PARTS", 0)
    rng = np.random.default_rng(0)
    base, one, two, other = rng.normal(size=(4, 200))
    stars = 0.5 * base + 0.2 * (base + one) + 0.1 * (base + two) + 0.2 * other
    guesses = [base + one, other, base + two]
    weights, gain = damped_weights(guesses, base, [True, False, True], stars)
    np.testing.assert_allclose(weights, [0.2 * 8 / 3, 0.2, 0.1 * 8 / 3])
    assert gain == pytest.approx(0.3 / 0.8)
    found = weights @ np.stack([base + gain * one, other, base + gain * two])
    np.testing.assert_allclose(found, stars)
    alone, none = damped_weights(guesses, base, [True, False, True], base - one - two)
    np.testing.assert_allclose(alone, [1, 0, 0], atol=1e-9)
    assert none == pytest.approx(0)
    too_much, full = damped_weights(guesses, base, [True, False, True], base + one + 0.5 * two)
    np.testing.assert_allclose(too_much, [2 / 3, 0, 1 / 3], atol=1e-9)
    assert full == pytest.approx(1.5)  # the biases count once
    beyond, whole = damped_weights(guesses, base, [True, False, True], 1.3 * other - 0.3 * base)
    np.testing.assert_allclose(beyond, [0, 1.3, 0], atol=1e-9)  # none below zero
    assert whole == 1


@pytest.mark.parametrize("ratings, expected", [(0, (0.5, 0)), (200, (5 / 12, 1 / 12))])
def test_weights_are_drawn_towards_equal_parts(monkeypatch, ratings, expected):
    """Of two members that add 1 and -1 to half of the ratings each, the second is of no use."""
    monkeypatch.setattr("d2l_autorec.training.blend.EQUAL_PARTS", ratings)
    one, two, base = np.tile([1.0, 0.0], 100), np.tile([0.0, 1.0], 100), np.zeros(200)
    weights, gain = damped_weights([one, two], base, [True, True], 0.5 * one)
    factors = np.array(expected)
    np.testing.assert_allclose(weights * gain, factors)
    assert weights.sum() == pytest.approx(1) and gain == pytest.approx(factors.sum())


def test_a_network_is_damped_by_what_validation_says():
    whole, recipe = ratings(), SMALL.but(refit=False)
    model = fit(whole.table, (40, 30), recipe, 5)
    plain = fit(whole.table, (40, 30), recipe.but(damped=False), 5)
    gain = model.networks[0].scale.gain
    assert 0 < gain < 1 == plain.networks[0].scale.gain
    undamped, now = (own.score_pairs(*PAIRS) for own in (plain, model))
    base = bases(model)
    np.testing.assert_allclose(now, base + gain * (undamped - base), rtol=1e-6)
    assert model.val_rmse < plain.val_rmse
    again = fit(whole.table, (40, 30), SMALL, 5)
    assert again.networks[0].scale.gain == gain and again.ratings.nnz == 900


def test_where_there_is_nothing_to_learn_the_biases_are_left():
    """Noise about biases: the network is damped, and the test RMSE is that of the biases."""
    noise = fit(ratings(2, spread=0).table, (40, 30), SMALL.but(num_epochs=10), 1)
    assert noise.networks[0].scale.gain == 0

    np.testing.assert_allclose(noise.score_pairs(*PAIRS), bases(noise), rtol=1e-6)


def test_a_blend_has_the_biases_as_a_member():
    whole = ratings()
    members = (SMALL.but(val_ratio=0.0, refit=False), Recipe(draws="numpy").but(hidden=(4,)))
    members += (members[0].but(by="user", encoder="relu"),)
    recipe = Recipe(members=members, clip="ratings", val_ratio=0.1)
    model = fit(whole.table, (40, 30), recipe, 3)
    gains = {n.scale.gain for n in model.networks if n.recipe.targets == "biases"}
    assert len(gains) == 1 and 0 < max(gains) < 1
    assert sum(model.factors) == pytest.approx(1)
    alone = fit(whole.table, (40, 30), members[0].but(val_ratio=0.1), 3)
    assert model.val_rmse < alone.val_rmse


@pytest.mark.parametrize(
    "size, default, blend, times",
    [
        ((100_000, 943, 1682), "dense", "blend", 1),  # MovieLens 100K: 6.3 % of the cells
        ((90_000, 943, 1682), "dense", "blend", 1),  # its training part
        ((1_000_209, 6040, 3706), "dense", "blend", 2),
        ((100_480_507, 480_189, 17_770), "default", "sparse-blend", None),  # 1.2 %
        ((100_836, 610, 9724), "default", "sparse-blend", None),
        ((40_000, 2000, 1000), "dense", "blend", 0.25),  # the least
        ((39_999, 2000, 1000), "default", "sparse-blend", None),
        ((1_800_000, 20_000, 140), "default", "sparse-blend", None),  # dense, but few items
        ((0, 0, 0), "default", "sparse-blend", None),
    ],
)
def test_what_the_names_stand_for_depends_on_the_ratings(size, default, blend, times):
    names = (("default", default), ("blend", blend))
    found = [for_size(Named(name, RECIPES[name]), *size) for name, _ in names]
    assert [one.name for one in found] == [default, blend]
    if times:
        assert found[0].recipe == RECIPES["dense"].but(lam=80.0 * times)
        lams = [part.lam for part in found[1].recipe.parts]
        assert lams == [times * lam for lam in (30, 60, 60, 15, 30, 30, 60)]
    else:
        assert found == [Named(name, RECIPES[name]) for name in (default, blend)]
    if times == 1:
        assert found[1].recipe == RECIPES["blend"]
    for name in ("chapter", "best", "my.toml", "default", "dense", "blend"):  # files too
        own = Named(name, RECIPES["best"])
        assert for_size(own, *size) is own


def test_what_a_name_stands_for_is_said():
    for name, said in (
        (None, "Recipe: default (the chapter's is --recipe chapter)."),
        ("default", None),
        ("blend", "Recipe: sparse-blend, for which blend stands with as many ratings as these."),
    ):
        plan, notice = make_plan(Asked(name, data=Path("own.csv")), ratings())
        assert notice == said
        assert plan.recipe == RECIPES["sparse-blend" if name == "blend" else "default"]


def test_the_members_of_the_blend_for_sparse_ratings_are_damped():
    assert all(member.is_damped for member in RECIPES["sparse-blend"].members)
    assert not any(member.is_damped for member in RECIPES["blend"].members)


def test_stars_are_not_damped():
    recipe = RECIPES["default"].but(targets="stars")
    assert not recipe.is_damped and "damped" not in recipe.to_dict()
    assert "shrinkage" not in Recipe().to_dict()


@pytest.mark.parametrize("stop_after", [2, 8])
def test_a_run_with_checkpoints_keeps_the_gain(tmp_path, stop_after):
    """Stopped while the epoch is chosen, and while the network is trained again."""
    plan = run.Plan(SMALL.but(num_epochs=6, lr=0.02), "sparse", seed=3, checkpoint_every=1)
    whole = ratings()
    expected, _, _ = run.train(whole, plan)
    seen = []
    keep = checkpoint.Keep(tmp_path, stopping=lambda: seen.append(1) or len(seen) == stop_after)
    with pytest.raises(KeyboardInterrupt):
        run.train(whole, plan, keep=keep)
    former = checkpoint.load(tmp_path)
    assert bool(former.chosen) == (stop_after == 8)
    model, result, _ = run.train(whole, plan, keep=checkpoint.Keep(tmp_path, former=former))
    assert result.gain == expected.networks[0].scale.gain != 1
    np.testing.assert_array_equal(model.predict(*PAIRS), expected.predict(*PAIRS))


def test_what_the_end_of_a_run_says():
    _, result, _ = run.train(ratings(), run.Plan(SMALL, "sparse"))
    good = replace(result, test_rmse=0.8, biases_rmse=0.9, mean_rmse=1.0)
    assert good.warning() is None
    said = replace(good, test_rmse=0.95).warning()
    assert said == "The model is no better than plain user and item biases."
    said = replace(good, test_rmse=1.0, single_users=0.951).warning()
    assert "than the mean rating and than plain user and item biases." in said
    assert "95 % of the users have one training rating" in said and "nothing to learn" in said
    assert json.loads(json.dumps(run.record(run.Plan(SMALL), result)))["result"]["gain"] < 1
