import json
import subprocess
import sys

import numpy
import pandas as pd
import pytest

from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.errors import InputError
from d2l_autorec.training import run
from d2l_autorec.training.fast import evaluate_fast


def toy_ratings(num_users=30, num_items=40):
    """Make ratings that a person's and a film's bias explain, a tenth of them zero or below."""
    draws = numpy.random.default_rng(0)
    user, item = numpy.divmod(draws.permutation(num_users * num_items)[:800], num_items)
    rating = draws.normal(size=num_users)[user] + draws.normal(size=num_items)[item] + 1.5
    table = pd.DataFrame({"user": user, "item": item, "rating": rating.astype("float32")})
    table["timestamp"] = 0
    users, items = numpy.arange(num_users), numpy.arange(num_items)
    return Ratings(table, users, items, None, "toy", "0" * 64)


SHORT = {"hidden": (8,), "batch_size": 10, "num_epochs": 40, "lr": 0.01}


@pytest.mark.parametrize("by", ["item", "user"])
def test_both_engines_find_the_same(by):
    fast, sparse = (
        run.train(toy_ratings(), run.Settings(engine=engine, by=by, **SHORT))[1]
        for engine in ("fast", "sparse")
    )
    assert sparse.test_rmse == pytest.approx(fast.test_rmse, rel=1e-3)
    assert sparse.split_digest == fast.split_digest
    assert fast.test_rmse < toy_ratings().table["rating"].std()
    assert fast.num_train + fast.num_test == 800 and fast.val_rmse is None


@pytest.mark.parametrize("engine", ["fast", "sparse"])
def test_the_epoch_is_chosen_on_validation(engine):
    settings = run.Settings(engine=engine, val_ratio=0.2, patience=3, **{**SHORT, "lr": 0.1})
    ratings = toy_ratings()
    net, result, epochs = run.train(ratings, settings)
    rmse = [epoch.test_rmse for epoch in epochs]
    assert result.epoch == 1 + rmse.index(min(rmse)) and result.val_rmse == min(rmse)
    assert len(epochs) == min(40, result.epoch + 3)
    assert result.num_val == round(0.2 * (800 - result.num_test))
    assert result.epoch < len(epochs)  # and the net is that epoch's
    train_rows, _, test_rows = run.split(ratings, settings)
    train, test = (
        interaction_csr(ratings.table, 30, 40, rows) for rows in (train_rows, test_rows)
    )
    assert evaluate_fast(net, train, test) == pytest.approx(result.test_rmse, rel=1e-5)


@pytest.mark.parametrize("engine", ["fast", "sparse"])
def test_held_out_ratings_take_no_part(engine):
    settings = run.Settings(engine=engine, val_ratio=0.2, **SHORT)
    ratings = toy_ratings()
    _, result, epochs = run.train(ratings, settings)
    from d2l_autorec.data.split import random_split
    from d2l_autorec.runtime import seed_everything

    seed_everything(settings.seed)
    _, test_rows = random_split(ratings.table)
    ratings.table.loc[test_rows, "rating"] += 5
    _, changed, again = run.train(ratings, settings)
    assert [e.test_rmse for e in again] == [e.test_rmse for e in epochs]
    assert changed.test_rmse > result.test_rmse + 1 and changed.epoch == result.epoch


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"engine": "slow"}, "--engine"),
        ({"by": "film"}, "--by"),
        ({"hidden": (0,)}, "hidden"),
        ({"decoder": "step"}, "decoder"),
        ({"dropout": 1.0}, "dropout"),
        ({"test_ratio": 0.0}, "test ratio"),
        ({"val_ratio": 1.0}, "--val-ratio"),
        ({"batch_size": 41}, "--batch-size"),
        ({"hidden": (10**8,)}, r"--hidden 100000000 .* 2\^31 weights"),
        ({"hidden": (50_000, 50_000)}, "--hidden 50000,50000 "),
        ({"lr": numpy.inf}, "--lr"),
        ({"wd": numpy.nan}, "--wd"),
    ],
)
def test_settings_that_cannot_work(wrong, named):
    with pytest.raises(InputError, match=named):
        run.check(run.Settings(**{**SHORT, **wrong}), toy_ratings())


def test_devices_that_do_not_fit():
    for settings in (run.Settings(engine="sparse", **SHORT), run.Settings(**SHORT)):
        with pytest.raises(InputError, match="--devices"):
            run.check(settings, toy_ratings(), num_devices=3)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "d2l_autorec", "train", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("engine", ["fast", "sparse"])
def test_command_on_ratings_of_one_s_own(tmp_path, engine):
    ratings = toy_ratings().table.assign(user=lambda table: "u" + table["user"].astype(str))
    ratings.drop(columns="timestamp").to_csv(tmp_path / "own.csv", index=False)
    small = ("--hidden", "8,4,8", "--batch-size", 8, "--epochs", 3, "--engine", engine)
    options = ("--data", tmp_path / "own.csv", "--out", tmp_path / "run", "--json")
    done = command(*small, *options)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())
    assert printed["result"] == recorded["result"]
    assert recorded["settings"]["hidden"] == [8, 4, 8]
    again = command(*small, *options)
    assert again.returncode == 2 and "not empty" in again.stderr


def test_command_refuses_in_one_sentence(tmp_path):
    for wrong in (("--hidden", "many"), ("--data", tmp_path / "none.csv"), ("--encoder", "step")):
        done = command(*wrong, "--out", tmp_path / "run")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
        assert not (tmp_path / "run").exists()
