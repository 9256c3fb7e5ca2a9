"""What `fit` hands to each of its networks, and what it tells of their epochs."""

import contextlib
import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import nnls
from test_fit import SMALL, matrix, ratings

from d2l_autorec.data.split import holdout_split
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training import checkpoint
from d2l_autorec.training import fit as fitting
from d2l_autorec.training.blend import blend_weights
from d2l_autorec.training.engines import Compute
from d2l_autorec.training.fit import check_finite, fit, fit_network
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.plan import Plan

SHAPE = (20, 13)
PAIRS = np.arange(20), np.arange(20) % 13


def rmse(model, held_out):
    at = held_out.tocoo()
    return np.sqrt(np.mean((model.predict(at.col, at.row) - at.data) ** 2))


def where(history):
    """Number, network, refit and scored of each epoch."""
    return [(e.epoch, e.network, e.refit, e.scored) for e in history]


@pytest.mark.parametrize("targets", ["stars", "unit", "mean", "biases"])
def test_the_rmse_of_an_epoch_is_in_stars(targets):
    """Also where the network reads fifths of a star; the ends of the clip are far away."""
    table = ratings()
    train, test = matrix(table.iloc[:100]), matrix(table.iloc[100:])
    recipe = SMALL.but(targets=targets, clip=(-5.0, 5.0))
    told = []
    model = fit_network(
        train, recipe, test=test, compute=Compute(watch=lambda *both: told.append(both))
    )
    assert where(model.history) == [
        (1, 1, False, "test"),
        (2, 1, False, "test"),
        (3, 1, False, "test"),
    ]
    assert [epoch for epoch, _ in told] == list(model.history)
    for epoch, then in told:
        assert epoch.rmse == pytest.approx(rmse(then, test), rel=1e-5)
        assert then.epoch == epoch.epoch == len(then.history)


def test_each_network_is_scored_on_the_test_ratings():
    table = ratings()
    train, test = table.iloc[:100], matrix(table.iloc[100:])
    told = []
    follow = Compute(follow=told.append)
    model = fit(train, SHAPE, SMALL.but(num_seeds=2), 5, test=test, compute=follow)
    assert told == list(model.history)
    assert where(told) == [(e, n, False, "test") for n in (1, 2) for e in (1, 2, 3)]
    for seed, last in ((5, told[2]), (1005, told[5])):
        alone = fit_network(matrix(train), SMALL, seed)
        assert alone.history[-1].rmse is None
        assert last.rmse == pytest.approx(rmse(alone, test), rel=1e-6)
    centred = fit_network(matrix(train), SMALL.but(targets="mean"))
    assert {epoch.rmse for epoch in centred.history} == {None}


REFITTED = SMALL.but(num_epochs=5, lr=0.4, lam=0.0, val_ratio=0.2, refit=True)


def test_a_refit_is_told_of_and_scored_on_the_test_ratings():
    table, told, watched = ratings(), [], []
    train, test = table.iloc[:100], matrix(table.iloc[100:])

    def watch(epoch, then):
        watched.append((epoch, then.epoch))

    compute = Compute(follow=told.append, watch=watch)
    model = fit(train, SHAPE, REFITTED, 4, test=test, compute=compute)
    assert tuple(told) == model.history
    assert watched == [(epoch, epoch.epoch) for epoch in told]
    assert where(told) == [
        *((e, 1, False, "validation") for e in range(1, 6)),
        *((e, 1, True, "test") for e in range(1, model.epoch + 1)),
    ]
    assert told[-1].rmse == pytest.approx(rmse(model, test), rel=1e-6)


def test_of_several_refitted_networks_none_is_scored_alone():
    table = ratings()
    model = fit(
        table.iloc[:100], SHAPE, REFITTED.but(num_seeds=2), 4, test=matrix(table.iloc[100:])
    )
    again = [epoch for epoch in model.history if epoch.refit]
    assert [epoch.network for epoch in again] == sorted(epoch.network for epoch in again)
    assert {epoch.network for epoch in again} == {1, 2}
    assert {epoch.rmse for epoch in again} == {None}


