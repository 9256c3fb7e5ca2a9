import json

import pandas as pd

from d2l_autorec.experiments import foldin
from d2l_autorec.experiments.stored import SMOKE


def test_a_tenth_of_each_new_user_is_held_out():
    users = [0] * 30 + [1] * 5 + [2] * 20 + [3] * 10
    table = pd.DataFrame({"user": users})
    new, held_out = foldin.hide_users(table, 4, 3, seed=1)
    assert len(set(new)) == 3
    counts = table["user"][held_out].value_counts().to_dict()
    assert counts == {user: {0: 3, 1: 1, 2: 2, 3: 1}[user] for user in new}
    again = foldin.hide_users(table, 4, 3, seed=1)
    assert (again[0] == new).all() and (again[1] == held_out).all()
    assert (foldin.hide_users(table, 4, 3, seed=2)[1] != held_out).any()


def test_one_small_run_from_start_to_summary(experiment, tmp_path, ml100k, monkeypatch):
    small = {
        name: recipe.but(hidden=(8,), num_epochs=1, lr=0.02)
        for name, recipe in foldin.RECIPES.items()
    }
    monkeypatch.setattr(foldin, "RECIPES", small)
    summary = foldin.foldin(experiment, ml100k, num_seeds=1)
    assert list(summary.columns) == ["the users are", "item-based RMSE", "user-based RMSE"]
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert runs["by"].tolist() == ["item", "user"]
    assert runs[["given_0", "given_5", "given_20", "given_all", "trained"]].lt(4).all(axis=None)
    assert runs["own_mean"].nunique() == 1  # both kinds are scored on the same ratings
    assert json.loads((tmp_path / "experiment.json").read_text())["answer"] != [SMOKE]


def test_a_smoke_run_trains_one_epoch_and_draws_no_conclusion(
    smoke_run, tmp_path, ml100k, monkeypatch
):
    stops, train = [], foldin.fit_network
    monkeypatch.setattr(
        foldin, "fit_network", lambda *a, stop: stops.append(stop) or train(*a, stop=stop)
    )
    small = {name: recipe.but(hidden=(8,)) for name, recipe in foldin.RECIPES.items()}
    monkeypatch.setattr(foldin, "RECIPES", small)
    foldin.foldin(smoke_run, ml100k, num_seeds=1)
    assert stops == [1] * 4
    said = json.loads((tmp_path / "experiment.json").read_text())
    assert said["answer"] == [SMOKE] and said["command"] == "d2l-autorec foldin --quick"
