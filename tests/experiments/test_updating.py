import numpy as np
import pandas as pd
import pytest

from d2l_autorec.experiments import updating
from d2l_autorec.models.recipe import Recipe

SMALL = Recipe().but(hidden=(4,), num_epochs=1, lr=0.02, draws="numpy")


@pytest.mark.parametrize("kind", list(updating.KINDS))
def test_the_three_parts(toy_ratings, kind):
    table = toy_ratings.table
    base, new, test = updating.divide(table, kind, 3)
    assert sorted([*base, *new, *test]) == list(range(1800)) and len(test) == 180
    again = updating.divide(table, kind, 3)
    assert all((ours == theirs).all() for ours, theirs in zip(again, (base, new, test)))
    users = [set(table["user"].iloc[rows]) for rows in (base, new)]
    if kind == "random":
        assert len(new) == 180 and users[0] & users[1]
    else:
        assert 90 < len(new) <= 180 and not users[0] & users[1]


def test_a_part_is_ratings_of_its_own(toy_ratings):
    rows = np.flatnonzero(toy_ratings.table["user"] > 16)[:30]
    part = updating.subset(toy_ratings, rows)
    whole = toy_ratings.table.iloc[rows]
    assert part.user_ids.tolist() == sorted(set(whole["user"]))
    for what, ids in (("user", part.user_ids), ("item", part.item_ids)):
        assert ids[part.table[what]].tolist() == whole[what].tolist()
    assert part.table["rating"].tolist() == whole["rating"].tolist()


def test_who_is_unknown_is_predicted_by_the_biases(toy_ratings):
    table = toy_ratings.table
    known = np.flatnonzero(table["user"] != 7)
    part = updating.subset(toy_ratings, known)
    model = updating.fit(part, SMALL, 0)
    asked = np.flatnonzero(table["user"] == 7)[:5]
    matrix = model.ratings.tocoo()
    mean, of_item, _ = updating.fit_biases(matrix.row, matrix.col, matrix.data, matrix.shape)
    places = [part.item_ids.tolist().index(item) for item in table["item"].iloc[asked]]
    errors = np.clip(mean + of_item[places], 1, 5) - table["rating"].iloc[asked]
    assert updating.rmse(model, toy_ratings, asked) == pytest.approx(
        np.sqrt((errors**2).mean()), rel=1e-6
    )
    rows = known[:50]
    users, items = (part.table[what].to_numpy()[:50] for what in ("user", "item"))
    errors = model.trained.predict(users, items).clip(1, 5) - table["rating"].iloc[rows]
    assert updating.rmse(model, toy_ratings, rows) == pytest.approx(
        np.sqrt((errors**2).mean()), rel=1e-6
    )


def test_one_small_run_from_start_to_summary(experiment, tmp_path, toy_ratings, monkeypatch):
    recipes = {"item-based": SMALL, "user-based": SMALL.but(by="user")}
    monkeypatch.setattr(updating, "RECIPES", recipes)
    summary = updating.updating(experiment, toy_ratings, num_splits=2)
    assert len(summary) == 12
    assert list(summary) == ["the update", "the network", "the model", "RMSE"]
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert len(runs) == 8 and runs[["before", "updated", "again"]].lt(4).all(axis=None)
    assert (runs["new_users"] > 0).tolist() == (runs["update"] == "new users").tolist()
    said = updating.answer(runs)
    own = runs[(runs["update"] == "random") & (runs["recipe"] == "user-based")]
    change = (own["updated"] - own["before"]).mean()
    assert len(said) == 2 and f"user-based {change:.4f} ±" in said[0]
