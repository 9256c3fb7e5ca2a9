"""The model that is saved has read all ratings, and the score is still an honest one."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from test_checkpoint import assert_equal_weights, engines
from test_run import toy_ratings
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.data.synthetic import Synthetic
from d2l_autorec.data.synthetic_files import write_synthetic
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.serving.folder import load_model
from d2l_autorec.serving.recommend import recommend
from d2l_autorec.training import checkpoint, run
from d2l_autorec.training.engines import Compute
from d2l_autorec.training.fit import fit_network
from d2l_autorec.training.run import Scored, train_on_all

CHAPTER = RECIPES["chapter"].but(hidden=(4,), batch_size=10, num_epochs=4, lr=0.05)
DEFAULT = RECIPES["default"].but(hidden=(4,), batch_size=10, num_epochs=6)


def both(plan, keep=None):
    ratings = toy_ratings()
    model, result, history = run.train(ratings, plan, keep=keep)
    scored = Scored.of(model, result, history)
    return scored, train_on_all(ratings, plan, scored, keep=keep)


def everything():
    return interaction_csr(toy_ratings().table, 30, 40)


@engines
def test_one_network_is_that_of_all_ratings_up_to_the_epoch(engine):
    plan = run.Plan(DEFAULT, engine, seed=3, all_ratings=True)
    scored, model = both(plan)
    assert scored.result.num_train < model.ratings.nnz == 800
    assert scored.epochs == (scored.result.epoch,) and len(model.history) == scored.result.epoch
    assert {epoch.rmse for epoch in model.history} == {None}
    direct = fit_network(
        everything(), DEFAULT, 3, stop=scored.result.epoch, compute=Compute(engine)
    )
    assert_equal_weights(model, direct)
    alone = run.train(toy_ratings(), replace(plan, all_ratings=False))[1]
    assert alone.test_rmse == scored.result.test_rmse


def test_a_blend_keeps_its_weights_and_each_network_its_epoch():
    members = (DEFAULT, DEFAULT.but(by="user"), DEFAULT.but(targets="mean", num_epochs=3))
    plain = {"val_ratio": 0.0, "refit": False}
    recipe = Recipe(
        members=tuple(part.but(**plain) for part in members),
        num_seeds=2,
        clip="ratings",
        val_ratio=0.2,
        refit=True,
    )
    scored, model = both(run.Plan(recipe, "sparse", all_ratings=True))
    kept = [i for i, weight in enumerate(scored.recipe.weights) if weight]
    assert model.recipe.weights == scored.recipe.weights
    assert len(model.networks) == 2 * len(kept) == len(scored.epochs)
    assert model.factors == tuple(scored.recipe.weights[i] / 2 for i in kept for _ in "ab")
    seeds = (0, 1000)
    for k, network in enumerate(model.networks):
        part = recipe.members[kept[k // 2]]
        direct = fit_network(everything(), part, seeds[k % 2], stop=scored.epochs[k])
        assert network.epoch == scored.epochs[k]
        for name, values in network.weights.items():
            np.testing.assert_array_equal(values, direct.networks[0].weights[name])
    low, high = everything().data.min(), everything().data.max()
    assert model.recipe.clip == (low, high)


@engines
@pytest.mark.parametrize("recipe, before", [(CHAPTER, 4), (DEFAULT, 0)])
@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_stopped_in_the_last_training_it_goes_on(tmp_path, engine, recipe, before, epochs):
    """With ``epochs`` 0 the process ends just before the last training has a checkpoint."""
    plan = run.Plan(recipe, engine, checkpoint_every=1, all_ratings=True)
    scored, whole = both(plan)
    before = len(scored.history)
    folder = tmp_path / "run"
    folder.mkdir()
    asked = iter([False] * (before + epochs - 1) + [True])
    keep = checkpoint.Keep(folder, {}, None, lambda: next(asked))
    if epochs:
        with pytest.raises(KeyboardInterrupt):
            both(plan, keep)
    else:
        run.train(toy_ratings(), plan, keep=keep)
    former = checkpoint.load(folder)
    keep = checkpoint.Keep(folder, {}, former)
    if epochs:
        told = Scored.from_dict(former.scored)
        assert told == scored_alike(told, scored) and len(former.history) == epochs
        again = train_on_all(toy_ratings(), plan, told, keep=keep)
    else:
        assert former.scored is None
        again = both(plan, keep)[1]
    assert_equal_weights(again, whole)
    assert checkpoint.load(folder).scored["result"]["test_rmse"] == scored.result.test_rmse


def scored_alike(told, scored):
    """Give the score the seconds of another; they differ from run to run."""
    seconds = {"seconds": told.result.seconds, "total_seconds": told.result.total_seconds}
    history = tuple(
        replace(ours, seconds=theirs.seconds) for ours, theirs in zip(scored.history, told.history)
    )
    return replace(scored, result=replace(scored.result, **seconds), history=history)


def test_a_damaged_score_is_refused(tmp_path):
    scored, _ = both(run.Plan(CHAPTER, all_ratings=True))
    said = json.loads(json.dumps(scored.to_dict()))
    assert Scored.from_dict(said) == scored
    for damage in ({"result": {}}, {"epochs": ["x"]}, {"history": [1]}, {"recipe": 1}):
        with pytest.raises(InputError, match="how the model was scored"):
            Scored.from_dict({**said, **damage})


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_synthetic(folder / "own.csv", Synthetic(60, 50, 900, seed=1))
    return folder / "own.csv"


def train(*options):
    words = ["train", "--hidden", 4, "--epochs", 2, "--json", *options]
    done = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_nothing_that_is_in_the_file_is_ever_recommended(own, tmp_path):
    rated = {tuple(map(int, line.split(",")[:2])) for line in own.read_text().split()[1:]}
    assert len(rated) == 900
    said = train("--data", own, "--save", "--out", tmp_path / "all")
    table = recommend(load_model(tmp_path / "all"), n=50, min_ratings=0)
    assert set(zip(table["user"], table["item"])).isdisjoint(rated)
    assert len(table) + len(rated) == 60 * 50  # and everything else is
    assert said["saved"]["num_ratings"] == 900 and "all ratings" in said["saved"]["trained_on"]
    assert json.loads((tmp_path / "all" / "run.json").read_text())["saved"] == said["saved"]
    tested = train("--data", own, "--save", "--no-all-ratings", "--out", tmp_path / "tested")
    assert tested["saved"]["trained_on"] == "training ratings"
    assert tested["saved"]["num_ratings"] == tested["result"]["num_train"] < 900
    assert tested["result"]["test_rmse"] == said["result"]["test_rmse"]
    without = train("--data", own, "--out", tmp_path / "none")
    assert "saved" not in without and without["plan"]["all_ratings"] is False


def test_all_ratings_without_save_is_refused(own, tmp_path):
    with pytest.raises(InputError, match="--all-ratings is for the model that --save keeps"):
        train("--data", own, "--all-ratings", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_save_may_be_asked_for_when_a_run_goes_on(own, tmp_path):
    folder = tmp_path / "run"
    train("--data", own, "--checkpoint-every", 1, "--out", folder)
    for file in ("run.json", "history.csv"):
        (folder / file).unlink()
    done = CliRunner().invoke(app, ["train", "--resume", str(folder), "--save", "--json"])
    assert done.exit_code == 0 and load_model(folder).ratings.nnz == 900
    (folder / "run.json").unlink()
    refused = CliRunner().invoke(app, ["train", "--resume", str(folder), "--epochs", "9"])
    assert "--epochs cannot be raised any more" in str(refused.exception)
    refused = CliRunner().invoke(app, ["train", "--resume", str(folder), "--no-all-ratings"])
    assert "--all-ratings cannot be changed with --resume" in str(refused.exception)


def test_two_workers_leave_the_model_of_one(own, tmp_path):
    saved = {}
    for before, out in (["launch", "--workers=2", "--"], "two"), ([], "one"):
        command = [*before, "train", "--data", own, "--save", "--hidden", 4, "--epochs", 2]
        command += ["--recipe", "chapter", "--engine", "sparse", "--checkpoint-every", 1]
        done = subprocess.run(
            [sys.executable, "-m", "d2l_autorec", *map(str, command), "--out", tmp_path / out],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        saved[out] = load_model(tmp_path / out).trained
    assert saved["two"].ratings.nnz == 900
    pairs = np.arange(50), np.arange(50)
    np.testing.assert_allclose(
        saved["two"].predict(*pairs), saved["one"].predict(*pairs), atol=1e-5
    )
