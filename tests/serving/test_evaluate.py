"""A saved model on test ratings: errors and rankings by hand, and the command."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from toy_models import dense, run, toy_blend, toy_model

from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import fit_biases
from d2l_autorec.serving.evaluate import evaluate
from d2l_autorec.serving.folder import save_model
from d2l_autorec.serving.recommend import predict, recommend

pytest.importorskip("ir_measures")


def made(model, tmp_path, extra=()):
    """Make test ratings of some unrated pairs, the best of each user's recommendations first."""
    unrated = np.argwhere(dense(model) == 0)
    rows = [
        (model.user_ids[user], model.item_ids[item], 1 + (3 * user + 2 * item) % 5)
        for user, item in unrated[::2]
    ]
    table = pd.DataFrame([*rows, *extra], columns=["user", "item", "rating"])
    table.to_csv(tmp_path / "test.csv", index=False)
    return table, read_ratings(tmp_path / "test.csv")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("model", [toy_model(), toy_model("user"), toy_blend()])
def test_errors_are_those_of_single_predictions(model, tmp_path):
    table, test = made(model, tmp_path)
    found = evaluate(model, test, k=0)
    asked = predict(model, table["user"], table["item"])["prediction"].to_numpy()
    missed = asked - table["rating"].to_numpy()
    assert found.errors["model"]["rmse"] == pytest.approx(np.sqrt(np.mean(missed**2)), rel=1e-5)
    assert found.errors["model"]["mae"] == pytest.approx(np.mean(np.abs(missed)), rel=1e-5)
    mean = model.ratings.data.mean()
    flat = mean - table["rating"].to_numpy()
    assert found.errors["mean"]["mae"] == pytest.approx(np.abs(flat).mean(), rel=1e-5)
    users = found.per_user.set_index("user")
    for user, rows in table.assign(missed=missed, flat=flat).groupby("user"):
        assert users.loc[user, "rmse"] == pytest.approx(np.sqrt((rows["missed"] ** 2).mean()))
        assert users.loc[user, "mae"] == pytest.approx(rows["missed"].abs().mean())
        assert users.loc[user, "mean_rmse"] == pytest.approx(np.sqrt((rows["flat"] ** 2).mean()))
        assert users.loc[user, "test_ratings"] == len(rows)
    # u5 and item 60 have no training ratings
    assert (found.unknown_users, found.unknown_items) == (1, 1)
    assert found.rankings == {} and found.ranked_users == 0
    unknown = (table["user"] == "u5") | (table["item"] == 60)
    assert found.unknown_ratings == unknown.sum()
    known = np.sqrt(np.mean(missed[~unknown] ** 2))
    assert found.errors["model"]["rmse_known"] == pytest.approx(known, rel=1e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_who_is_unknown_is_predicted_by_the_biases(tmp_path):
    model = toy_model()
    at = model.ratings.tocoo()
    mean, of_item, of_user = fit_biases(at.row, at.col, at.data, (6, 5))
    rows = [("new", 10, 3), ("u2", 77, 5), ("new", 77, 1)]
    test = made(model, tmp_path, rows)[1]
    found = evaluate(model, test, k=0)
    users = found.per_user.set_index("user")
    missed = [mean + of_item[0] - 3, mean - 1]
    assert users.loc["new", "biases_rmse"] == pytest.approx(np.sqrt(np.mean(np.square(missed))))
    clipped = np.clip([mean + of_item[0], mean], 1, 5) - [3, 1]
    assert users.loc["new", "rmse"] == pytest.approx(np.sqrt(np.mean(clipped**2)))
    assert users.loc["new", "training_ratings"] == 0
    (tmp_path / "one.csv").write_text("user,item,rating\nu2,77,5\n")
    one = evaluate(model, read_ratings(tmp_path / "one.csv"), k=0)
    assert one.errors["biases"]["mae"] == pytest.approx(abs(mean + of_user[1] - 5))
    assert np.isnan(one.errors["model"]["rmse_known"])
    assert one.as_json()["errors"]["model"]["rmse_known"] is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_rankings_are_of_what_is_recommended(tmp_path):
    model = toy_model()
    table, test = made(model, tmp_path, [("u1", 77, 5), ("u5", 10, 5), ("new", 20, 5)])
    found = evaluate(model, test, k=2, relevant=2)
    good = table[(table["rating"] >= 2) & ~table["user"].isin(["u5", "new"])]
    assert found.ranked_users == good["user"].nunique() and found.relevant == 2
    ndcg, shown = [], set()
    for user, rows in good.groupby("user"):
        best = recommend(model, [user], 2)["item"].tolist()
        shown |= set(best)
        hits = np.isin(best, rows["item"])
        weights = np.array([1, 1 / np.log2(3)])
        ndcg.append(hits @ weights[: len(hits)] / weights[: min(2, len(rows))].sum())
        row = found.per_user.set_index("user").loc[user]
        assert row["ndcg"] == pytest.approx(ndcg[-1])
        assert row["recall"] == pytest.approx(hits.sum() / len(rows))
        assert row["relevant"] == len(rows)
    assert 0 < found.rankings["model"]["ndcg"] == pytest.approx(np.mean(ndcg))
    # of six items, item 60 has no training ratings
    assert found.rankings["model"]["coverage"] == len(shown) / 5
    assert found.per_user.set_index("user").loc[["u5", "new"], "ndcg"].isna().all()
    # three quarters of the way from 1 to 5
    assert evaluate(model, test, k=2).relevant == 4


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_popular_items_are_ranked_by_their_ratings(tmp_path):
    model = toy_model()
    counts = model.trained.counts("item")
    unrated = np.flatnonzero((dense(model)[0] == 0) & (counts > 0))
    best = unrated[np.argmax(counts[unrated])]
    (tmp_path / "one.csv").write_text(f"user,item,rating\nu1,{model.item_ids[best]},5\n")
    found = evaluate(model, read_ratings(tmp_path / "one.csv"), k=1)
    assert found.rankings["popularity"] == {"ndcg": 1, "recall": 1, "mrr": 1, "coverage": 1 / 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    save_model(folder / "toy", toy_model())
    lines = ["user,item,rating", "u1,20,5", "u4,50,1", "u5,10,4", "u9,10,2", "u1,=99,3"]
    (folder / "test.csv").write_text("\n".join(lines) + "\n")
    return folder


def asked(folder, line):
    return run("evaluate", *(word.replace("@", f"{folder}/") for word in line.split()))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_command(folder, tmp_path):
    line = "--model @toy --test @test.csv"
    shown = asked(folder, line)
    said = json.loads(asked(folder, f"{line} --json --per-user {tmp_path}/users.csv"))
    assert max(map(len, shown.splitlines())) <= 80
    assert f"{said['errors']['model']['rmse']:.4f}" in shown
    assert f"{said['rankings']['model']['ndcg']:.4f}" in shown
    assert "2 of these users and 1 of these items, which have 3 of the" in " ".join(shown.split())
    rows = list(csv.DictReader((tmp_path / "users.csv").open(newline="")))
    assert [row["user"] for row in rows] == ["u1", "u4", "u5", "u9"]
    assert rows[0]["test_ratings"] == "2" and float(rows[0]["recall"]) >= 0
    assert rows[3]["training_ratings"] == "0" and rows[3]["ndcg"] == ""
    errors_only = asked(folder, f"{line} -k 0")
    assert "NDCG" not in errors_only and "RMSE" in errors_only


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "line, words",
    [
        ("--model @toy --test @none.csv", "none.csv does not exist"),
        ("--model @none --test @test.csv", "none does not exist"),
        ("--model @toy --test @test.csv --per-user @test.csv", "--per-user .* exists; name a new"),
        ("--model @toy --test @test.csv --per-user @a.txt", "--per-user .* must end with .csv"),
        ("--model @toy --test @test.csv --relevant 9", "has no rating of 9 or more"),
        ("--model @toy --test @leak.csv", "1 of its 2 ratings are of pairs that the model was"),
        ("--model @toy --test @test.csv --sep 1", "--sep '1' cannot stand between fields"),
    ],
)
def test_what_is_wrong_is_said(folder, line, words):
    (folder / "leak.csv").write_text("user,item,rating\nu1,10,4\nu1,60,5\n")
    with pytest.raises(InputError, match=words) as caught:
        asked(folder, line)
    assert "\n" not in str(caught.value)


def test_mxnet_is_not_loaded(folder):
    code = (
        "import sys; from d2l_autorec.cli import app;"
        f"app(['evaluate', '--model', r'{folder / 'toy'}', '--test', r'{folder / 'test.csv'}'],"
        " standalone_mode=False); print('mxnet' in sys.modules, 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False", done.stderr
