import json
import subprocess
import sys

import numpy
import pandas as pd
import pytest

from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.data.split import holdout_split
from d2l_autorec.errors import InputError
from d2l_autorec.models.autorec import to_net
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.training import run
from d2l_autorec.training.dense import evaluate_fast
from d2l_autorec.training.session import most_epochs


def toy_ratings(num_users=30, num_items=40):
    """Make ratings that a person's and a film's bias explain, a tenth of them zero or below."""
    draws = numpy.random.default_rng(0)
    user, item = numpy.divmod(draws.permutation(num_users * num_items)[:800], num_items)
    rating = draws.normal(size=num_users)[user] + draws.normal(size=num_items)[item] + 1.5
    table = pd.DataFrame({"user": user, "item": item, "rating": rating.astype("float32")})
    table["timestamp"] = 0
    users, items = numpy.arange(num_users), numpy.arange(num_items)
    return Ratings(table, users, items, None, "toy", "0" * 64)


SHORT = RECIPES["chapter"].but(hidden=(8,), batch_size=10, num_epochs=40, lr=0.01)


@pytest.mark.parametrize("by", ["item", "user"])
def test_both_engines_find_the_same(by):
    fast, sparse = (
        run.train(toy_ratings(), run.Plan(SHORT.but(by=by), engine))[1]
        for engine in ("fast", "sparse")
    )
    assert sparse.test_rmse == pytest.approx(fast.test_rmse, rel=1e-3)
    assert sparse.split_digest == fast.split_digest
    assert fast.test_rmse < toy_ratings().table["rating"].std()
    assert fast.num_train + fast.num_test == 800 and fast.val_rmse is None


@pytest.mark.parametrize("engine", ["fast", "sparse"])
def test_the_epoch_is_chosen_on_validation(engine):
    plan = run.Plan(SHORT.but(val_ratio=0.2, patience=3, lr=0.1), engine)
    ratings = toy_ratings()
    model, result, epochs = run.train(ratings, plan)
    rmse = [epoch.rmse for epoch in epochs]
    assert result.epoch == 1 + rmse.index(min(rmse))
    assert result.val_rmse == pytest.approx(min(rmse), rel=1e-6)
    assert {epoch.scored for epoch in epochs} == {"validation"}
    assert len(epochs) == min(40, result.epoch + 3)
    assert result.num_val == round(0.2 * (800 - result.num_test))
    assert result.epoch < len(epochs)  # and the net is that epoch's
    train_rows, test_rows = run.split(ratings, plan)
    kept, _ = holdout_split(len(train_rows), 0.2, plan.seed)
    train, test = (
        interaction_csr(ratings.table, 30, 40, rows) for rows in (train_rows[kept], test_rows)
    )
    net = to_net(plan.recipe.architecture, model.networks[0].weights)
    assert evaluate_fast(net, train, test) == pytest.approx(result.test_rmse, rel=1e-5)


@pytest.mark.parametrize("engine", ["fast", "sparse"])
def test_held_out_ratings_take_no_part(engine):
    settings = run.Plan(SHORT.but(val_ratio=0.2), engine)
    ratings = toy_ratings()
    _, result, epochs = run.train(ratings, settings)
    from d2l_autorec.data.split import random_split
    from d2l_autorec.runtime import seed_everything

    seed_everything(settings.seed)
    _, test_rows = random_split(ratings.table)
    ratings.table.loc[test_rows, "rating"] += 5
    _, changed, again = run.train(ratings, settings)
    assert [e.rmse for e in again] == [e.rmse for e in epochs]
    assert changed.test_rmse > result.test_rmse + 1 and changed.epoch == result.epoch


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"engine": "slow"}, "--engine"),
        ({"test_ratio": 0.0}, "test ratio"),
        ({"recipe": SHORT.but(hidden=(10**8,))}, r"--hidden 100000000 .* 2\^31 weights"),
        ({"recipe": SHORT.but(hidden=(50_000, 50_000))}, "--hidden 50000,50000 "),
        ({"recipe": RECIPES["blend"], "checkpoint_every": 1}, "one network .* trains 21"),
    ],
)
def test_plans_that_cannot_work(wrong, named):
    with pytest.raises(InputError, match=named):
        run.check(run.Plan(**{"recipe": SHORT, **wrong}), toy_ratings())


def test_devices_that_do_not_fit():
    for plan in (run.Plan(SHORT, "sparse"), run.Plan(SHORT)):
        with pytest.raises(InputError, match="--devices"):
            run.check(plan, toy_ratings(), num_devices=3)


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
    small = (
        "--recipe",
        "chapter",
        "--hidden",
        "8,4,8",
        "--batch-size",
        8,
        "--epochs",
        3,
        "--engine",
        engine,
    )
    options = ("--data", tmp_path / "own.csv", "--out", tmp_path / "run", "--json")
    done = command(*small, *options)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())
    assert printed["result"] == recorded["result"]
    assert recorded["plan"]["recipe"]["hidden"] == [8, 4, 8]
    again = command(*small, *options)
    assert again.returncode == 2 and "not empty" in again.stderr


def test_command_refuses_in_one_sentence(tmp_path):
    for wrong in (("--hidden", "many"), ("--data", tmp_path / "none.csv"), ("--encoder", "step")):
        done = command(*wrong, "--out", tmp_path / "run")
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("d2l-autorec: ") == 1
        assert not (tmp_path / "run").exists()


def test_the_bar_is_over_the_epochs_of_all_networks_and_of_their_refits():
    """Of the blend 4 x 60 + 80 + 20 + 15 epochs, with three seeds, twice."""
    assert most_epochs(RECIPES["chapter"]) == 25
    assert most_epochs(RECIPES["chapter"].but(num_seeds=2)) == 50
    assert most_epochs(RECIPES["blend"]) == 355 * 3 * 2
