"""The search for a recipe: what it may see, how it goes on, and what it leaves."""

import csv
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError
from d2l_autorec.evaluation import space
from d2l_autorec.evaluation.study import STUDY, open_study, optuna
from d2l_autorec.evaluation.tuning import _Follower
from d2l_autorec.models.recipes import RECIPES, read_toml
from d2l_autorec.training.asked import Asked, prepare
from d2l_autorec.training.run import split


@pytest.fixture(autouse=True, scope="module")
def small(module_mocker=None):
    """Make the networks of all trials small, so that each takes a moment."""
    made = space.choices

    def few(num_ratings, num_users, num_items):
        changed = {"hidden": (2, 8), "num_epochs": (5, 20)}
        return tuple(
            space.Choice(c.name, changed.get(c.name, c.values), c.scale)
            for c in made(num_ratings, num_users, num_items)
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("d2l_autorec.evaluation.study.choices", few)
        patch.setitem(RECIPES, "default", RECIPES["default"].but(hidden=(4,), num_epochs=6))
        yield


def ratings_table(seed=0):
    draws = np.random.default_rng(seed)
    user, item = np.divmod(draws.permutation(30 * 40)[:600], 40)
    stars = 3 + draws.normal(size=30)[user] + draws.normal(size=40)[item]
    stars = np.clip(np.round(stars), 1, 5).astype(int)
    return pd.DataFrame({"user": user, "item": item, "rating": stars})


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "own.csv"
    ratings_table().to_csv(path, index=False)
    return path


def run_command(*words):
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "80"})
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


def tune(data, out, *options):
    words = ["tune", "--data", data, "--out", out, "--minutes", 60, "--json", *options]
    return json.loads(run_command(*words).stdout)


