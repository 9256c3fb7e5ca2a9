"""Files as people bring them from work: read right, or asked about with a remedy that helps."""

import json
import re

import pytest

from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.options import ReadOptions, parse_columns
from d2l_autorec.data.values import without_signs
from d2l_autorec.errors import InputError

ROWS = [(f"u{k % 7}", f"f{k % 5}", 1 + k % 4) for k in range(35)]  # each pair once


def rated(path, text, **options):
    """Return ratings as {(user, item): rating}, and what was understood."""
    path.write_text(text, encoding="utf-8")
    read = read_ratings(path, ReadOptions(**options), allow_nonpositive=True)
    at = read.table
    users, items = read.user_ids[at["user"]], read.item_ids[at["item"]]
    return dict(zip(zip(users.tolist(), items.tolist()), at["rating"].tolist())), read.understood


def lines(rows, first="user,item,rating"):
    return "\n".join([*([first] if first else []), *(",".join(map(str, row)) for row in rows)])


def refused(path, text, words, **options):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        read_ratings(path, ReadOptions(**options))
    assert "\n" not in str(caught.value)


SIGNS = [
    (["80%", "7.5 %"], ["80", "7.5"], "%"),
    (["4/5", "3.5 / 5"], ["4", "3.5"], "/5"),
    (["1 star", "4 Stars", "3,5 stars"], ["1", "4", "3,5"], "stars"),
    (["★★★★☆", "★½", "☆☆☆☆☆", "⭐️⭐️", "* *"], ["4", "1.5", "0", "2", "2"], "stars, counted"),
    (["4/5", "8/10"], None, None),
    (["4/5", "4"], None, None),
    (["80%", "high %"], None, None),
    (["★★", "good"], None, None),
    (["★★", "3"], None, None),
    ([], None, None),
]


@pytest.mark.parametrize("texts, numbers, sign", SIGNS)
def test_signs_are_left_out_where_all_ratings_have_one(texts, numbers, sign):
    assert without_signs(texts) == ((numbers, sign) if numbers else None)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ratings_with_signs_are_read(tmp_path):
    for sign in ("%", "/5", " stars"):
        text = lines((u, i, f"{r}{sign}") for u, i, r in ROWS)
        found, understood = rated(tmp_path / "a.csv", text + "\nu9,f9,\n")
        assert found == {(u, i): r for u, i, r in ROWS} and understood.missing == 1
        assert any("without their sign" in said for said in understood.notices)
    drawn = lines((u, i, "★" * r + "☆" * (5 - r)) for u, i, r in ROWS)
    assert rated(tmp_path / "a.csv", drawn)[0] == {(u, i): r for u, i, r in ROWS}
    comma = lines((u, i, f'"{r},5 %"') for u, i, r in ROWS)
    assert rated(tmp_path / "a.csv", comma)[0] == {(u, i): r + 0.5 for u, i, r in ROWS}
    left = rated(tmp_path / "a.csv", lines((u, i, f"{r}%") for u, i, r in ROWS), not_rated=("1%",))
    assert set(left[0].values()) == {2, 3, 4}


def test_words_for_ratings_are_told_to_become_numbers(tmp_path):
    text = lines((u, i, ("down", "up")[r > 2]) for u, i, r in ROWS)
    refused(tmp_path / "a.csv", text, r"line 2: the rating 'down' .*write numbers for them")


@pytest.mark.parametrize("half", ["\ud800", "The \udfff"])
def test_half_of_a_character_in_json(half, tmp_path):
    rows = [{"user": "\U0001f600", "item": half, "rating": 3}]
    pair = json.dumps(rows[0]).replace("d800", "d83d\\ude00").replace("dfff", "d83d\\ude00")
    assert len(rated(tmp_path / "a.jsonl", pair)[0]) == 1
    said = re.escape(f"the item {half!r} holds half of a character")
    refused(tmp_path / "b.jsonl", json.dumps(rows[0]), f"line 1: {said}")
    refused(tmp_path / "c.json", json.dumps(rows), f"record 1: {said}")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_fields_within_fields_of_json(tmp_path):
    def record(user, item, rating):
        return {"user": {"id": user, "name": "x"}, "item": {"id": item}, "rating": rating}

    text = "\n".join(json.dumps(record(*row)) for row in ROWS)
    found, understood = rated(tmp_path / "a.jsonl", text)
    assert found == {(u, i): r for u, i, r in ROWS}
    assert understood.columns["user"] == "'user.id'"
    asked = parse_columns("user=user.name,item=item.id,rating=rating")
    assert {u for u, _ in rated(tmp_path / "a.jsonl", text, columns=asked)[0]} == {"x"}
    wrapped = json.dumps({"ratings": [record(*row) for row in ROWS]})
    refused(tmp_path / "b.json", wrapped, "line 1: its field 'ratings' is itself a list")
    deep = "x"
    for _ in range(50):
        deep = {"user": deep}
    refused(tmp_path / "c.json", json.dumps(deep), "no column item")


