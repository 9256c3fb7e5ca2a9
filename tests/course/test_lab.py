"""What the lab computes: settings, trainings with and without the mask, the queue, the lists."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.course.lab import advice, charts, material
from d2l_autorec.course.lab.material import Material
from d2l_autorec.course.lab.trainings import (
    MAX_DROPOUT,
    MAX_EPOCHS,
    MAX_HIDDEN,
    Settings,
    Training,
    Trainings,
)
from d2l_autorec.data.formats import Ratings
from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import fit_biases

USERS, ITEMS, RATINGS = 60, 600, 12_000
LEARNS = {"hidden": 100, "encoder": "tanh", "num_epochs": 60}


@pytest.fixture(scope="module")
def lab():
    """Make ratings of two tastes: users like items whose number is odd or even as their own."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(USERS * ITEMS, RATINGS, replace=False)
    user, item = pairs // ITEMS, pairs % ITEMS
    rating = np.where(user % 2 == item % 2, 5, 2).astype(np.float32)
    rating[item == 7] = 1  # which nobody likes
    table = pd.DataFrame({"user": user, "item": item, "rating": rating, "timestamp": 0})
    titles = pd.DataFrame(
        {
            "item_id": np.arange(ITEMS) + 100,
            "title": [None if code == 3 else f"Film {code}" for code in range(ITEMS)],
            "year": pd.array([1990 if code == 2 else None for code in range(ITEMS)], "Int64"),
            "genres": None,
        }
    )
    ids = np.arange(USERS), np.arange(ITEMS) + 100
    return Material.of(Ratings(table, *ids, titles, "made up", "digest"))


def trained(lab, **settings):
    training = Training(Settings(**settings))
    training.train(lab)
    assert training.state == "done", training.error
    return training


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": 0}, "Hidden units: give a whole number from 1 to 1,000."),
        ({"hidden": 1001}, "Hidden units"),
        ({"hidden": 2.5}, "Hidden units"),
        ({"hidden": None}, "Hidden units"),
        ({"hidden": "many"}, "Hidden units"),
        ({"hidden": float("nan")}, "Hidden units"),
        ({"num_epochs": -5}, "Epochs: give a whole number from 1 to 100."),
        ({"num_epochs": float("inf")}, "Epochs"),
        ({"dropout": 1.0}, "Dropout: give a share from 0 to 0.9."),
        ({"dropout": None}, "Dropout"),
        ({"encoder": "softmax"}, "softmax"),
    ],
)
def test_silly_settings(settings, said):
    with pytest.raises(InputError, match=said):
        Settings(**settings)


def test_the_page_for_teachers_names_the_bounds():
    text = (Path(__file__).parents[2] / "docs" / "lab.md").read_text(encoding="utf-8")
    bounds = f"{MAX_HIDDEN:,} hidden units, {MAX_EPOCHS} epochs and a dropout of {MAX_DROPOUT}"
    assert f"Up to {bounds} are taken" in " ".join(text.split())


def test_settings_are_the_chapters_but_for_the_draws():
    recipe = Settings().recipe()
    assert (recipe.architecture.hidden, recipe.num_epochs, recipe.draws) == ((500,), 25, "numpy")
    assert recipe.architecture.dropout == 0.05 and recipe.architecture.decoder == "identity"
    assert str(Settings(hidden=5.0, mask=False)) == "5 sigmoid units, dropout 0.05, no mask"


def test_baselines(lab):
    train, test = lab.train.tocoo(), lab.test.tocoo()
    assert train.nnz == RATINGS * 0.9 and test.nnz == RATINGS * 0.1
    mean = train.data.mean()
    assert lab.mean_rmse == pytest.approx(np.sqrt(np.mean((test.data - mean) ** 2)), rel=1e-6)
    _, of_items, of_users = fit_biases(train.row, train.col, train.data, (ITEMS, USERS))
    guess = mean + of_items[test.row] + of_users[test.col]
    assert lab.biases_rmse == pytest.approx(np.sqrt(np.mean((test.data - guess) ** 2)), rel=1e-6)
    assert lab.range == (1, 5) and not lab.is_chapters
    assert (lab.title(2), lab.title(4), lab.title(3)) == ("Film 2 (1990)", "Film 4", "Item 103")


def test_the_mask_is_what_makes_it_learn(lab):
    with_mask = trained(lab, **LEARNS)
    without = trained(lab, **LEARNS, mask=False)
    assert [epoch.epoch for epoch in with_mask.epochs] == list(range(1, 61))
    assert with_mask.epochs[-1].rmse < 0.8 * lab.biases_rmse
    assert without.epochs[-1].rmse > 1.5 * lab.mean_rmse
    # without the mask, what is not rated is learned as zero
    users, items = (axis.ravel() for axis in np.indices((USERS, ITEMS)))
    unrated = (lab.train + lab.test).toarray()[items, users] == 0
    means = [run.model.predict(users, items)[unrated].mean() for run in (with_mask, without)]
    assert means[0] > 3 and means[1] < 1.5


