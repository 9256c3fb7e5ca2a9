import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.errors import InputError
from d2l_autorec.experiments import baselines, compare, compare_tables, contenders
from d2l_autorec.experiments.contenders import CHAPTER_AUTOREC, CONTENDERS, PRINTED_MF, Contender
from d2l_autorec.experiments.parts import split_parts, split_rows
from d2l_autorec.runtime import seed_everything

TRAIN = pd.DataFrame({"user": [0, 0, 1, 1], "item": [0, 1, 0, 2], "rating": [1.0, 2, 4, 5]})


def constant(table, shape, seed, value=3.0, num_epochs=0, watch=None):
    """Say one number to everyone; with epochs, one that rises by 1 with each."""
    for epoch in range(1, num_epochs + 1):
        if watch:
            watch(epoch, lambda users, items, now=value + epoch: np.full(len(users), now))
    return lambda users, items: np.full(len(users), value + num_epochs)


def test_the_setting_and_the_epoch_with_the_smallest_error_are_chosen(monkeypatch, toy_ratings):
    fours = toy_ratings.table.assign(rating=4.0)
    ratings = dataclasses.replace(toy_ratings, table=fours)
    monkeypatch.setitem(
        CONTENDERS, "one", Contender(constant, ({"value": 1.0}, {"value": 3.5}, {"value": 5.5}))
    )
    monkeypatch.setitem(
        CONTENDERS, "two", Contender(constant, ({"value": 0.5}, {"value": 2.0}), most_epochs=4)
    )
    trials = [
        {"model": name, "setting": json.dumps(values)}
        for name in ("one", "two")
        for values in CONTENDERS[name].settings
    ]
    tuned = pd.DataFrame({**job, **compare.try_one(ratings, job)} for job in trials)
    assert tuned["val_rmse"].tolist() == [3.0, 0.5, 1.0, 0.5, 0.0]  # 5.5 is clipped to 5
    assert json.loads(compare.best_setting(tuned, "one")) == {"value": 3.5}
    assert json.loads(compare.best_setting(tuned, "two")) == {"value": 2.0, "num_epochs": 2}
    assert compare.best_setting(tuned, "global mean") == "{}"
    shown = compare_tables.tuning(tuned)
    assert shown["setting"].tolist()[:2] == ["value 3.5", "value 5.5"]
    assert shown["best epoch"].tolist() == ["", "", "", "2", "3"]


def test_tuning_sees_no_test_rating(toy_ratings):
    """Test ratings made absurd change nothing that is chosen."""
    job = {"model": "user and item bias", "setting": "{}"}
    honest = compare.try_one(toy_ratings, job)
    table = toy_ratings.table.copy()
    table.loc[split_rows(toy_ratings, "random", 0)[1], "rating"] = 1000.0
    absurd = dataclasses.replace(toy_ratings, table=table)
    assert compare.try_one(absurd, job) == honest
    final = {**job, "split": "random", "seed": 0}
    assert compare.run_one(absurd, final)["test_rmse"] > 900


def test_baselines_by_hand():
    users, items = np.array([0, 1]), np.array([2, 1])
    assert baselines.global_mean(TRAIN, (2, 3), 0)(users, items).tolist() == [3, 3]
    predict = baselines.biases(TRAIN.assign(rating=[1.0, 2, 3, 4]), (2, 3), 0, 0, 0)
    # users differ by 2, items 0 and 1 by 1: what an additive table leaves open is filled in
    assert predict(np.array([1]), np.array([1])) == pytest.approx([4], abs=1e-3)
    shrunk = baselines.biases(TRAIN, (2, 3), 0, 1e9, 1e9)(users, items)
    assert shrunk == pytest.approx([3, 3], abs=1e-6)


