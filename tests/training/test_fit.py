"""What a recipe does to a network, held to values that are worked out by hand."""

import math
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import Scale, fit_biases
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.training.engines import Compute, choose_engine
from d2l_autorec.training.fit import check_finite, fit, fit_network
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.job import Cosine, Updates
from d2l_autorec.training.stopping import BestEpoch

SMALL = Recipe(draws="numpy").but(
    objective="sum", lam=1.0, hidden=(4,), batch_size=8, num_epochs=3, clip=(-5.0, 5.0), lr=0.02
)
engines = pytest.mark.parametrize("engine", ["fast", "sparse"])


def ratings(seed=1):
    """120 ratings of 20 users and 13 items; nobody has rated the last item."""
    rng = np.random.default_rng(seed)
    rows = [(u, i, rng.integers(1, 6)) for u in range(20) for i in rng.permutation(12)[:6]]
    return pd.DataFrame(rows, columns=["user", "item", "rating"]).astype({"rating": "float32"})


def matrix(table):
    return sparse.csr_matrix((table["rating"], (table["item"], table["user"])), (13, 20))


def zero_network(train, recipe):
    """A network that says zero everywhere."""
    by_item = recipe.architecture.by == "item"
    read = train if by_item else train.T.tocsr()
    shapes = recipe.architecture.weight_shapes(read.shape[1])
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return TrainedModel(recipe, (Network(recipe, weights, Scale.of(read, recipe)),), (1.0,), train)


@pytest.mark.parametrize("by", ["item", "user"])
def test_where_the_network_says_zero_the_biases_are_predicted(by):
    """The sign of what is added back: 2 + 0.5 for the high item, 2 - 0.5 for the low one."""
    values = np.array([[2.5, 2.5], [1.5, 1.5]], np.float32)
    train = sparse.csr_matrix(values)
    model = zero_network(train, Recipe().but(by=by, hidden=(1,), targets="biases"))
    pairs = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    predicted = model.predict(*pairs)
    np.testing.assert_allclose(predicted, [2 + 1 / 12, 2 + 1 / 12, 2 - 1 / 12, 2 - 1 / 12])
    np.testing.assert_allclose(model.score_users(np.array([0, 1])), predicted.reshape(2, 2).T)


def test_what_the_network_reads_is_what_is_left_of_the_stars():
    train = sparse.csr_matrix(np.array([[5, 0, 1], [0, 3, 0]], np.float32))
    scale = Scale(3.0, 2.0, np.array([0.5, -0.5]), np.array([0.25, 0.0, -0.25]))
    read = scale.apply(train)
    np.testing.assert_array_equal(read.toarray(), [[0.625, 0, -1.125], [0, 0.25, 0]])
    network = Network(Recipe(), {}, scale)
    rows, cols = train.nonzero()
    np.testing.assert_array_equal(network.to_stars(read.data, rows, cols), train.data)
    recipe = Recipe(targets="unit", clip=(1.0, 5.0))
    np.testing.assert_allclose(Scale.of(train, recipe).apply(train).data, train.data / 5)
    centred = Scale.of(train, Recipe(targets="mean"))
    np.testing.assert_array_equal(centred.apply(train).data, [2, -2, 0])


@engines
@pytest.mark.parametrize("targets", ["stars", "mean", "biases"])
def test_a_scaled_recipe_predicts_the_same_on_any_scale(engine, targets):
    """A power of two leaves every digit; the quarter of 1 to 5 is 1, so that nothing changes."""
    recipe = SMALL.but(targets=targets, scaled=True, clip="ratings", damped=True, val_ratio=0.2)
    recipe = recipe.but(lr=0.1, num_epochs=10)
    pairs = np.divmod(np.arange(20 * 13), 13)
    table = ratings()
    guesses = {}
    for name, factor, changes in (
        ("stars", 1, {}),
        ("times 16", 16, {}),
        ("plain", 1, {"scaled": False}),
        ("plain, times 16", 16, {"scaled": False}),
    ):
        own = table.assign(rating=table["rating"] * factor)
        model = fit(own, (20, 13), recipe.but(**changes), 1, compute=Compute(engine))
        guesses[name] = model.predict(*pairs) / factor
    np.testing.assert_array_equal(guesses["stars"], guesses["plain"])
    np.testing.assert_allclose(guesses["times 16"], guesses["stars"], rtol=1e-6)
    assert guesses["stars"].std() > 0.1
    assert np.abs(guesses["plain, times 16"] - guesses["plain"]).max() > 0.01


