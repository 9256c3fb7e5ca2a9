"""`evaluate` without a test file: the score of training, and what was held out then."""

import dataclasses
import json

import numpy as np
import pytest
from toy_models import run, toy_model

from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError
from d2l_autorec.serving.folder import load_model, save_model
from d2l_autorec.serving.held_out import held_out, recorded

WORDS = ["--engine", "sparse", "--hidden", "3", "--epochs", "2", "--quiet", "--save"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Ratings, and three models of them: of all ratings, of those for training, split by time."""
    place, draws = tmp_path_factory.mktemp("scored"), np.random.default_rng(3)
    cells = draws.permutation(20 * 15)[:200]
    rows = [(k // 15, k % 15, draws.integers(1, 6), 10**9 + n) for n, k in enumerate(cells)]
    lines = ["user,item,rating,timestamp", *(",".join(map(str, row)) for row in rows)]
    (place / "own.csv").write_text("\n".join(lines) + "\n")
    (place / "other.csv").write_text("\n".join(lines[:-1]) + "\n")
    for name, more in (("all", []), ("part", ["--no-all-ratings"]), ("time", ["--split", "time"])):
        more = [*more, "--no-all-ratings"] if name == "time" else more
        run("train", "--data", place / "own.csv", "--out", place / name, *WORDS, *more)
    return place


def test_the_score_of_training_is_told_with_whose_it_is(place):
    for name, words in (
        ("all", "once more, on these too"),
        ("part", "is the one that was scored"),
    ):
        result = json.loads((place / name / "run.json").read_text())["result"]
        shown = run("evaluate", "--model", place / name)
        said = json.loads(run("evaluate", "--model", place / name, "--json"))["recorded"]
        assert words in " ".join(shown.split()) and "split: random" in " ".join(shown.split())
        for key, of in (("test_rmse", "model"), ("biases_rmse", "biases"), ("mean_rmse", "mean")):
            assert said["errors"][of] == {"rmse": result[key]} and f"{result[key]:.4f}" in shown
        assert said["num_ratings"] == result["num_test"] == 200 - result["num_train"]
        assert said["all_ratings"] == (name == "all")


@pytest.mark.parametrize("name", ["part", "time"])
def test_what_was_held_out_is_scored_alike(name, place):
    result = json.loads((place / name / "run.json").read_text())["result"]
    words = ["evaluate", "--model", place / name, "--data", place / "own.csv", "-k", 0, "--json"]
    said = json.loads(run(*words))
    assert said["num_ratings"] == result["num_test"]
    assert said["errors"]["model"]["rmse"] == pytest.approx(result["test_rmse"], rel=1e-5)
    assert said["errors"]["biases"]["rmse"] == pytest.approx(result["biases_rmse"], rel=1e-5)
    assert said["errors"]["mean"]["rmse"] == pytest.approx(result["mean_rmse"], rel=1e-5)


def test_a_training_error_is_never_told(place):
    with pytest.raises(InputError, match=r"20 of its 20 ratings.*train --save --no-all-ratings"):
        run("evaluate", "--model", place / "all", "--data", place / "own.csv", "-k", 0)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--data", "other.csv"], "other.csv is not what the model was trained on"),
        (["--data", "own.csv", "--columns", "user=2,item=1,rating=3"], "in another way"),
        (["--data", "own.csv", "--test", "own.csv"], "exclude each other"),
        (["--sep", ";"], "needs ratings; give --test or --data"),
        (["-k", "5"], "-k needs ratings to score on"),
        (["--per-user", "users.csv"], "--per-user needs ratings"),
    ],
)
def test_what_cannot_be_is_said(words, sentence, place):
    words = [place / word if word.endswith(".csv") else word for word in words]
    with pytest.raises(InputError, match=sentence):
        run("evaluate", "--model", place / "part", *words)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"result": {}, "plan": {}},
        {"result": 3, "plan": None, "data": []},
        {"result": {"test_rmse": "nan", "biases_rmse": 1, "mean_rmse": 1, "num_test": 3}},
    ],
)
def test_a_record_without_a_score_says_what_to_give(record, place):
    model = dataclasses.replace(toy_model(), record={"data": {"name": "x"}, **record})
    with pytest.raises(InputError, match="give --test FILE"):
        recorded(model)
    with pytest.raises(InputError, match="give --test FILE"):
        held_out(model, read_ratings(place / "own.csv"))


def test_an_updated_model_says_so(place, tmp_path):
    model = load_model(place / "all")
    record = {**model.record, "updates": [{"file": "a"}, {"file": "b"}]}
    save_model(tmp_path / "new", dataclasses.replace(model, record=record))
    shown = run("evaluate", "--model", tmp_path / "new")
    assert "updated since (2)" in " ".join(shown.split())