def test_without_the_mask_every_entry_is_stored(lab):
    assert lab.unmasked.nnz == USERS * ITEMS
    assert (lab.unmasked.toarray() == lab.train.toarray()).all()
    run = trained(lab, hidden=5, num_epochs=1, mask=False)
    # the first batch's loss is that of a network that predicts almost nothing
    assert run.epochs[0].train_loss == pytest.approx(
        (lab.train.toarray() ** 2).mean() / 2, rel=0.1
    )
    assert run.model.ratings.nnz == lab.train.nnz  # in use, what is not rated counts as not rated


def test_too_few_or_too_many_ratings(lab, monkeypatch):
    monkeypatch.setattr(material, "MAX_RATINGS", RATINGS - 1)
    with pytest.raises(InputError, match="12,000 ratings, and the lab takes from 2 to 11,999"):
        Material.of(lab.ratings)
    with pytest.raises(InputError, match="1 ratings"):
        Material.of(replace(lab.ratings, table=lab.ratings.table[:1]))


def test_too_many_entries_to_go_without_the_mask(lab, monkeypatch):
    monkeypatch.setattr(material, "MAX_CELLS", USERS * ITEMS - 1)
    training = Training(Settings(mask=False))
    vars(lab).pop("unmasked", None)
    training.train(lab)
    assert training.state == "failed" and "36,000 entries" in training.error
    assert "leave the mask on" in training.error


def test_the_network_follows_a_taste_and_the_biases_do_not(lab):
    model = trained(lab, **LEARNS).model
    even = {0: 5.0, 2: 5.0, 4: 5.0, 1: 1.0}
    odd = {1: 5.0, 9: 5.0, 5: 5.0, 0: 1.0}
    for stars, parity in ((even, 0), (odd, 1)):
        rows = advice.by_network(lab, model, stars)
        assert len(rows) == advice.NUMBER
        assert {row["code"] % 2 for row in rows} == {parity}
        assert not {row["code"] for row in rows} & set(stars)
        predicted = [row["stars"] for row in rows]
        assert predicted == sorted(predicted, reverse=True) and 3 < predicted[0] <= 5
    counts = np.diff(lab.train.indptr)
    for stars in (even, odd):
        left = [c for c in np.argsort(-lab.of_items) if counts[c] >= 20 and c not in stars]
        assert [row["code"] for row in advice.by_biases(lab, stars)] == left[: advice.NUMBER]


def test_biases_know_how_generous_a_visitor_is(lab):
    plain = advice.by_biases(lab, {})
    code = plain[1]["code"]
    generous = advice.by_biases(lab, {code: 5.0})
    # one rating among ten of no effect, by hand
    own = (5 - lab.mean - lab.of_items[code]) / 11
    assert own > 0 and generous[0]["code"] == plain[0]["code"]
    assert generous[0]["stars"] == pytest.approx(plain[0]["stars"] + own)
    assert plain[0]["stars"] == pytest.approx(lab.mean + lab.of_items[plain[0]["code"]])


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen")


def test_trainings_wait_their_turn_and_can_be_stopped(lab):
    trainings = Trainings(lab, 1)
    long = Settings(hidden=1000, num_epochs=100, mask=False)
    first, second, third = (trainings.begin(long) for _ in range(3))
    wait_for(lambda: first.epochs)
    assert (first.state, second.state, third.state) == ("running", "waiting", "waiting")
    assert (trainings.before(second), trainings.before(third)) == (0, 1)
    second.stop()
    assert second.state == "stopped" and trainings.before(third) == 0
    first.stop()
    wait_for(lambda: third.epochs)  # the second is passed over
    assert first.state == "stopped" and first.model is None and 0 < len(first.epochs) < 100
    assert second.epochs == []
    trainings.close()
    wait_for(lambda: third.state == "stopped")


def test_a_bug_does_not_leave_the_page_waiting(lab, monkeypatch, caplog):
    monkeypatch.setattr(Settings, "recipe", lambda self: 1 / 0 if self.hidden == 3 else None)
    training = Training(Settings())
    object.__setattr__(training.settings, "hidden", 3)
    training.train(lab)
    assert training.state == "failed" and "terminal" in training.error
    assert "ZeroDivisionError" in caplog.text


def test_charts(lab):
    run = trained(lab, hidden=3, num_epochs=2)
    lines = [charts.Line("the mean", 1.5, "grey")]
    shown = charts.options([(run, "orange")], "rmse", lines, 1.51)
    dashed, curve = shown["series"]
    assert dashed["data"] == [[0, 1.5], [2, 1.5]] and dashed["lineStyle"]["type"] == "dashed"
    assert curve["data"] == [[e.epoch, e.rmse] for e in run.epochs] and curve["color"] == "orange"
    assert shown["yAxis"]["max"] == 1.55
    loss = charts.options([(run, "orange")], "train_loss")
    assert [row[1] for row in loss["series"][0]["data"]] == [e.train_loss for e in run.epochs]
    assert "max" not in loss["yAxis"] and charts.options([], "rmse")["xAxis"]["max"] == 25


def test_the_extra_is_named(monkeypatch):
    from typer.testing import CliRunner

    from d2l_autorec.cli import app

    monkeypatch.setitem(sys.modules, "nicegui", None)
    said = str(CliRunner().invoke(app, ["lab"]).exception)
    assert "needs nicegui" in said and 'pip install "d2l-autorec[lab]"' in said