def test_a_blend_s_patience_ends_its_members_training():
    members = (SMALL.but(num_epochs=40, lr=0.4, lam=0.0), SMALL.but(by="user", num_epochs=4))
    model = fit(ratings(), SHAPE, Recipe(members=members, val_ratio=0.2, patience=2), 4)
    rmses = [epoch.rmse for epoch in model.history if epoch.network == 1]
    assert len(rmses) == 1 + rmses.index(min(rmses)) + 2 < 40


def test_a_blend_s_weights_are_those_of_its_validation_ratings():
    table = ratings()
    split = holdout_split(len(table), 0.25, 4)
    members = (SMALL, SMALL.but(by="user", lr=0.1))
    recipe = Recipe(members=members, val_ratio=0.25, clip=(1.0, 5.0))
    kept, validation = (matrix(table.iloc[rows]) for rows in split)
    alone = [fit_network(kept, member, 4, validation=validation) for member in members]
    held_out = table.iloc[split[1]]
    users, items, stars = (held_out[name].to_numpy() for name in ("user", "item", "rating"))
    said = [one.predict(users, items) for one in alone]
    weights = blend_weights(said, stars)
    for given in (None, split):
        model = fit(table, SHAPE, recipe, 4, split=given)
        assert model.recipe.weights == pytest.approx(weights)
        blended = (weights @ np.stack(said)).clip(1, 5)
        assert model.val_rmse == pytest.approx(np.sqrt(np.mean((blended - stars) ** 2)))
    unchosen = fit(table, SHAPE, SMALL, 4, split=split)  # no validation, so nothing is held out
    assert unchosen.val_rmse is None and unchosen.ratings.nnz == len(table)


@pytest.mark.filterwarnings("error")
def test_weights_where_scipy_s_search_does_not_end(monkeypatch):
    """That of SciPy 1.12 to 1.14 may not, as where predictions are of very different sizes."""
    draws, problems = np.random.default_rng(0), []
    for _ in range(500):
        num_ratings, num_members = draws.integers(1, 6), draws.integers(1, 8)
        said = np.abs(draws.normal(size=(num_members, num_ratings)))
        said *= 10 ** draws.uniform(-2, 6, (num_members, 1))
        stars = draws.uniform(1, 5, num_ratings)
        with contextlib.suppress(RuntimeError):
            problems.append((said, stars, nnls(said.T, stars)[1]))
    assert len(problems) > 400

    def without_end(*_):
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr("scipy.optimize.nnls", without_end)
    for said, stars, least in problems:
        weights = blend_weights(said, stars)
        assert weights.min() >= 0
        assert np.linalg.norm(weights @ said - stars) == pytest.approx(least, abs=1e-6)


def test_the_seed_is_0_by_default():
    table, recipe = ratings(), SMALL.but(val_ratio=0.2)
    np.testing.assert_array_equal(
        fit(table, SHAPE, recipe).predict(*PAIRS), fit(table, SHAPE, recipe, 0).predict(*PAIRS)
    )
    np.testing.assert_array_equal(
        fit_network(matrix(table), SMALL).predict(*PAIRS),
        fit_network(matrix(table), SMALL, 0).predict(*PAIRS),
    )


def test_the_clip_is_the_range_of_all_training_ratings():
    """The only 9 is a validation rating, and still a rating of the training part."""
    table = ratings()
    split = np.arange(1, 120), np.arange(1)
    table.loc[0, "rating"] = 9.0
    model = fit(table, SHAPE, SMALL.but(clip="ratings", val_ratio=0.1), split=split)
    assert model.recipe.clip == model.networks[0].recipe.clip == (1.0, 9.0)
    assert fit_network(matrix(table), SMALL.but(clip="ratings")).recipe.clip == (1.0, 9.0)


