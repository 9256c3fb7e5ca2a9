"""The splits of the literature, and recipes that are searched inside a training part."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.data.split import holdout_split
from d2l_autorec.experiments import baselines, canonical, canonical_tables, contenders, nested
from d2l_autorec.experiments.canonical_tables import (
    BLEND_INSIDE,
    PRINTED,
    SINGLE_INSIDE,
    WITH_MYFM,
)
from d2l_autorec.experiments.contenders import (
    BEST,
    CHAPTER_AUTOREC,
    CONTENDERS,
    MORE,
    SINGLE,
    Contender,
)
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.experiments.parts import split_rows
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training.blend import blend_weights
from d2l_autorec.training.fit import fit_network

SMALL = Recipe().but(objective="sum", lam=1.0, hidden=(3,), batch_size=64, clip="ratings", lr=0.02)
RECIPES = {
    "item-based": SMALL.but(num_epochs=3),
    "longer": SMALL.but(num_epochs=40),
    "user-based": SMALL.but(by="user", num_epochs=20),
}
JOB = {"split": "random", "seed": 1}


@pytest.fixture
def candidates(monkeypatch):
    monkeypatch.setattr(nested, "CANDIDATES", RECIPES)
    pool = {name: RECIPES[name] for name in ("item-based", "user-based")}
    monkeypatch.setattr(nested, "POOL", pool)


def test_the_search_inside_is_what_a_loop_by_hand_gives(candidates, toy_ratings, monkeypatch):
    means = Contender(baselines.global_mean)
    monkeypatch.setitem(CONTENDERS, "means", means)
    found = nested.search_inside(toy_ratings, JOB, others=["means"])
    table, test = (toy_ratings.table.iloc[rows] for rows in split_rows(toy_ratings, "random", 1))
    kept, held_out = (table.iloc[rows] for rows in holdout_split(len(table), 0.1, 1))
    matrix = {len(part): interaction_csr(part, 20, 300) for part in (table, kept, held_out)}

    def stars(model, part):
        return model.predict(part["user"].to_numpy(), part["item"].to_numpy())

    def rmse(predicted, part):
        return np.sqrt(np.mean((predicted.clip(1, 5) - part["rating"].to_numpy(float)) ** 2))

    beside, again = {}, {}
    for name, recipe in RECIPES.items():
        fitted = fit_network(matrix[len(kept)], recipe, 1, validation=matrix[len(held_out)])
        beside[name] = stars(fitted, held_out)
        refitted = fit_network(matrix[len(table)], recipe, 1, stop=fitted.epoch)
        again[name] = stars(refitted, test)
    validation = {name: rmse(predicted, held_out) for name, predicted in beside.items()}
    chosen = min(validation, key=validation.get)
    assert found["single recipe"] == chosen != "item-based"
    assert found["single, searched inside"] == pytest.approx(rmse(again[chosen], test))
    assert found["single, as published"] == pytest.approx(rmse(again["item-based"], test))
    beside["means"] = np.full(len(held_out), kept["rating"].mean())
    again["means"] = np.full(len(test), table["rating"].mean())
    for what, names in (
        ("searched inside", [*RECIPES]),
        ("as published", [*nested.POOL]),
        ("searched inside, with others", [*RECIPES, "means"]),
    ):
        weights = blend_weights([beside[name] for name in names], held_out["rating"])
        blended = sum(w * again[name] for w, name in zip(weights, names))
        assert found[f"blend, {what}"] == pytest.approx(rmse(blended, test))
        if what == "searched inside":
            assert found["recipes in the blend"] == np.count_nonzero(weights)


def test_test_ratings_choose_nothing(candidates, toy_ratings, monkeypatch):
    """Test ratings made absurd change the scores, and neither choice nor weights."""
    weights = []

    def watched(*args):
        weights.append(blend_weights(*args))
        return weights[-1]

    monkeypatch.setattr(nested, "blend_weights", watched)
    honest = nested.search_inside(toy_ratings, JOB)
    table = toy_ratings.table.copy()
    table.loc[split_rows(toy_ratings, "random", 1)[1], "rating"] = 1000.0
    absurd = nested.search_inside(dataclasses.replace(toy_ratings, table=table), JOB)
    for before, after in zip(weights[:2], weights[2:]):
        np.testing.assert_array_equal(before, after)
    for name in ("single recipe", "recipes in the blend"):
        assert absurd[name] == honest[name]
    assert absurd["blend, searched inside"] > 900


def inside(single, single_published, blend, blend_published, **more):
    return pd.DataFrame(
        {
            **more,
            "split": "u1",
            "single, searched inside": single,
            "single, as published": single_published,
            "blend, searched inside": blend,
            "blend, as published": blend_published,
        }
    )


def test_what_the_earlier_search_was_worth():
    runs = inside([0.9, 0.92], [0.89, 0.9], [0.88, 0.88], [0.87, 0.86])
    table = nested.summary(runs).set_index("recipes")
    assert table.loc["single, searched inside", "less as published"].startswith("0.0150 ± ")
    assert table.loc["blend, as published", "test RMSE"].startswith("0.8650 ± ")
    told = nested.answer(runs)
    assert "of a single AutoRec changes by 0.0150 ± " in told
    assert told.endswith("that of a blend by 0.0150 ± 0.0635 (2).")


def runs(blend):
    folds = ("u1", "u2", "u3", "u4", "u5", "ua")
    rows = [
        {"split": split, "model": model, "test_rmse": rmse + 0.01 * (split == "u2")}
        for split in folds
        for model, rmse in ((CHAPTER_AUTOREC, 0.92), (BEST, blend), (SINGLE, 0.89), ("myFM", 0.9))
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("blend, reached", [(0.885, False), (0.8807, True)])
def test_the_tables_and_the_answer(blend, reached):
    searched = inside(
        [0.91], [0.89], [0.889], [0.88], **{"blend, searched inside, with others": [blend]}
    )
    beside = canonical_tables.beside_published(runs(0.886), searched)
    rmses = beside["test RMSE on u1"].astype(float)
    assert rmses.is_monotonic_increasing and len(beside) == 4 + 3 + len(PRINTED)
    here = beside.set_index("model").loc[beside["source"].eq("run here").to_numpy()]
    assert here.loc[WITH_MYFM, "test RMSE on u1"] == f"{blend:.4f}"
    assert here.loc[BLEND_INSIDE, "test RMSE on u1"] == "0.8890"
    assert here.loc[SINGLE, "test RMSE on u1"] == "0.8900"
    assert here.loc[SINGLE_INSIDE, "how was it chosen"] == "recipe and epoch: validation"
    assert "saw ratings tested here" in here.loc[BEST, "how was it chosen"]
    table = canonical_tables.summary(runs(0.886), searched).set_index("model")
    assert [*table.columns] == ["u1", "u2", "u3", "u4", "u5", "ua", "u1 to u5"]
    assert table.loc["myFM", "u1 to u5"].startswith("0.9020 ± 0.0056")
    assert table.loc["myFM", "u2"] == "0.9100" and table.loc[SINGLE_INSIDE].isna().sum() == 6
    told = canonical_tables.answer(runs(0.886), searched)
    assert ("not reached here" in told[1]) is not reached
    assert f"a blend 0.8890, with myFM as one member more {blend:.4f}." in told[0]
    assert "0.8808" in told[1] and "0.8889 (GLocal-K" in told[1]
    assert "a difference of -0.0340 ± 0.0000 (5)" in told[2]


def test_from_start_to_page_with_a_library_missing(
    candidates, toy_ratings, experiment, tmp_path, monkeypatch
):
    def constant(table, shape, seed):
        return lambda users, items: np.full(len(users), 3.0)

    def halves(name, ratings, ratio):
        rows = np.arange(len(ratings.table))
        return rows[rows % 5 != int(name[1:])], rows[rows % 5 == int(name[1:])]

    monkeypatch.setattr("d2l_autorec.experiments.parts.named_split", halves)
    monkeypatch.setattr(contenders, "find_spec", lambda name: None if name == "myfm" else 1)
    for group in (CONTENDERS, MORE):
        for name in set(group) & set(canonical.MODELS):
            monkeypatch.setitem(group, name, Contender(constant, package=group[name].package))
    splits = ("u1", "u2")
    told = canonical.canonical(experiment, toy_ratings, splits, blends=1)
    assert told[-1] == "Skipped because the library is not installed: myFM, myFM, SVD++ features."
    found = pd.read_csv(tmp_path / "runs.csv")
    assert len(found) == 2 * (len(canonical.MODELS) - 2) - 1  # the blend on u1 only
    assert found.loc[found["model"] == BEST, "split"].tolist() == ["u1"]
    stars = toy_ratings.table["rating"].to_numpy(float)[1::5]
    expected = np.sqrt(np.mean((stars - 3) ** 2))
    assert found.loc[0, "test_rmse"] == pytest.approx(expected) and found.loc[0, "split"] == "u1"
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| how was it chosen |" in page and "ua and ub ten ratings" in page
    quick = tmp_path / "quick"
    smoke_run = Experiment(quick, quiet=True, quick=True, processes=1)
    canonical.canonical(smoke_run, toy_ratings, ("u1",), canonical.QUICK)
    assert "supports no conclusion" in (quick / "README.md").read_text(encoding="utf-8")
    assert not (quick / "nested").exists()
