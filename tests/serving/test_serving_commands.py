"""The commands that ask a model, as a person in a terminal and as a program meets them."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest
from toy_models import run, toy_model

from d2l_autorec.cli.tables import csv_cell, plain
from d2l_autorec.errors import InputError
from d2l_autorec.serving.folder import save_model

ODD = [
    "\x1b[31mRed\x1b[0m\x07 [bold]title[/bold]",
    "=HYPERLINK(1)",
    "two\nlines\r\x9b1m",
    "A title that is far too long for any terminal of eighty columns, however it is set " * 2,
    "left \u202eto right\u202c",
    None,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    for by in ("item", "user"):
        model = toy_model(by)
        items = model.items.assign(title=ODD)
        save_model(folder / by, dataclasses.replace(model, items=items))
    (folder / "own.csv").write_text("item,rating\n10,5\n20,1\n")
    (folder / "pairs.csv").write_text("u1,10\nu2,20\n")
    (folder / "users").write_text("u2\nu5\n")
    return folder


def asked(folder, line, by="item"):
    command, *options = [word.replace("@", f"{folder}/") for word in line.split()]
    return run(command, "--model", folder / by, *options)


LINES = [
    "recommend --user u5",
    "recommend --users @users -n 2",
    "recommend --all --min-ratings 0",
    "predict --user u1 --item 10",
    "predict --pairs @pairs.csv",
    "similar --item 20",
    "similar --user u2 -n 2",
    "explain --user u2 --item 10",
    "new-user --ratings @own.csv",
]


@pytest.mark.parametrize("by", ["item", "user"])
@pytest.mark.parametrize("line", LINES)
def test_every_command_in_all_three_forms(line, by, folder):
    table = asked(folder, line, by)
    assert max(map(len, table.splitlines())) <= 80
    assert all(c.isprintable() for c in table.replace("\n", ""))
    said = json.loads(asked(folder, f"{line} --json", by))
    assert said["command"] == line.split()[0]
    rows = list(csv.DictReader(io.StringIO(asked(folder, f"{line} --csv", by), newline="")))
    assert len(rows) == len(said["rows"]) > 0
    for row, told in zip(rows, said["rows"]):
        assert list(row) == list(told)
        assert told.get("title") in ODD
        assert not row.get("title", "").startswith("=")
        for name in ("user", "item"):
            assert row.get(name) == (str(told[name]) if name in told else None)


def test_what_is_printed(folder):
    said = json.loads(asked(folder, "recommend --user u5 --json"))["rows"]
    best, second = said[:2]
    table = asked(folder, "recommend --user u5").splitlines()
    assert str(best["item"]) in table[3] and f"{best['prediction']:.2f}" in table[3]
    assert f"{second['prediction']:.2f}" in table[4]
    everything = asked(folder, "recommend --user u5 --csv")
    assert "'=HYPERLINK(1)" in everything
    whole = asked(folder, "similar --item 20 -n 9")
    assert "[31mRed[0m [bold]title[/bold] (1991)" in whole and "…" in whole
    assert "Compared: the hidden codes of the items." in whole
    assert "output weights" in asked(folder, "similar --item 20", "user")
    explained = asked(folder, "explain --user u1 --item 60")
    assert "the 0 ratings" in explained and "without it" not in explained


def test_all_users_as_csv_in_blocks(folder, monkeypatch):
    whole = asked(folder, "recommend --all --csv")
    monkeypatch.setattr("d2l_autorec.serving.recommend._CELLS", 1)  # one user at a time
    monkeypatch.setattr("d2l_autorec.serving.recommend.recommend", None)  # which holds all
    assert asked(folder, "recommend --all --csv") == whole
    assert whole.startswith("user,rank,item,title,") and whole.count("rank") == 1


def test_texts_are_rendered_harmless():
    assert plain("a\x1b]0;x\x07b\u202e\x9bc\td\ne") == "a]0;xbc d e"
    assert plain("Amélie, 愛 [b]") == "Amélie, 愛 [b]"
    for text in ("=1", "+1", "-1", "@x", " =1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"):
        assert csv_cell(text) == "'" + text
    for text in ("\t=1", "\r=1", "\n=1"):
        assert csv_cell(text) == "' =1"
    assert csv_cell("\x1b[2J\u202ex\n") == "[2Jx "
    assert (csv_cell("a=1"), csv_cell(-1.5), csv_cell(None)) == ("a=1", -1.5, None)


def test_long_ids_take_more_lines_and_the_numbers_stay(tmp_path):
    model = toy_model(titles=False)
    ids = np.array([f"{code:x}" * 36 for code in range(1, 7)])
    save_model(tmp_path / "item", dataclasses.replace(model, user_ids=ids[:5], item_ids=ids))
    table = asked(tmp_path, "recommend --all -n 1").splitlines()
    assert max(map(len, table)) <= 80 and "predicted   ratings" in table[1]
    best = json.loads(asked(tmp_path, "recommend --all -n 1 --json"))["rows"][1]
    first = next(i for i, line in enumerate(table) if line[2] == best["user"][0])
    assert f"{best['prediction']:.2f}" in table[first]
    whole = [line.split() for line in table[first : first + 2]]
    assert [whole[0][0] + whole[1][0], whole[0][2] + whole[1][1]] == [best["user"], best["item"]]


def test_wide_characters_are_given_their_room(tmp_path):
    model = toy_model()
    wide = model.items.assign(title=["愛" * 9] * 6)
    save_model(tmp_path / "item", dataclasses.replace(model, items=wide))
    assert "愛" * 9 + " (1991)" in asked(tmp_path, "predict --user u1 --item 10")


def test_the_rank_leads_and_no_rows_are_said(folder):
    heading, _, best = asked(folder, "similar --user u2 -n 1").splitlines()[1:4]
    assert heading.split() == ["user", "similarity", "ratings"] and best.split()[0] == "1"
    assert "Nothing is left" in asked(folder, "recommend --user u1 --min-ratings 99")


@pytest.mark.parametrize(
    "line, words",
    [
        ("recommend --user u1 --csv --json", "--json and --csv exclude each other"),
        ("recommend", "give one of --user ID, --users FILE and --all"),
        ("recommend --user u1 --all", "give one of"),
        ("recommend --user u77", "no user 'u77'"),
        ("recommend --users @none", "no file"),
        ("predict --user u1", "give --user ID and --item ID, or --pairs FILE"),
        ("predict --user u1 --pairs @pairs.csv", "or --pairs FILE"),
        ("predict --user= --pairs @pairs.csv", "or --pairs FILE"),  # an empty id is one too
        ("similar", "give one of --item ID and --user ID"),
        ("explain --user u1 --item x", "no item 'x'"),
        ("new-user --ratings @users", "stands between the fields; write item and rating"),
    ],
)
def test_what_is_wrong_is_said(line, words, folder):
    with pytest.raises(InputError, match=words) as caught:
        asked(folder, line)
    assert "\n" not in str(caught.value)