def test_the_unit_of_a_scaled_recipe_is_a_quarter_of_the_range():
    train = sparse.csr_matrix(np.array([[5, 0, 1], [0, 3, 0]], np.float32))
    scaled = Recipe(clip=(0.0, 10.0), scaled=True)
    np.testing.assert_allclose(Scale.of(train, scaled).apply(train).data, train.data / 2.5)
    centred = Scale.of(train, replace(scaled, targets="mean"))
    np.testing.assert_allclose(centred.apply(train).data, [0.8, -0.8, 0])
    assert Scale.of(train, replace(scaled, clip=(3.0, 3.0))).unit == 1
    assert Scale.of(train, replace(scaled, targets="unit")).unit == 10


@engines
def test_targets_over_the_upper_end_have_a_unit_of_their_own(engine):
    """Where a recipe is scaled too, that changes nothing, not the decay either."""
    recipe = SMALL.but(targets="unit", clip="ratings", lr=0.1, num_epochs=10)
    table, pairs = ratings(), np.divmod(np.arange(20 * 13), 13)
    plain, scaled = (
        fit(table, (20, 13), own, 1, compute=Compute(engine)).predict(*pairs)
        for own in (recipe, recipe.but(scaled=True))
    )
    np.testing.assert_array_equal(plain, scaled)
    assert plain.std() > 0.1


def test_biases_are_at_their_fixed_point():
    at = np.array([0, 0, 1]), np.array([0, 1, 0])
    mean, a, b = fit_biases(*at, np.array([5.0, 3.0, 1.0]), (2, 2))
    assert mean == 3
    np.testing.assert_allclose(a[1], (1 - 3 - b[0]) / 11, atol=1e-6)
    np.testing.assert_allclose(a[0], (5 - 3 - b[0] + 3 - 3 - b[1]) / 12, atol=1e-6)
    np.testing.assert_allclose(b[0], (5 - 3 - a[0] + 1 - 3 - a[1]) / 12, atol=1e-6)


def test_the_cosine_falls_from_the_rate_to_zero():
    rate = Cosine(0.4, 8)
    assert [rate(step) for step in (0, 2, 4, 8, 9)] == pytest.approx(
        [0.4, 0.2 * (1 + math.sqrt(0.5)), 0.2, 0, 0]
    )
    made = Updates.of(SMALL.but(schedule="cosine", num_epochs=4), 20, 1.0)
    assert made.lr == Cosine(0.02, 10)  # 20 rows, 4 epochs, batches of 8


def test_lambda_is_shared_out_over_the_rows_and_weighs_stars():
    plain = Updates.of(SMALL, 13, 1.0)
    assert (plain.wd, plain.bias_wd, plain.divisor(20)) == (1 / 26, 0, 1)
    assert Updates.of(SMALL, 13, 5.0).wd == pytest.approx(1 / 26 / 25)
    chapter = Updates.of(Recipe(), 13, 1.0)
    assert (chapter.wd, chapter.bias_wd, chapter.divisor(20)) == (1e-5, 1e-5, 20)


