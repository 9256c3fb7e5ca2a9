"""The train command on ratings of any size, with options that contradict them, and its end."""

import json

import pytest
from test_run import toy_ratings
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.errors import InputError
from d2l_autorec.serving.folder import load_model
from d2l_autorec.serving.recommend import recommend


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Give a file of 30 users and 40 items."""
    path = tmp_path_factory.mktemp("data") / "[bold]own.csv"
    toy_ratings().table.drop(columns="timestamp").to_csv(path, index=False)
    return path


def train(own, *options):
    words = ["train", "--data", own, "--hidden", 4, "--epochs", 2, *options]
    if "--recipe" not in options:
        words += ["--recipe", "chapter"]
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "80"})
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("by, rows", [("item", 40), ("user", 30)])
def test_a_batch_has_all_rows_where_they_are_few(own, tmp_path, by, rows):
    said = json.loads(train(own, "--by", by, "--out", tmp_path / "run", "--json"))
    assert said["plan"]["recipe"]["batch_size"] == rows
    with pytest.raises(InputError, match=f"--batch-size is 256; give 1 to {rows}"):
        train(own, "--by", by, "--batch-size", 256, "--out", tmp_path / "run2")


def test_the_model_keeps_the_range_given_and_says_where_it_is(own, tmp_path):
    run = tmp_path / "run"
    options = ["--no-all-ratings", "--rating-range", "-50,50.5", "--checkpoint-every", 1]
    out = train(own, "--out", run, "--save", *options)
    assert f"d2l-autorec recommend --model {run} --user ID" in out.splitlines()[-1]
    assert "[bold]own.csv" in out  # no markup
    model = load_model(run)
    assert (model.low, model.high) == (-50, 50.5)
    assert recommend(model)["prediction"].between(-50, 50.5).all()
    (run / "run.json").unlink()  # as if it had been killed there
    done = CliRunner().invoke(app, ["train", "--resume", str(run), "--epochs", "3", "--json"])
    assert done.exit_code == 0 and (load_model(run).low, load_model(run).high) == (-50, 50.5)
    learned = train(own, "--out", tmp_path / "learned", "--save")
    assert learned and load_model(tmp_path / "learned").high < 50


@pytest.mark.parametrize(
    "options, words",
    [
        (["--rating-range", "1,5", "--save"], "--rating-range 1,5 leaves out some"),
        (["--rating-range", "5", "--save"], "--rating-range '5' is not a range; write"),
        (["--rating-range", "5,1", "--save"], "is not a range"),
        (["--rating-range", "1,inf", "--save"], "is not a range"),
        (["--rating-range", "1,5,9", "--save"], "is not a range"),
        (["--hidden", "²"], "--hidden '²' is not a list of sizes"),
        (["--hidden", "1" * 5000], "--hidden '1+' is not a list of sizes"),
        (["--lr", "1e30"], "diverged.*--lr"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_stays(own, tmp_path, options, words):
    with pytest.raises(InputError, match=words) as caught:
        train(own, *options, "--out", tmp_path / "run")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert not list(tmp_path.iterdir())