def test_the_chapter_s_models_end_where_the_chapter_s_code_ends(toy_ratings):
    import mxnet as mx

    from d2l_autorec.chapter.autorec import train_autorec
    from d2l_autorec.chapter.mf import train_mf

    train, test = split_parts(toy_ratings, "random", 1)
    inputs, held_out = (mx.np.array(part.matrix.toarray()) for part in (train, test))
    _, printed = train_autorec(inputs, held_out, num_epochs=2, quiet=True)
    split_rows(toy_ratings, "random", 1)
    predict = baselines.autorec(train.table, train.shape, 1, num_epochs=2)
    found = test.rmse(test.predicted(predict))
    assert found == pytest.approx(printed.test_rmse[-1], abs=1e-5)

    columns = [
        tuple(part.table[name].to_numpy() for name in ("user", "item", "rating"))
        for part in (train, test)
    ]
    seed_everything(2)
    net, _ = train_mf(*columns, *train.shape, num_epochs=2, quiet=True)
    expected = net(mx.np.array(columns[1][0]), mx.np.array(columns[1][1])).asnumpy()
    seed_everything(2)
    predict = baselines.matrix_factorization(train.table, train.shape, 2, num_epochs=2)
    np.testing.assert_allclose(test.predicted(predict), expected, atol=1e-5)