def test_every_network_is_computed_as_asked(monkeypatch):
    made, make = [], fitting.make_engine

    def spy(*arguments):
        made.append(arguments[5])
        return make(*arguments)

    monkeypatch.setattr(fitting, "make_engine", spy)
    asked = Compute("sparse")
    fit(ratings(), SHAPE, REFITTED.but(num_seeds=2), compute=asked)
    assert len(made) == 4 and all(compute is asked for compute in made)


SEARCHED = REFITTED.but(lr=1.5, num_epochs=6)  # the fourth epoch is best
HALVED = Recipe(
    members=(SEARCHED.but(val_ratio=0.0, refit=False),), weights=(0.5,), val_ratio=0.2, refit=True
)


@pytest.fixture
def train(tmp_path):
    """Train with checkpoints; return the model and the epochs told of."""

    def go(recipe, stop=None, former=None):
        calls, told = itertools.count(1), []
        keep = checkpoint.Keep(tmp_path, {}, former, lambda: next(calls) == stop)
        plan = Plan(recipe, seed=4, checkpoint_every=4)
        keeper = checkpoint.Keeper(keep, plan, ("0" * 64, "1" * 64), 0.0)
        compute = Compute(follow=told.append, keeper=keeper)
        return fit(ratings(), SHAPE, recipe, 4, compute=compute), told

    return go


@pytest.mark.parametrize(
    "recipe, stop",
    [(SEARCHED, 8), (HALVED, 8), (replace(HALVED, weights=()), 8), (SEARCHED.but(refit=False), 5)],
)
def test_a_fit_goes_on_from_its_checkpoint(recipe, stop, train, tmp_path):
    """Stopped in the refit, or behind the best epoch."""
    whole, told = train(recipe)
    assert whole.epoch == 4
    with pytest.raises(KeyboardInterrupt):
        train(recipe, stop)
    model, rest = train(recipe, former=checkpoint.load(tmp_path))
    assert len(rest) == len(told) - stop
    np.testing.assert_array_equal(model.predict(*PAIRS), whole.predict(*PAIRS))
    assert model.recipe == whole.recipe and model.epoch == 4
    ours, theirs = ([replace(e, seconds=0) for e in m.history] for m in (model, whole))
    assert ours == theirs and len(ours) == len(told)


def test_a_fit_at_its_end_leaves_a_checkpoint(train, tmp_path):
    whole, _ = train(SEARCHED.but(refit=False))
    former = checkpoint.load(tmp_path)
    assert len(former.history) == 6
    model, told = train(SEARCHED.but(refit=False), former=former)
    assert told == [] and model.history == whole.history and model.epoch == 4
    np.testing.assert_array_equal(model.predict(*PAIRS), whole.predict(*PAIRS))
    assert len(train(SEARCHED, 6)[0].history) == 10  # and the refit begins at once


def test_errors_of_training_in_full():
    for epoch in (
        Epoch(3, np.nan, 1.0, 0.1),
        Epoch(3, 1.0, np.inf, 0.1),
        Epoch(3, np.inf, None, 0),
    ):
        with pytest.raises(InputError) as caught:
            check_finite(epoch)
        assert str(caught.value) == (
            "Training diverged: in epoch 3 loss or RMSE is not finite; train with a lower "
            "learning rate (--lr)."
        )
    state = SimpleNamespace(network_weights=lambda: {"0.bias": np.array([0, np.inf])})
    with pytest.raises(InputError) as caught:
        fitting._finite_weights(SimpleNamespace(state=state))
    assert str(caught.value) == (
        "Training diverged: some weights are not finite; train with a lower learning rate (--lr)."
    )
    with pytest.raises(InputError) as caught:
        fit(ratings().iloc[:0], SHAPE, SMALL)
    assert str(caught.value) == "There are no ratings to train on; give some."