@pytest.mark.parametrize(
    "patience, rmses, best, over_after",
    [
        (2, [3, 2, 2.5, 2.5, 1], 2, 4),
        (1, [3, 3], 1, 2),  # of equal ones the first is best
        (3, [3, 2, 2.5, 2.5], 2, None),
        (None, [1, 2, 3, 4, 5, 6], 1, None),
    ],
)
def test_the_best_epoch_and_the_end_of_patience(patience, rmses, best, over_after):
    follow, over = BestEpoch(patience), None
    for number, rmse in enumerate(rmses, 1):
        follow.add(rmse, lambda number=number: {"of": np.array(number)})
        if follow.is_over:
            over = number
            break
    assert (follow.best, int(follow.weights["of"]), over) == (best, best, over_after)
    assert BestEpoch(patience, follow.rmses).best == best


@engines
def test_patience_ends_a_network_s_training(engine):
    table = ratings()
    train, held_out = matrix(table.iloc[:100]), matrix(table.iloc[100:])
    recipe = SMALL.but(num_epochs=60, lr=0.2, lam=0.0, patience=3)
    model = fit_network(train, recipe, validation=held_out, compute=Compute(engine))
    assert len(model.history) == model.epoch + 3 < 60
    assert model.val_rmses.index(min(model.val_rmses)) == model.epoch - 1
    again = fit_network(train, recipe, stop=model.epoch, compute=Compute(engine))
    for name, values in again.networks[0].weights.items():
        np.testing.assert_array_equal(values, model.networks[0].weights[name])


@engines
def test_the_output_bias_starts_at_the_mean(engine):
    train, recipe = matrix(ratings()), SMALL.but(start="mean", lr=0.0, num_epochs=1)
    model = fit_network(train, recipe, compute=Compute(engine))
    rated = np.bincount(train.indices, minlength=20)
    above = np.bincount(train.indices, train.data - train.data.mean(), 20)
    bias = model.networks[0].output_layer[1]
    np.testing.assert_allclose(bias, train.data.mean() + above / (rated + 10), rtol=1e-6)
    plain = fit_network(train, recipe.but(start="zero"), compute=Compute(engine))
    assert not plain.networks[0].output_layer[1].any()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"targets": "biases", "by": "user"},
        {"targets": "mean", "schedule": "cosine"},
        {"targets": "unit", "decoder": "sigmoid", "init": "xavier", "hidden": (5, 3)},
        {"objective": "mean", "lam": None, "start": "mean", "wd": 0.01},
    ],
)
def test_both_engines_follow_a_recipe_alike(change):
    table, recipe = ratings(), SMALL.but(draws="mxnet", dropout=0.0, num_epochs=6, **change)
    halves = matrix(table.iloc[:100]), matrix(table.iloc[100:])
    fast, lean = (
        fit_network(halves[0], recipe, 3, validation=halves[1], compute=Compute(engine))
        for engine in ("fast", "sparse")
    )
    assert fast.val_rmses == pytest.approx(lean.val_rmses, rel=1e-4)
    pairs = np.arange(20), np.arange(20) % 13
    np.testing.assert_allclose(fast.predict(*pairs), lean.predict(*pairs), rtol=1e-3)


def test_a_refit_trains_on_all_ratings_up_to_the_epoch():
    table = ratings()
    recipe = SMALL.but(num_epochs=20, lr=0.1, lam=0.0, val_ratio=0.2, refit=True)
    model = fit(table, (20, 13), recipe, 4)
    chosen = [epoch for epoch in model.history if not epoch.refit]
    again = [epoch for epoch in model.history if epoch.refit]
    rmses = [epoch.rmse for epoch in chosen]
    assert len(chosen) == 20 and len(again) == model.epoch == 1 + rmses.index(min(rmses)) < 20
    assert model.ratings.nnz == len(table)
    direct = fit_network(matrix(table), recipe, 4, stop=model.epoch)
    pairs = np.arange(20), np.arange(20) % 13
    np.testing.assert_array_equal(model.predict(*pairs), direct.predict(*pairs))
    assert fit(table, (20, 13), recipe.but(refit=False), 4).ratings.nnz == 96