def test_from_start_to_figure_with_a_library_missing(
    toy_ratings, experiment, tmp_path, monkeypatch
):
    monkeypatch.setattr(contenders, "find_spec", lambda name: None if name == "myfm" else 1)
    names = ("global mean", "user and item bias", CHAPTER_AUTOREC, "myFM")
    told = compare.compare(experiment, toy_ratings, 2, names)
    table = pd.read_csv(tmp_path / "summary.csv")
    assert set(table["model"]) == set(names) - {"myFM"}
    assert "Skipped because the library is not installed: myFM, SVD++ features" in told[-1]
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert runs.groupby(["split", "model"]).size().unstack("split").eq([2, 1]).all(axis=None)
    assert (runs["test_rmse"] <= runs["unclipped"] + 1e-9).all()
    assert len(pd.read_csv(tmp_path / "timing" / "runs.csv")) == 3 * 3
    record = json.loads((tmp_path / "experiment.json").read_text(encoding="utf-8"))
    assert record["answer"] == told and record["tables"] == ["summary", "tuning"]
    assert (tmp_path / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_without_its_library_a_stored_model_stays_in_the_table(
    toy_ratings, experiment, tmp_path, monkeypatch
):
    monkeypatch.setattr(contenders, "find_spec", lambda name: 1)
    three = Contender(constant, ({"value": 3.0}, {"value": 4.0}), package="one_of_theirs")
    monkeypatch.setitem(CONTENDERS, "theirs", three)
    names = ("theirs", CHAPTER_AUTOREC)
    compare.compare(experiment, toy_ratings, 2, names)
    written = {p: p.read_bytes() for p in tmp_path.rglob("*.csv")}
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    compare.compare(experiment, toy_ratings, 2, names)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.csv")} == written
    with pytest.raises(InputError, match=r"summary\.csv has 2 rows and would be left with 1"):
        compare.compare(experiment, toy_ratings, 3, names)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.csv")} == written


def test_every_tuned_model_has_the_same_budget():
    sizes = {len(contender.settings) for contender in CONTENDERS.values()}
    assert sizes == {1, 5}
    for contender in CONTENDERS.values():
        distinct = {json.dumps(values, sort_keys=True) for values in contender.settings}
        assert len(distinct) == len(contender.settings) and contender.settings[0] == {}


@pytest.mark.parametrize(
    "name", [name for name, contender in CONTENDERS.items() if contender.package]
)
def test_other_people_s_models_learn(toy_ratings, name):
    """Better than the mean of all; skipped where the library is not installed."""
    pytest.importorskip(CONTENDERS[name].package)
    train, test = split_parts(toy_ratings, "random", 0)

    def predicted(model):
        return test.predicted(model(train.table, train.shape, 0)).clip(1, 5)

    own = predicted(CONTENDERS[name].make())
    assert test.rmse(own) < test.rmse(predicted(baselines.global_mean))
    np.testing.assert_allclose(predicted(CONTENDERS[name].make()), own, rtol=1e-5)


def _runs(autorec, factorization):
    rows = [
        {"split": split, "seed": seed, "model": model, "test_rmse": value, "unclipped": value}
        for split, count in (("random", 6), ("seq-aware", 1))
        for model, values in ((CHAPTER_AUTOREC, autorec), (PRINTED_MF, factorization))
        for seed, value in enumerate(values[:count])
    ]
    return pd.DataFrame(rows)


RESAMPLED = pd.DataFrame(
    {
        "model": [CHAPTER_AUTOREC, PRINTED_MF],
        "low": [0.85, 0.86],
        "high": [0.95, 1.0],
        "less_low": [0.0, 0.005],
        "less_high": [0.0, 0.04],
    }
)
OWN = [0.9, 0.91, 0.89, 0.88, 0.92, 0.9]


def test_the_claim_holds_only_where_it_does():
    ahead = compare_tables.answer(_runs(OWN, [rmse + 0.02 for rmse in OWN]), RESAMPLED)
    assert "claim holds against" in ahead[0] and "-0.0200 ± 0.0000 (6)" in ahead[0]
    assert "of -0.0200 (-0.0400 to -0.0050) on the seq-aware split" in ahead[0]
    assert any(line.startswith("Significantly worse: MF") for line in ahead)
    mixed = [rmse + step for rmse, step in zip(OWN, (0.01, -0.01, 0.01, -0.01, 0.01, 0.0))]
    assert "around zero" not in ahead[0]
    unclear = compare_tables.answer(_runs(OWN, mixed), RESAMPLED.assign(less_low=-0.01))
    assert "(-0.0400 to +0.0100) on the seq-aware split, an interval around zero." in unclear[0]
    assert "claim does not hold against" in unclear[0]
    assert any(line.startswith("No significant difference: MF") for line in unclear)


def test_significance_takes_the_number_of_models_into_account():
    """Six differences of one sign have p = 1/32; of two models that is 1/16."""
    runs = _runs(OWN, [rmse + 0.02 for rmse in OWN])
    third = runs[runs["model"] == PRINTED_MF].assign(model="third")
    both = pd.concat([runs, third.assign(test_rmse=third["test_rmse"] - 0.04)])
    resampled = pd.concat([RESAMPLED, RESAMPLED[1:].assign(model="third")])
    told = compare_tables.answer(both, resampled)
    assert "No significant difference: third 0.8800; MF, the book's 0.9200." in told
    timings = pd.DataFrame({"model": [CHAPTER_AUTOREC, PRINTED_MF, "third"], "seconds": 1.0})
    table = compare_tables.summary(both, resampled, timings).set_index("model")
    assert table["p, Holm"].tolist() == ["0.062", "", "0.062"]
    assert table.loc[PRINTED_MF, "seq-aware less AutoRec"] == "+0.0200 (+0.0050 to +0.0400)"
    assert table.loc["third", "seq-aware less AutoRec"].startswith("-0.0200 (")


def test_users_are_resampled_beside_the_chapter(toy_ratings, monkeypatch):
    monkeypatch.setitem(CONTENDERS, CHAPTER_AUTOREC, Contender(constant))
    monkeypatch.setitem(CONTENDERS, "far", Contender(constant))
    same = compare.resample_users(toy_ratings, {"model": CHAPTER_AUTOREC, "setting": "{}"})
    assert same["less_low"] == same["less_high"] == 0
    far = compare.resample_users(toy_ratings, {"model": "far", "setting": '{"value": 9.0}'})
    _, test_rows = split_rows(toy_ratings, "seq-aware", 0)
    stars = toy_ratings.table.iloc[test_rows]["rating"].to_numpy(float)
    assert same["low"] < np.sqrt(np.mean((stars - 3) ** 2)) < same["high"]
    assert far["low"] < np.sqrt(np.mean((stars - 5) ** 2)) < far["high"]  # clipped to 5
    gap = np.sqrt(np.mean((stars - 5) ** 2)) - np.sqrt(np.mean((stars - 3) ** 2))
    assert far["less_low"] < gap < far["less_high"]
