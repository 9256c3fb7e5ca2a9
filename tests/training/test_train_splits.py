"""What the train command scores on: splits by name, a test file, folds, and their records."""

import json
import zipfile

import numpy as np
import pytest
from test_run import toy_ratings
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.protocols import canonical_split, folds
from d2l_autorec.data.split import save_split, split_digest
from d2l_autorec.errors import InputError
from d2l_autorec.experiments.stats import pooled_rmse
from d2l_autorec.serving.folder import load_model
from d2l_autorec.training import checkpoint

TINY = ["--recipe", "chapter", "--engine", "sparse", "--hidden", 2, "--epochs", 2]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Give a file of 30 users and 40 items, with times that fall."""
    path = tmp_path_factory.mktemp("data") / "own.csv"
    table = toy_ratings().table
    table.assign(timestamp=np.arange(len(table), 0, -1) + 10**9).to_csv(path, index=False)
    return path


def train(*options):
    words = ["train", *options]
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "80"})
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


def trained(own, out, *options):
    return json.loads(train("--data", own, *TINY, "--out", out, "--json", *options).stdout)


@pytest.mark.parametrize(
    "name, rows",
    [("time", range(80)), ("leave-last", None), ("seq-aware", None), ("mine.npz", [5, 700, 3])],
)
def test_a_split_by_name_is_scored_and_recorded(own, tmp_path, name, rows):
    ratings = read_ratings(own, None, True)
    user = ratings.table["user"].to_numpy()
    if rows is None:  # times fall: a user's latest rating is the first
        rows = np.unique(user, return_index=True)[1]
    given = name
    if name == "mine.npz":
        others = np.setdiff1d(np.arange(800), rows)
        given = tmp_path / name
        save_split(given, others, np.array(list(rows)), ratings)
    said = trained(own, tmp_path / "run", "--split", given)
    assert said["result"]["split_digest"] == split_digest(np.array(list(rows)))
    assert said["result"]["num_test"] == len(rows)
    assert said["plan"]["split"] == str(given)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["plan"] == said["plan"]
    shown = train("--data", own, *TINY, "--out", tmp_path / "2", "--split", given).stdout
    assert max(map(len, shown.splitlines()[:-1])) <= 80
    assert shown.splitlines()[3].split() == ["split", name]


def test_a_canonical_split_of_movielens(ml100k, tmp_path):
    with zipfile.ZipFile(tmp_path / "ml-100k.zip", "w") as archive:
        table = ml100k.table
        lines = zip(
            ml100k.user_ids[table["user"]],
            ml100k.item_ids[table["item"]],
            table["rating"].astype(int),
            table["timestamp"],
        )
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        archive.writestr("ml-100k/u.data", text)
    options = ["--hidden", 2, "--epochs", 1, "--split", "u3", "--json", "--engine", "sparse"]
    given = ["--data", tmp_path / "ml-100k.zip", "--recipe", "chapter", "--draws", "numpy"]
    said = json.loads(train(*options, *given, "--out", tmp_path / "run").stdout)
    assert said["result"]["split_digest"] == split_digest(canonical_split("u3", ml100k)[1])
    assert said["result"]["num_test"] == 20_000


def test_a_test_file_is_scored_and_is_the_same_as_its_rows(own, tmp_path):
    lines = own.read_text().splitlines()
    head, rows = lines[0], lines[1:]
    (tmp_path / "base.csv").write_text("\n".join([head, *rows[80:]]) + "\n")
    (tmp_path / "test.csv").write_text("\n".join([head, *rows[:80]]) + "\n")
    ratings = read_ratings(own, None, True)
    save_split(tmp_path / "a.npz", np.arange(80, 800), np.arange(80), ratings)
    same = trained(own, tmp_path / "rows", "--split", tmp_path / "a.npz", "--draws", "numpy")
    said = trained(
        tmp_path / "base.csv",
        tmp_path / "run",
        *("--test", tmp_path / "test.csv", "--save", "--draws", "numpy"),
    )
    for field in ("test_rmse", "biases_rmse", "mean_rmse"):
        assert said["result"][field] == pytest.approx(same["result"][field], rel=1e-5)
    assert said["plan"]["split"] == "a test file"
    assert said["test_file"] == str(tmp_path / "test.csv")
    assert load_model(tmp_path / "run").record["test_file"] == said["test_file"]


def test_who_is_unknown_in_training_is_counted_and_predicted(tmp_path):
    (tmp_path / "base.csv").write_text("user,item,rating\na,x,4\na,y,2\nb,x,5\nb,y,1\n")
    (tmp_path / "test.csv").write_text("user,item,rating\nc,x,3\na,z,1\nc,z,5\n")
    done = train(
        *("--data", tmp_path / "base.csv", "--test", tmp_path / "test.csv", "--recipe", "default"),
        *("--val-ratio", 0, "--no-refit", "--epochs", 1, "--lr", 0, "--engine", "sparse"),
        *("--out", tmp_path / "run", "--json"),
    )
    assert "Of the test file, 1 users and 1 items have no training rating" in done.stderr
    result = json.loads(done.stdout)["result"]
    # the mean of training is 3, so that the model and the mean miss z by 2
    assert result["mean_rmse"] == pytest.approx(np.sqrt((0 + 4 + 4) / 3))
    assert result["test_rmse"] == pytest.approx(result["biases_rmse"], abs=0.2)


def test_folds_hold_out_all_ratings_and_are_recorded(own, tmp_path):
    given = ["--data", own, *TINY, "--folds", 4, "--seed", 3]
    said = json.loads(train(*given, "--out", tmp_path / "run", "--json").stdout)
    digests = [split_digest(rows) for _, rows in folds(800, 4, seed=3)]
    assert [each["split_digest"] for each in said["folds"]] == digests
    assert [each["num_test"] for each in said["folds"]] == [200] * 4
    found = [each["test_rmse"] for each in said["folds"]]
    model = said["intervals"]["model"]
    assert model["mean"] == pytest.approx(np.mean(found)) and model["n"] == 4
    # Student's t for 3 degrees of freedom, from a table
    assert model["half_width"] == pytest.approx(3.182446 * np.std(found, ddof=1) / 2)
    for number, own_result in enumerate(said["folds"], 1):
        record = json.loads((tmp_path / "run" / f"fold-{number}" / "run.json").read_text())
        assert record["result"] == own_result
        assert record["plan"]["split"] == f"fold {number} of 4"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["folds"] == said["folds"]
    shown = train(*given, "--out", tmp_path / "again").stdout.splitlines()
    assert max(map(len, shown[:-1])) <= 80
    line = next(line for line in shown if line.strip().startswith("fold 2"))
    assert line.split()[2] == f"{found[1]:.4f}"
    assert f"{model['mean']:.4f} ± {model['half_width']:.4f}" in "".join(shown)


def test_a_run_goes_on_with_its_split(own, tmp_path):
    (tmp_path / "test.csv").write_text("user,item,rating\n3,99,1\n4,98,2\n")
    for way, value in (("--split", "time"), ("--test", tmp_path / "test.csv")):
        out = tmp_path / way[2:]
        given = ["--checkpoint-every", 1, "--draws", "numpy", way, value]
        whole = trained(own, out, *given)
        (out / "run.json").unlink()  # as if it had been killed there
        kept = checkpoint.load(out)
        assert kept.split_digest == whole["result"]["split_digest"]
        again = json.loads(train("--resume", out, "--json", way, value).stdout)
        assert again["plan"] == whole["plan"]
        assert again["result"]["test_rmse"] == whole["result"]["test_rmse"]
        (out / "run.json").unlink()
        with pytest.raises(InputError, match="--split cannot be changed with --resume"):
            train("--resume", out, "--split", "leave-last")
        other = "--test: the run has --split time" if way == "--split" else "--resume: the run"
        (tmp_path / "other.csv").write_text("user,item,rating\n3,99,4\n4,98,3\n")
        with pytest.raises(InputError, match=other):
            train("--resume", out, "--test", tmp_path / "other.csv")


@pytest.mark.parametrize(
    "options, words",
    [
        (["--split", "u9"], "--split 'u9' is neither a split nor a file; use random, "),
        (["--split", "u1"], "--split u1 is a split of MovieLens 100K, and own.csv is other"),
        (["--split", "time", "--test", "@"], "--split and --test exclude each other"),
        (["--split", "leave-last", "--test-ratio", 0.2], "--test-ratio is for .* --split leave"),
        (["--test", "@", "--test-ratio", 0.2], "--test-ratio is for .* and --test says"),
        (["--test", "none.csv"], "none.csv does not exist"),
        (["--test", "@"], "800 of its 800 ratings are of pairs that are also in own.csv"),
        (["--split", "@"], "own.csv"),
        (["--folds", 801], "--folds is 801; give 2 to 800"),
        (["--folds", 3, "--save"], "--folds and --save exclude each other, since"),
        (["--folds", 3, "--split", "time"], "--folds and --split exclude"),
        (["--folds", 3, "--test", "@"], "--folds and --test exclude"),
        (["--folds", 3, "--test-ratio", 0.5], "--folds and --test-ratio exclude"),
        (["--folds", 3, "--checkpoint-every", 1], "--folds and --checkpoint-every exclude"),
        (["--folds", 3, "--resume", "@"], "--folds and --resume exclude"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_stays(own, tmp_path, options, words):
    options = [own if word == "@" else word for word in options]
    with pytest.raises(InputError, match=words) as caught:
        train("--data", own, *TINY, "--out", tmp_path / "run", *options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert not list(tmp_path.iterdir())


def test_pooled_rmse_of_folds_is_near_their_mean(own, tmp_path):
    said = json.loads(
        train("--data", own, *TINY, "--folds", 2, "--out", tmp_path / "run", "--json").stdout
    )
    mean = said["intervals"]["mean"]["mean"]
    stars = read_ratings(own, None, True).table["rating"].to_numpy()
    assert mean == pytest.approx(pooled_rmse(np.full(800, stars.mean()), stars), rel=0.02)