def test_seeds_are_averaged():
    table, pairs = ratings(), (np.arange(20), np.arange(20) % 13)
    model = fit(table, (20, 13), SMALL.but(num_seeds=3), 5)
    alone = [fit_network(matrix(table), SMALL, seed).predict(*pairs) for seed in (5, 1005, 2005)]
    np.testing.assert_allclose(model.predict(*pairs), np.mean(alone, axis=0), rtol=1e-12)
    assert [epoch.network for epoch in model.history] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_given_weights_need_no_validation():
    table, pairs = ratings(), (np.arange(20), np.arange(20) % 13)
    members = (SMALL, SMALL.but(by="user"))
    model = fit(table, (20, 13), Recipe(members=members, weights=(0.25, 0.5)), 5)
    one, two = (fit_network(matrix(table), member, 5).predict(*pairs) for member in members)
    np.testing.assert_allclose(model.predict(*pairs), 0.25 * one + 0.5 * two, rtol=1e-12)


@pytest.mark.parametrize("weights, kept", [((0.0, 0.5), (0.5,)), ((0.0,), (0.0,))])
def test_members_of_weight_zero_are_left_out_beside_others(weights, kept):
    recipe = Recipe(members=(SMALL,) * len(weights), weights=weights)
    model = fit(ratings(), (20, 13), recipe, 5)
    assert (model.factors, model.recipe.weights, model.epoch) == (kept, weights, 3)


def test_what_nobody_rated_gets_the_default():
    model = fit_network(matrix(ratings()), SMALL.but(default=3.5))
    predicted = model.predict(np.array([0, 1]), np.array([12, 3]))
    assert predicted[0] == 3.5 != predicted[1]


@engines
def test_a_fit_that_diverges_is_an_error(engine):
    table = ratings()
    for recipe in (
        SMALL.but(lr=1e38, clip=None, decoder="elu"),
        SMALL.but(lr=1e38, clip=None, val_ratio=0.2, refit=True),
    ):
        with pytest.raises(InputError, match=r"diverged.*--lr"):
            fit(table, (20, 13), recipe, compute=Compute(engine))
    for loss, rmse in ((math.nan, 1.0), (1.0, math.inf)):
        with pytest.raises(InputError, match="diverged: in epoch 3"):
            check_finite(Epoch(3, loss, rmse, 0.1))


def test_no_ratings_are_no_training():
    with pytest.raises(InputError, match="no ratings to train on"):
        fit(ratings().iloc[:0], (20, 13), SMALL)


def test_numpys_draws_repeat_and_are_the_seed_s():
    table = ratings()
    one, two, other = (
        fit_network(matrix(table), SMALL.but(dropout=0.3, input_dropout=0.2), seed).networks[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.weights["0.weight"], two.weights["0.weight"])
    assert (one.weights["0.weight"] != other.weights["0.weight"]).any()


def test_sparse_ratings_are_for_the_sparse_engine(monkeypatch):
    assert choose_engine(1000, 3000) == "fast" and choose_engine(1000, 5000) == "sparse"
    monkeypatch.setitem(sys.modules, "mxnet", None)
    assert choose_engine(1000, 3000) == "sparse"


def test_epochs_are_told_of_with_the_network_as_it_is():
    table, seen = ratings(), []
    pairs = np.arange(20), np.arange(20) % 13
    model = fit(
        table,
        (20, 13),
        SMALL,
        compute=Compute(watch=lambda epoch, then: seen.append(then.predict(*pairs))),
    )
    assert len(seen) == 3 and (seen[0] != seen[2]).any()
    np.testing.assert_array_equal(seen[-1], model.predict(*pairs))
    assert replace(model).epoch == 3


def test_stopping_does_not_look_through_the_history_after_each_epoch():
    class Unread(list):
        def __iter__(self):
            raise AssertionError("the whole history was read")

    best = BestEpoch(3)
    best.rmses = Unread()
    over = []
    for rmse in (0.9, 0.8, 0.8, 0.85, 0.9):
        best.add(rmse, dict)
        over.append(best.is_over)
    assert best.best == 2 and over == [False, False, False, False, True]
