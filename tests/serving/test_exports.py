"""Exports of Letterboxd, IMDb and Goodreads: read, matched without a guess, and mapped."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from toy_models import random_network, run, toy_model

from d2l_autorec.data.blobs import file_blob
from d2l_autorec.data.exports import read_export, read_links
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.serving.files import read_own_export
from d2l_autorec.serving.folder import save_model
from d2l_autorec.serving.matching import keys_of, match_export, normal
from d2l_autorec.serving.model import Model

CASES = Path(__file__).parents[1] / "data" / "cases" / "exports"
TITLES = {
    11: ("Matrix, The", 1999),
    12: ("City of Lost Children, The (Cité des enfants perdus, La)", 1995),
    13: ("Seven (a.k.a. Se7en)", 1995),
    14: ("Amélie", 2001),
    15: ("Fargo", 1996),
    16: ("Sabrina", 1954),
    17: ("Sabrina", 1995),
    18: ("Hamlet", 1996),
    19: ("Hamlet (Shakespeare's Hamlet)", 1996),
    20: ("The Good, the Bad and the Ugly", 1966),
    21: ("Toy Story", 1995),
    22: ("Heat", 1995),
    23: ("Persona", 1966),
    24: ("Avventura, L'", 1960),
    25: (None, None),
}


def film_model(titles=TITLES, low=1.0, high=5.0, ids=None):
    """Make a model of these items, each rated by some of four users."""
    draws = np.random.default_rng(1)
    matrix = sparse.csr_matrix(draws.integers(1, 6, (len(titles), 4)), dtype=np.float32)
    recipe = Recipe().but(hidden=(3,))
    items = pd.DataFrame({"item_id": list(titles)})
    items["title"] = [title for title, _ in titles.values()]
    items["year"] = pd.array([year for _, year in titles.values()], dtype="Int64")
    items["genres"] = ""
    trained = TrainedModel(recipe, (random_network(recipe, matrix, draws),), (1.0,), matrix)
    ids = np.array(list(titles) if ids is None else ids)
    return Model(trained, np.arange(4), ids, items, low, high, {})


def exported(name):
    return read_export(file_blob(CASES / name))


def matched(model, name, links=None):
    match = match_export(model, exported(name), links)
    return dict(zip(match.ratings["item"].tolist(), match.ratings["rating"].tolist())), match


def test_letterboxd():
    export = exported("letterboxd.csv")
    assert (export.site.name, len(export.entries), export.not_rated) == ("Letterboxd", 13, 1)
    found, match = matched(film_model(), "letterboxd.csv")
    # 0.5 to 5 on 1 to 5: 1 + (r - 0.5) * 8 / 9; of the film rated twice, the last
    stars = {11: 3, 13: 4.5, 12: 4, 14: 0.5, 15: 3, 16: 2, 20: 3.5, 23: 4, 24: 4}
    assert found == pytest.approx({item: 1 + (r - 0.5) * 8 / 9 for item, r in stars.items()})
    assert found[14] == 1
    assert match.notes == (
        "line 6, 'Fargo' (1997): matched with the year 1996",
        "line 12, 'Persona': matched by the title alone; there is no year to compare",
    )
    assert match.unmatched.to_dict("records") == [
        {
            "line": 8,
            "title": "Hamlet",
            "year": 1996,
            "rating": 2.0,
            "reason": "it may be any of the items 18, 19",
        },
        {
            "line": 10,
            "title": "Toy Storey",
            "year": 1995,
            "rating": 1.0,
            "reason": "no such title; the nearest is 'Toy Story' (1995)",
        },
        {
            "line": 11,
            "title": "Heat",
            "year": 1999,
            "rating": 1.0,
            "reason": "the model has this title from 1995",
        },
    ]


def test_imdb_by_original_title_by_link_and_by_id():
    found, match = matched(film_model(), "imdb.csv")
    assert found == {11: 5.0, 12: 1.0}
    assert match.unmatched["reason"].tolist() == ["no such title"]
    links = read_links(file_blob(CASES / "links.csv"))
    assert links == {"tt0112682": "12", "tt0133093": "11"}
    without = film_model({item: (f"Other {item}", 1900) for item in TITLES})
    assert matched(without, "imdb.csv", links)[0] == {11: 5.0, 12: 1.0}
    consts = [f"tt{number:07d}" for number in range(133080, 133095)]  # the 14th is The Matrix
    own = dataclasses.replace(without, item_ids=np.array(consts), items=None)
    assert matched(own, "imdb.csv")[0] == {"tt0133093": 5.0}


def test_goodreads_by_title_and_by_isbn():
    export = exported("goodreads.csv")
    assert export.not_rated == 1 and [entry.line for entry in export.entries] == [2, 4]
    assert export.entries[0].ids == ("0439785960", "9780439785969")
    assert [entry.year for entry in export.entries] == [2005, 1999]
    titles = {1: ("Half-Made Prince, The", 2005), 2: ("Made Up, #6", 2005), 3: ("X", 1999)}
    assert matched(film_model(titles, 0, 10), "goodreads.csv")[0] == {1: 10.0}
    books = film_model(titles, ids=["000000000X", "0439785960", "080442957X"])
    assert matched(books, "goodreads.csv")[0] == {"0439785960": 5.0, "080442957X": 1.0}


def entry_file(tmp_path, *rows):
    path = tmp_path / "ratings.csv"
    lines = [f"2024-01-01,{name},{year},u,{rating}" for name, year, rating in rows]
    path.write_text("\n".join(["Date,Name,Year,Letterboxd URI,Rating", *lines]), encoding="utf-8")
    return path


def reasons(tmp_path, titles, *rows):
    match = match_export(film_model(titles), read_export(file_blob(entry_file(tmp_path, *rows))))
    return match.ratings["item"].tolist(), match.unmatched["reason"].tolist(), match.notes


ONE = {1: ("Solaris", 1972), 2: ("Sure", 2000)}


@pytest.mark.parametrize(
    "titles, row, item, said",
    [
        (ONE, ("Solaris", 1973, 3), 1, "matched with the year 1972"),
        (ONE, ("Solaris", 1974, 3), None, "the model has this title from 1972"),
        ({**ONE, 3: ("Solaris", 1974)}, ("Solaris", 1973, 3), None, "any of the items 1, 3"),
        ({**ONE, 3: ("Solaris", 2002)}, ("Solaris", 1973, 3), 1, "with the year 1972"),
        ({**ONE, 3: ("Solaris", 2002)}, ("Solaris", "", 3), None, "any of the items 1, 3"),
        ({**ONE, 3: ("Solaris", None)}, ("Solaris", 1973, 3), None, "any of the items 1, 3"),
        ({1: ("Solaris", None), 2: ("Sure", 2000)}, ("Solaris", 1973, 3), 1, "no year to compare"),
        ({1: ("Solyaris (Solaris)", 1972), 2: ("Sure", 2000)}, ("Solaris", 1972, 3), 1, None),
        (  # the title itself comes before what brackets hold
            {1: ("Solyaris (Solaris)", 1972), 2: ("Sure", 2000), 3: ("Solaris", 1972)},
            ("Solaris", 1972, 3),
            3,
            None,
        ),
        (  # a series that both have in brackets is no title
            {1: ("One (Long Series)", 1972), 2: ("Sure", 2000)},
            ("Two (Long Series)", 1972, 3),
            None,
            "no such title",
        ),
    ],
)
def test_title_and_year(tmp_path, titles, row, item, said):
    items, left, notes = reasons(tmp_path, titles, row, ("Sure", 2000, 3))
    assert items == ([2] if item is None else [item, 2])
    assert len(left) == (item is None)
    assert (said is None and not notes) or said in " ".join([*left, *notes])


def test_two_films_for_one_item(tmp_path):
    titles = {1: ("Solaris (Solyaris)", 1972), 2: ("Sure", 2000)}
    rows = ("Solaris", 1972, 3), ("Solyaris", 1972, 4), ("Sure", 2000, 5), ("Sure", 2001, 1)
    items, left, _ = reasons(tmp_path, titles, *rows)
    assert items == [2]
    assert left == [
        "item 1 fits line 3 as well",
        "item 1 fits line 2 as well",
        "item 2 fits line 4 better",
    ]


def test_titles_in_their_plain_form():
    assert normal("  Amélie & the  «Œuvre»: Łódź! ") == "amelie and the oeuvre lodz"
    assert normal("L\u2019Avventura") == normal("L'AVVENTURA") == "lavventura"
    assert normal("千と千尋の神隠し") == normal("千と千尋の神隠し") != ""
    assert normal("???") == "???"
    assert keys_of("Matrix, The (1999)") == ({"matrix the", "the matrix"}, set())
    assert keys_of("Seven (A.K.A. Se7en)")[1] == {"se7en"}
    assert keys_of("(500) Days of Summer") == ({"500 days of summer", "days of summer"}, set())
    assert "lavventura" in keys_of("Avventura, L' (Adventure, The)")[0]
    assert keys_of("Avventura, L' (Adventure, The)")[1] == {"the adventure"}


@pytest.mark.parametrize(
    "rows, words",
    [
        ([("A", 2000, 6)], r"line 2: the rating '6' is not from 0.5 to 5, as Letterboxd rates"),
        ([("A", 2000, 3), ("B", 2000, "x")], r"line 3: the rating 'x' is not"),
        ([("A", 2000, "nan")], r"line 2: the rating 'nan' is not"),
        ([("", 2000, 3)], r"line 2: the entry has no title"),
        ([("A", 2000, "")], r"no entry has a rating"),
    ],
)
def test_what_cannot_be_read(tmp_path, rows, words):
    with pytest.raises(InputError, match=words):
        read_export(file_blob(entry_file(tmp_path, *rows)))


def test_what_cannot_be_matched(tmp_path):
    export = read_export(file_blob(entry_file(tmp_path, ("A", 2000, 3))))
    with pytest.raises(InputError, match=r"None of the 1 ratings from Letterboxd.*line 2, 'A'"):
        match_export(film_model(), export)
    with pytest.raises(InputError, match=r"no titles to match with.*--titles FILE"):
        match_export(toy_model(titles=False), export)
    for text in ("movieId,tmdbId\n1,2\n", "movieId,imdbId\n1,x\n", "movieId,imdbId\n1\n"):
        (tmp_path / "links.csv").write_text(text)
        with pytest.raises(InputError, match=r"links.csv, line [12]: "):
            read_links(file_blob(tmp_path / "links.csv"))


def test_other_files_and_what_is_asked_for_are_read_as_before(tmp_path):
    (tmp_path / "own.csv").write_text("item,rating\n11,5\n")
    assert read_own_export(tmp_path / "own.csv") is None
    assert read_own_export(CASES / "imdb.csv").site.name == "IMDb"
    assert read_own_export(CASES / "imdb.csv", ReadOptions(columns={"item": "Const"})) is None
    with zipfile.ZipFile(tmp_path / "letterboxd.zip", "w") as archive:
        archive.write(CASES / "letterboxd.csv", "ratings.csv")
        archive.writestr("watched.csv", "Date,Name,Year,Letterboxd URI\n")
    assert read_own_export(tmp_path / "letterboxd.zip").site.name == "Letterboxd"


def test_the_command(tmp_path):
    save_model(tmp_path / "model", film_model())

    def asked(*more):
        return run("new-user", "--model", tmp_path / "model", "--min-ratings", 0, *more)

    own = ["--ratings", CASES / "letterboxd.csv"]
    text = " ".join(asked(*own).split())
    assert "Letterboxd: 10 of 13 ratings matched; 0.5 to 5 mapped linearly to 1 to 5." in text
    assert "Matched: line 6, 'Fargo' (1997): matched with the year 1996." in text
    assert "Not matched: line 11, Heat (1999): the model has this title from 1995." in text
    said = json.loads(asked(*own, "--json"))["export"]
    assert said["matched"] == 10 and said["not_rated"] == 1 and said["mapped_to"] == [1, 5]
    assert [row["line"] for row in said["unmatched"]] == [8, 10, 11] and len(said["notes"]) == 2
    imdb = ["--ratings", CASES / "imdb.csv", "--links", CASES / "links.csv"]
    assert "IMDb: 2 of 3 ratings matched; 1 to 10 mapped linearly to 1 to 5." in asked(*imdb)
    (tmp_path / "own.csv").write_text("item,rating\n11,5\n")
    with pytest.raises(InputError, match="--links is for an export of IMDb"):
        asked("--ratings", tmp_path / "own.csv", *imdb[2:])
    assert "Not matched" not in asked(*own, "--csv")  # that goes to standard error