def trials(out):
    with (out.with_suffix(".tune") / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_time(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_other_test_ratings_change_nothing(own, tmp_path):
    said = tune(own, tmp_path / "one.toml", "--trials", 5)
    ratings = read_ratings(own)
    plan = prepare(Asked("default", data=own), quiet=True).plan
    _, test_rows = split(ratings, plan)
    changed = ratings_table()
    changed.loc[test_rows, "rating"] = 6 - changed.loc[test_rows, "rating"]
    assert (changed["rating"] != ratings_table()["rating"]).sum() > len(test_rows) / 2
    changed.to_csv(tmp_path / "changed.csv", index=False)
    again = tune(tmp_path / "changed.csv", tmp_path / "two.toml", "--trials", 5)
    assert again["split_digest"] == said["split_digest"]
    assert again["data_digest"] != said["data_digest"]
    assert again["found"] == said["found"]
    rows = [without_time(trials(tmp_path / name)) for name in ("one.toml", "two.toml")]
    assert rows[0] == rows[1] and len(rows[0]) == 5
    # and training ratings do change it
    other = ratings_table()
    kept = np.setdiff1d(np.arange(600), test_rows)
    other.loc[kept, "rating"] = 6 - other.loc[kept, "rating"]
    other.to_csv(tmp_path / "other.csv", index=False)
    assert (
        tune(tmp_path / "other.csv", tmp_path / "3.toml", "--trials", 2)["found"] != said["found"]
    )


def test_what_is_found_is_what_train_follows(own, tmp_path):
    out = tmp_path / "best.toml"
    said = tune(own, out, "--trials", 4)
    found = said["found"]
    assert read_toml(out).to_dict() == found["best"]
    rows = trials(out)
    complete = [float(row["val_rmse"]) for row in rows if row["state"] == "complete"]
    assert found["best_rmse"] == pytest.approx(min(complete), abs=1e-6)
    assert rows[0]["default"] == "True"
    assert found["default_rmse"] == pytest.approx(float(rows[0]["val_rmse"]), abs=1e-6)
    assert sum(found["counts"].values()) == len(rows) == 4
    for recipe, rmse in ((out, "best_rmse"), ("default", "default_rmse")):
        folder = tmp_path / rmse
        words = ["train", "--data", own, "--recipe", recipe, "--out", folder, "--json", "--quiet"]
        result = json.loads(run_command(*words).stdout)["result"]
        assert result["val_rmse"] == pytest.approx(found[rmse], rel=1e-9)
        assert result["split_digest"] == said["split_digest"]
    record = json.loads((tmp_path / "best.tune" / "run.json").read_text())
    assert record["found"] == found


def test_for_dense_ratings_the_search_begins_with_dense(own, tmp_path, monkeypatch):
    monkeypatch.setattr("d2l_autorec.models.recipes.MANY_ITEMS", 40)
    small = RECIPES["dense"].but(hidden=(4,), num_epochs=6)
    monkeypatch.setitem(RECIPES, "dense", small)
    said = tune(own, tmp_path / "best.toml", "--trials", 1)
    assert said["found"]["best"] == small.but(lam=20.0).to_dict()
    [row] = trials(tmp_path / "best.toml")
    assert (row["default"], row["targets"], float(row["lam"])) == ("True", "stars", 20)
    assert (float(row["lr"]), int(row["hidden"])) == (0.004, 4)


def test_targets_of_stars_are_for_dense_ratings():
    for number, targets in ((20, ("biases", "mean", "stars")), (19, ("biases", "mean"))):
        assert space.choices(number, 10, 100)[1].values == targets  # of 1000 cells


def test_a_search_goes_on_and_what_it_says(own, tmp_path):
    out = tmp_path / "best.toml"
    assert sum(tune(own, out, "--trials", 3)["found"]["counts"].values()) == 3
    words = ["tune", "--data", own, "--out", out, "--trials", 8, "--minutes", 60]
    shown = run_command(*words).stdout
    *table, command = shown.splitlines()
    assert max(map(len, table)) <= 80
    assert command == f"d2l-autorec train --data {own} --recipe {out}"
    assert len(trials(out)) == 11
    assert sum(row["default"] == "True" for row in trials(out)) == 1
    found = json.loads((tmp_path / "best.tune" / "run.json").read_text())["found"]
    for name in ("best_rmse", "default_rmse", "biases_rmse", "mean_rmse"):
        assert f"{found[name]:.4f}" in shown
    for each in found["brought"]:
        for rmse in each["best"].values():
            assert f"{rmse:.4f}" in shown
    by = {row["by"] for row in trials(out) if row["state"] == "complete"}
    assert set(next(b["best"] for b in found["brought"] if b["name"] == "by")) == by


def test_several_processes_search_in_one_folder(own, tmp_path):
    command = [sys.executable, "-m", "d2l_autorec", "tune", "--data", own, "--quiet", "--json"]
    command += ["--out", tmp_path / "best.toml", "--trials", "2", "--minutes", "60"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0 or "being trained by another" in errors, errors
    study = optuna().load_study(
        study_name="tune", storage=f"sqlite:///{tmp_path / 'best.tune' / STUDY}"
    )
    assert len(study.trials) == 4
    assert sum(bool(t.user_attrs.get("default")) for t in study.trials) == 1
    assert len({str(t.params) for t in study.trials}) == 4  # none tried what another did
    assert read_toml(tmp_path / "best.toml")


def ground(own):
    from d2l_autorec.evaluation.study import Ground

    return Ground.of(prepare(Asked("default", data=own), quiet=True))


def test_the_trial_of_a_process_that_died_is_given_up(own, tmp_path):
    first = open_study(tmp_path / "a.tune", ground(own))
    trial = first.ask()
    assert trial.user_attrs["default"] is True
    trial.set_user_attr("process", {"pid": 2**22 + 1, "host": __import__("socket").gethostname()})
    second = open_study(tmp_path / "a.tune", ground(own))
    assert [t.state.name for t in second.trials] == ["FAIL", "WAITING", "WAITING", "WAITING"]
    assert second.trials[-1].user_attrs["default"] is True
    second.ask()  # by a process that may be alive
    third = open_study(tmp_path / "a.tune", ground(own))
    assert [t.state.name for t in third.trials] == ["FAIL", "RUNNING", "WAITING", "WAITING"]


def test_a_trial_is_pruned_when_it_is_bad_or_late():
    told = []
    trial = SimpleNamespace(
        report=lambda value, step: told.append((step, value)), should_prune=lambda: len(told) == 3
    )
    follow = _Follower(trial, 20, time.monotonic() + 1000, mean_rmse=9.0)
    for number, rmse in enumerate([2.0, 1.5, 1.7, 1.9, 1.2], 1):
        follow(SimpleNamespace(epoch=number, rmse=rmse))
    assert told == [(1, 1.5), (2, 1.5)]  # at each tenth the best so far
    with pytest.raises(optuna().TrialPruned):
        follow(SimpleNamespace(epoch=6, rmse=1.1))
    assert told[-1] == (3, 1.1)
    trial.should_prune = lambda: False
    poor = _Follower(trial, 10, time.monotonic() + 1000, mean_rmse=1.05)
    for number in (1, 2):
        poor(SimpleNamespace(epoch=number, rmse=1.1))
    with pytest.raises(optuna().TrialPruned):
        poor(SimpleNamespace(epoch=3, rmse=1.1))
    late = _Follower(trial, 20, time.monotonic() - 1, mean_rmse=9.0)
    with pytest.raises(optuna().TrialPruned):
        late(SimpleNamespace(epoch=1, rmse=1.0))


def test_the_space_holds_the_default_and_fits_the_size():
    for size in ((500, 30, 40), (100_000, 943, 1682), (20_000_000, 138_493, 26_744)):
        made = space.choices(*size)
        values = space.values_of(space.base(), made)
        for choice in made:
            low, *_, high = choice.values
            assert values[choice.name] in choice.values or low <= values[choice.name] <= high
            assert sum(belongs(values[choice.name]) for belongs in choice.groups.values()) == 1
        assert max(made[3].values) * size[1] <= 10**8
    values = {"lam": 7.5, "hidden": 33, "by": "user", "dropout": 0.25}
    recipe = space.recipe_of({**space.values_of(space.base(), made), **values})
    assert recipe.architecture.hidden == (33,) and recipe.architecture.by == "user"
    assert recipe.lam == 7.5 and recipe.patience == space.PATIENCE and recipe.refit
    assert recipe.val_ratio == RECIPES["default"].val_ratio
    assert recipe.targets == RECIPES["default"].targets


@pytest.mark.parametrize(
    "options, words",
    [
        (["--minutes", 0], "--minutes is 0; give a number above 0"),
        (["--minutes", "nan"], "--minutes is nan"),
        (["--out", "a.json"], "--out a.json: the name must end with .toml"),
        (["--out", "@own"], "must end with .toml"),
        (["--out", "none/a.toml"], "there is no folder none"),
        (["--split", "u1"], "--split u1 is a split of MovieLens 100K"),
        (["--split", "u7"], "is neither a split nor a file"),
        (["--engine", "slow"], "--engine 'slow' is unknown"),
        (["--test", "@own"], "600 of its 600 ratings"),
        (["--test", "@own", "--split", "time"], "exclude each other"),
        (["--data", "none.csv"], "none.csv does not exist"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_stays(own, tmp_path, options, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [own if word == "@own" else word for word in options]
    given = {"--out": "best.toml", "--data": own, "--trials": 1}
    given.update(zip(options[::2], options[1::2]))
    with pytest.raises(InputError, match=words) as caught:
        run_command("tune", *(word for pair in given.items() for word in pair))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert not list(tmp_path.iterdir())


def test_nothing_else_is_overwritten(own, tmp_path):
    out = tmp_path / "best.toml"
    out.write_text("mine")
    with pytest.raises(InputError, match=r"best.toml exists; name a new file"):
        tune(own, out, "--trials", 1)
    assert out.read_text() == "mine"
    (tmp_path / "b.tune").mkdir()
    (tmp_path / "b.tune" / "mine").write_text("mine")
    with pytest.raises(InputError, match=r"b.tune is there and holds no search; name another"):
        tune(own, tmp_path / "b.toml", "--trials", 1)
    tune(own, tmp_path / "c.toml", "--trials", 1)
    with pytest.raises(InputError, match=r"c.tune holds a search on other ratings or another"):
        tune(own, tmp_path / "c.toml", "--trials", 1, "--seed", 1)
    (tmp_path / "c.tune" / STUDY).write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match=r"study.db cannot be used \(.*\); name a new --out"):
        tune(own, tmp_path / "c.toml", "--trials", 1)


def test_a_missing_library_is_named(own, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r'tune needs optuna .*pip install "d2l-autorec\[tune\]"'):
        tune(own, tmp_path / "best.toml")
    assert not list(tmp_path.iterdir())
