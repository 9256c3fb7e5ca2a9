"""Which items are recommended, and how different those of a list are."""

import dataclasses
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from toy_models import run, toy_blend, toy_model

from d2l_autorec.errors import InputError
from d2l_autorec.serving.filters import Filters, parse_years
from d2l_autorec.serving.folder import save_model
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.recommend import recommend
from d2l_autorec.serving.similar import _mean_cosine, diversity, similar


def chosen(**filters):
    """Give the items that somebody who has rated nothing may be recommended."""
    return recommend(toy_model(), ["u5"], 99, 0, Filters(**filters))["item"].tolist()


@pytest.mark.parametrize(
    "filters, items",
    [
        ({}, [10, 20, 30, 40, 50, 60]),
        ({"candidates": ["20", 60]}, [20, 60]),
        ({"exclude": ["20", 60]}, [10, 30, 40, 50]),
        ({"candidates": [10, 20], "exclude": [20]}, [10]),
        ({"genres": ["drama"]}, [10, 20]),
        ({"genres": ["WAR", " Comedy "]}, [20, 50]),
        ({"years": (1992, 1995)}, [20, 50]),
        ({"years": (1992, 1995), "genres": ["War"]}, [50]),
        ({"years": (2000, 2001)}, []),
    ],
)
def test_what_is_left(filters, items):
    assert sorted(chosen(**filters)) == items
    whole = chosen()
    assert chosen(**filters) == [item for item in whole if item in items]  # in one order


def test_a_new_user_is_filtered_alike():
    rated = pd.DataFrame({"item": [20], "rating": [4.0]})
    table = new_user(toy_model(), rated, 99, 0, Filters(genres=["Drama"]))
    assert table["item"].tolist() == [10]


def test_what_is_rated_is_never_recommended_though_it_is_a_candidate():
    assert recommend(toy_model(), ["u1"], 9, 0, Filters(candidates=[10])).empty  # u1 rated it


def test_unknown_ids_are_told_and_none_known_is_refused():
    with pytest.warns(UserWarning, match="not know 1 of the 2 candidates.*'11'; the nearest ids"):
        assert chosen(candidates=[10, 11]) == [10]
    with pytest.warns(UserWarning, match="not know 1 of the 1 excluded items"):
        assert len(chosen(exclude=[11])) == 6
    with pytest.raises(InputError, match="none of the 2 candidates, '11', '12'; the nearest"):
        chosen(candidates=[11, 12])


def test_unknown_genres_are_listed_with_the_nearest():
    with pytest.raises(InputError) as refused:
        chosen(genres=["Dramma", "War", "x"])
    assert str(refused.value) == (
        "The model knows no genre 'Dramma', 'x'; the nearest it knows: Drama; its genres are "
        "Comedy, Drama, War, Western."
    )


@pytest.mark.parametrize(
    "column, filters", [("genres", {"genres": ["x"]}), ("year", {"years": (1, 2)})]
)
def test_a_model_without_genres_or_years_says_what_to_do(column, filters):
    model = toy_model()
    without = dataclasses.replace(model, items=model.items.assign(**{column: None}))
    for asked in (without, toy_model(titles=False)):
        with pytest.raises(InputError, match=rf"knows no {column}.*--titles FILE.*{column}\."):
            recommend(asked, ["u5"], filters=Filters(**filters))


def test_genres_between_commas():
    model = toy_model()
    texts = ["Drama, War", "Sword, Sorcery", "", None, "War", "Western"]
    model = dataclasses.replace(model, items=model.items.assign(genres=texts))
    assert model.genres[:3] == [["Drama", "War"], ["Sword", "Sorcery"], []]
    texts[4] = "Sword, Sorcery|War"  # a comma parts nothing where "|" does
    model = dataclasses.replace(model, items=model.items.assign(genres=texts))
    assert model.genres[4] == ["Sword, Sorcery", "War"]


def test_years():
    assert parse_years("1994") == (1994, 1994) and parse_years(" 1990 - 1999 ") == (1990, 1999)
    for text in ("94", "1990-", "1990-99", "", "x", "١٩٩٤"):
        with pytest.raises(InputError, match="is no year; write 1994 or 1990-1999"):
            parse_years(text)
    with pytest.raises(InputError, match="write 1990-1999"):
        parse_years("1999-1990")


def test_the_mean_cosine_by_hand():
    """Three pairs with the cosines 0, 0.6 and 0.8."""
    unit = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    assert _mean_cosine(unit) == pytest.approx(1.4 / 3)
    assert _mean_cosine(unit[[0, 0, 0]]) == pytest.approx(1)
    assert _mean_cosine(np.array([[1.0, 0.0], [-1.0, 0.0]])) == -1
    assert np.isnan(_mean_cosine(unit[:1]))
    unit[1] = 0  # what is like nothing: the cosines are 0, 0.6 and 0
    assert _mean_cosine(unit) == pytest.approx(0.6 / 3)


@pytest.mark.parametrize("model", [toy_model(), toy_model("user"), toy_blend()])
def test_diversity_is_the_mean_of_one_less_the_similarity(model):
    table = recommend(model, n=3, min_ratings=0)
    lists = diversity(model, table)
    assert lists["user"].tolist() == list(dict.fromkeys(table["user"]))
    for row in lists.itertuples():
        items = table[table["user"] == row.user]["item"].tolist()
        pairs = [
            1 - similar(model, "item", a, 9, 0).set_index("item")["similarity"][b]
            for a, b in itertools.combinations(items, 2)
        ]
        expected = sum(pairs) / len(pairs) if pairs else np.nan
        assert row.intra_list == pytest.approx(expected, abs=1e-5, nan_ok=True)
        genres = table[table["user"] == row.user]["genres"].dropna().str.split("|").sum()
        assert row.num_genres == len({name for name in genres if name})


def test_diversity_of_one_of_none_and_without_genres():
    model = toy_model(titles=False)
    one = diversity(model, recommend(model, ["u5"], 1, 0))
    assert np.isnan(one["intra_list"][0]) and one["num_genres"].tolist() == [-1]
    assert diversity(model, recommend(model, ["u1"], 1, 99)).empty
    rated = pd.DataFrame({"item": [20], "rating": [4.0]})
    assert list(diversity(model, new_user(model, rated))) == ["intra_list", "num_genres"]


def test_the_command(tmp_path):
    save_model(tmp_path / "model", toy_model())
    (tmp_path / "some").write_text("10\n20\n50\n")

    def asked(*more):
        return run("recommend", "--model", tmp_path / "model", "--user", "u5", *more)

    options = ["--candidates", tmp_path / "some", "--year", "1991-1992"]
    said = json.loads(asked(*options, "--genre", "Comedy", "--genre", "Drama", "--json"))
    assert sorted(row["item"] for row in said["rows"]) == [10, 20]
    [only] = said["diversity"]["lists"]
    assert said["diversity"]["compared"] == "hidden codes" and only["num_genres"] == 2
    table = asked(*options)
    assert f"Diversity: {only['intra_list']:.2f} (0: all alike" in table
    assert "genres: 2." in table
    assert "a wider choice of items may leave more" in " ".join(
        asked("--exclude", tmp_path / "some", "--genre", "Drama").split()
    )
