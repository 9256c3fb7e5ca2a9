import json
from pathlib import Path

import numpy
import pandas as pd
import pytest

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments import exercises
from d2l_autorec.experiments.exercises import networks, run_one, summary
from d2l_autorec.training.fit import fit_network

SIGMOIDS = {"encoder": "sigmoid", "decoder": "sigmoid", "init": "normal", "seed": 0}
SMALL = networks((2, 4), (2, 4), ("identity", "sigmoid"))


def test_the_plan_covers_what_the_exercises_ask():
    plan = networks()
    sizes = " ".join(key[0] for key in plan["hidden_size"])
    assert sizes == "10 20 50 100 200 500 1000 2000"
    depths = {(key[0].count("-") + 1, key[3]) for key in plan["depth"]}
    assert depths == {(depth, init) for depth in (1, 2, 3) for init in ("normal", "xavier")}
    pairs = {key[1:3] for key in plan["activations"] if key[3:] == ("normal", "stars")}
    assert len(pairs) == 36
    assert all(len(set(part)) == len(part) for part in plan.values())


def test_summary_by_hand():
    a, b = ("2", "sigmoid", "identity", "normal", "stars"), ("4", "tanh", "elu", "xavier", "unit")
    scores = {
        a: pd.DataFrame({"test_rmse": [1.0, 1.2], "val_rmse": [0.9, 1.1], "epoch": [3, 5]}),
        b: pd.DataFrame({"test_rmse": [0.9, 1.0], "val_rmse": [0.8, 1.0], "epoch": [1, 1]}),
    }
    first, second = summary(scores).to_dict("records")
    assert first["test_rmse"] == 1.1 and first["epoch"] == 4 and first["less_first"] == 0
    # sample SD 0.1414, t quantile for 1 degree of freedom 12.7062
    assert first["test_rmse_half_width"] == pytest.approx(12.7062 * 0.1, abs=1e-4)
    assert second["less_first"] == pytest.approx((-0.1 - 0.2) / 2)
    choices = [second[name] for name in ("hidden", "decoder", "targets", "n")]
    assert choices == ["4", "elu", "unit", 2]


def test_all_three_from_start_to_figures_and_not_twice(
    experiment, tmp_path, toy_ratings, monkeypatch
):
    told = exercises.exercises(experiment, toy_ratings, 2, SMALL, max_epochs=2)
    assert [line[:11] for line in told[2::2]] == [f"Exercise {i}," for i in (1, 2, 3)]
    runs = pd.read_csv(tmp_path / "runs.csv")
    unique = {key for part in SMALL.values() for key in part}
    assert len(runs) == 2 * len(unique)
    assert runs["epoch"].between(1, 2).all() and (runs["test_rmse"] > 0).all()
    for name in SMALL:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_csv(tmp_path / f"{name}.csv")) == len(SMALL[name])
    monkeypatch.setattr(exercises, "run_one", lambda *_: pytest.fail("run again"))
    assert exercises.exercises(experiment, toy_ratings, 2, SMALL, 2) == told


def test_the_weight_decay_keeps_its_weight_against_the_loss(toy_ratings, monkeypatch):
    """Errors are divided by the unit, squared errors by its square, and so is the decay."""
    seen = {}

    def spy(train, recipe, *rest, **named):
        fitted = fit_network(train, recipe, *rest, **named)
        seen[recipe.targets] = recipe.wd * fitted.networks[0].scale.unit ** 2
        return fitted

    monkeypatch.setattr(exercises, "fit_network", spy)
    for targets in ("stars", "unit"):
        run_one(toy_ratings, {**SIGMOIDS, "hidden": "2", "targets": targets, "max_epochs": 1})
    assert seen == {"stars": CHAPTER.wd, "unit": pytest.approx(CHAPTER.wd)}


def test_the_published_settings_are_those_of_the_code():
    root = Path(__file__).parents[2]
    record = json.loads((root / "results/exercises/experiment.json").read_text("utf-8"))
    assert exercises.UNIT_WEIGHT == exercises.RANGE[1] ** 2 == 25
    assert "unit: ratings / 5, with the weight decay / 25" in record["settings"]["targets"]


def test_an_output_below_one_cannot_say_stars(toy_ratings):
    job = {**SIGMOIDS, "hidden": "4", "targets": "stars", "max_epochs": 30}
    plain = run_one(toy_ratings, job)
    assert plain["test_rmse"] >= plain["rmse_of_ones"]
    unit = run_one(toy_ratings, {**job, "targets": "unit"})
    assert unit["test_rmse"] < 0.8 * plain["test_rmse"]
    assert numpy.isfinite(unit["val_rmse"]) and unit["rmse_of_ones"] == plain["rmse_of_ones"]
