"""The recipes on data sets of one's own."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError
from d2l_autorec.experiments import own_data as experiment
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.experiments.own_data import BIASES, BLEND, DEFAULT, MEAN
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.training import run


@pytest.fixture
def files(toy_ratings, tmp_path, monkeypatch):
    """Two data sets as files, and a recipe that is trained in no time."""
    path = tmp_path / "one.csv"
    toy_ratings.table[["user", "item", "rating"]].to_csv(path, index=False)
    half = tmp_path / "two.csv"
    toy_ratings.table[["user", "item", "rating"]][:900].to_csv(half, index=False)
    small = {name: RECIPES[name].but(hidden=(3,), num_epochs=2) for name in RECIPES}
    monkeypatch.setattr(experiment, "RECIPES", small)
    return {"one": path, "two": half}


def test_sets_are_scored_as_train_scores_them(files, tmp_path):
    names, out = (MEAN, BIASES, DEFAULT), tmp_path / "out"
    given = Experiment(out, quiet=True, processes=1)
    told = experiment.own_data(given, files, 2, None, names)
    runs = pd.read_csv(out / "one" / "runs.csv")
    assert len(runs) == 6 and "of 2 sets" in told[0]
    plan = run.Plan(experiment.RECIPES["default"].but(clip="ratings"), "sparse", seed=1)
    _, result, _ = run.train(read_ratings(files["one"]), plan)
    found = runs[runs["seed"] == 1].set_index("model")["test_rmse"]
    assert found[MEAN] == pytest.approx(result.mean_rmse, rel=1e-6)
    assert found[DEFAULT] == pytest.approx(result.test_rmse, rel=1e-6)
    assert found[BIASES] == pytest.approx(result.biases_rmse, rel=1e-2)  # not clipped there
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "one.csv" in page and str(tmp_path) not in page
    described = pd.read_csv(out / "sets.csv")
    assert described.iloc[0].tolist() == ["one", "1,800", 20, 300, "30%", "0%"]
    with pytest.raises(InputError, match=r"two=two\.csv"):
        experiment.own_data(given, {"one": files["one"]}, 2, None, names)


def table(default, blend):
    rows = [
        (name, model, seed, rmse)
        for name, shift in (("a", 0.0), ("b", 0.5))
        for model, rmses in ((BIASES, (1.0, 1.1, 1.2)), (DEFAULT, default), (BLEND, blend))
        for seed, rmse in enumerate(rmses)
        for rmse in [rmse + shift * (model == BLEND)]
    ]
    return pd.DataFrame(rows, columns=["set", "model", "seed", "test_rmse"])


def test_the_answer_counts_the_sets_and_the_differences_are_of_the_same_splits():
    runs = table((0.9, 1.0, 1.11), (0.85, 0.95))
    told = experiment.answer(runs)
    assert told[0].startswith(
        "The recipe default is better than plain user and item biases on 2 of"
    )
    assert "better than the recipe default on 1 of 2 sets" in told[1]
    assert told[1].endswith("The differences: a -0.0500 ± 0.0000 (2); b 0.4500 ± 0.0000 (2).")
    assert told[2].startswith(
        "Lower than the blend's is the test RMSE of: b AutoRec, recipe default"
    )
    summary = experiment.summary(runs).set_index(["set", "model"])["less plain biases"]
    assert summary["a", BLEND] == "-0.1500 ± 0.0000 (2)"
    assert summary["a", DEFAULT].startswith("-0.0967 ± 0.0143")
    assert experiment.summary(runs)["model"].tolist()[:3] == [BLEND, DEFAULT, BIASES]


def test_the_figure_leaves_out_what_is_far_worse_and_nothing_better():
    drawn = experiment.figure(table((0.9, 1.0, 1.11), (0.8, 0.88, 0.96)))  # b's blend is worse
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert labels == ["a: AutoRec, blend", "a: AutoRec, default", "b: AutoRec, default"]


def test_slow_models_have_fewer_splits_and_keep_those_that_are_stored(
    files, tmp_path, monkeypatch
):
    small = {name: RECIPES[name].but(hidden=(3,), num_epochs=1) for name in RECIPES}
    monkeypatch.setattr(experiment, "RECIPES", small)
    one, names = {"one": files["one"]}, (BIASES, BLEND)
    given = Experiment(tmp_path / "out", quiet=True, processes=1)

    def seeds(most):
        experiment.own_data(given, one, 3, most, names)
        runs = pd.read_csv(tmp_path / "out" / "one" / "runs.csv")
        return runs.loc[runs["model"] == BLEND, "seed"].tolist()

    assert seeds(0) == [] and seeds(1) == [0]
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").set_index("model")["test RMSE"]
    assert summary[BLEND].endswith("(1)") and summary[BIASES].endswith("(3)")
    (tmp_path / "out" / "experiment.json").unlink()  # so that fewer may be asked for
    experiment.own_data(given, one, 2, 0, names)
    after = pd.read_csv(tmp_path / "out" / "summary.csv").set_index("model")["test RMSE"]
    assert after.equals(summary)  # what is stored counts
    jobs = [{"model": BLEND, "seed": seed} for seed in range(3)]
    ratings = read_ratings(files["one"])
    assert given.first(jobs, 0, ratings, "one") == jobs[:1]
    assert given.first(jobs, 3, ratings, "one") == jobs


@pytest.mark.parametrize("text", ["one.csv", "=one.csv", "one=", "../one=a.csv", "a b=c.csv"])
def test_what_is_no_data_set(text):
    done = CliRunner().invoke(app, ["own-data", text])
    assert isinstance(done.exception, InputError) and "write NAME=FILE" in str(done.exception)


def test_two_sets_of_one_name():
    with pytest.raises(InputError, match="Two data sets are named a"):
        experiment.parse_sets(["a=1.csv", "a=2.csv"])


def test_biases_with_an_estimated_shrinkage():
    from d2l_autorec.experiments.baselines import biases, estimated_biases

    rng = np.random.default_rng(0)
    user, item = np.divmod(rng.permutation(1200)[:900], 30)
    stars = 3 + rng.normal(0, 1, 40)[user] + rng.normal(0, 1, 30)[item] + rng.normal(0, 0.1, 900)
    data = pd.DataFrame({"user": user, "item": item, "rating": stars.astype("float32")})
    mine, plain = (
        fit(data[:800], (40, 30), 0)(user[800:], item[800:])
        for fit in (estimated_biases, partial(biases, reg_user=10, reg_item=10, num_sweeps=10))
    )
    errors = [np.sqrt(np.mean((guess - stars[800:]) ** 2)) for guess in (mine, plain)]
    assert errors[0] < 0.15 < errors[1]