def test_a_first_row_that_may_be_a_header_or_a_rating_is_asked_about(tmp_path):
    """`film` is a name of the column of items, and may be somebody's favourite word."""
    path, in_order = tmp_path / "a.csv", parse_columns("user=1,item=2,rating=3")
    for first in (("film", "anna", 4), ("anna", "film", 4), ("user", "x", 3)):
        text = lines([first, *ROWS], first="")
        refused(path, text, "line 1: .* may be a rating, or name columns")
        found, _ = rated(path, text, columns=in_order)
        assert found[first[:2]] == first[2] and len(found) == 36
    text = lines([("film", "anna", 4), *ROWS], first="")
    swapped = rated(path, text, columns=parse_columns("user=2,item=1,rating=3"))
    assert ("anna", "film") in swapped[0]
    assert len(rated(path, lines(ROWS), columns=in_order)[0]) == 35  # a header stays one


def test_columns_without_names_in_another_order_are_asked_about(tmp_path):
    pairs = [(k % 40, k % 31, 1 + k % 5) for k in range(300)]
    for order, number in (((2, 0, 1), 1), ((0, 2, 1), 2)):
        text = lines([tuple(row[i] for i in order) for row in pairs], first="")
        refused(tmp_path / "a.csv", text, f"column {number} has 5 different small numbers")
        asked = "user=2,item=3,rating=1" if number == 1 else "user=1,item=3,rating=2"
        found, _ = rated(tmp_path / "a.csv", text, columns=parse_columns(asked))
        assert found == {(u, i): r for u, i, r in pairs}
    assert len(rated(tmp_path / "a.csv", lines(pairs, first=""))[0]) == 300
    few = [(k % 9, k % 31, k % 101) for k in range(200)]  # nine users, and marks up to 100
    refused(tmp_path / "a.csv", lines(few, first=""), "column 1 has 9 different small numbers")
    timed = [(u, i, 1_500_000_000 + u, r) for u, i, r in pairs]
    refused(tmp_path / "a.csv", lines(timed, first=""), "or the rating; say which columns")


def test_lines_above_the_header_are_named(tmp_path):
    for above, number in (("Export 2024-05-01", 2), ("Export,,\n", 3), ("a;b;c\n\nx", 4)):
        text = f"{above}\n{lines(ROWS)}"
        refused(tmp_path / "a.csv", text, f"line {number}: it looks like the header")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_line_of_totals(tmp_path):
    for total in ("Total,,80", ",,80"):
        refused(tmp_path / "a.csv", f"{lines(ROWS)}\n{total}", "line 37: .*if it is one of totals")
    refused(tmp_path / "a.csv", lines([("", "f1", 2), *ROWS]), "write 1 to 256 characters.$")
    for name in ("Total", "Gesamt:"):
        said = rated(tmp_path / "a.csv", f"{lines(ROWS)}\n{name},35,3")[1].warnings
        words = f"line 37: the user '{name}' may name a line of totals; if so"
        assert any(words in warning for warning in said)
    said = rated(tmp_path / "a.csv", lines([("Total", "f9", 2), *ROWS]))[1].warnings
    assert not any("totals" in w for w in said)


@pytest.mark.parametrize(
    "name, made",
    [
        ("Name", r"swapped if its rows are items\): .*columns={'Name': 'user'}"),
        ("Movie", r"with pandas: .*columns={'Movie': 'item'}"),
        ("Customer", r"with pandas: .*columns={'Customer': 'user'}"),
        ("", r"swapped if its rows are items\): .*columns={'Unnamed: 0': 'user'}"),
    ],
)
def test_what_a_matrix_has_in_its_rows(name, made, tmp_path):
    text = lines([(f"a{k}", 1, 2, 3, 4) for k in range(9)], first=f"{name},b,c,d,e")
    refused(tmp_path / "a.csv", text, made)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ids_that_a_spreadsheet_has_rounded(tmp_path):
    rows = [(f"1.2345{k % 7}E+11", i, r) for k, (_, i, r) in enumerate(ROWS)]
    said = rated(tmp_path / "a.csv", lines(rows))[1].notices
    assert any("7 users are written like 1.23450E+11" in note for note in said)
    notices = rated(tmp_path / "b.csv", lines(ROWS))[1].notices
    assert not any("round" in note for note in notices)
