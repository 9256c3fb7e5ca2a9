"""Ratings files as people have them: what is read of each, or the sentence."""

import io
import json
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest

from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.options import ReadOptions, parse_columns
from d2l_autorec.errors import InputError

CASES = Path(__file__).with_name("cases")
NAMES = ("user", "item", "rating")


def read(path, **options):
    """Read a file; give what was understood, and all that was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ratings = read_ratings(path, ReadOptions(**options), allow_nonpositive=True)
    return ratings, "\n".join(str(warning.message) for warning in caught)


def row(ratings, user, item):
    """Give the one rating of a pair."""
    table = ratings.table
    users, items = ratings.user_ids[table["user"]], ratings.item_ids[table["item"]]
    return table["rating"][(users == user) & (items == item)].item()


# file: users, items, ratings, lowest, highest, a part of what is said, the columns taken
READ = {
    "pandas_default_column_names.csv": (8, 7, 32, 1, 5, "", "'0' '1' '2'"),
    "score_before_rating.csv": (8, 7, 32, 1, 5, "", "'user_id' 'item_id' 'rating'"),
    "movie_title_before_movie_id.csv": (8, 7, 32, 1, 5, "", "'user_id' 'movie_id' 'rating'"),
    "missing_minus1.csv": (8, 7, 32, -1, 10, "19 % of the ratings are -1", None),
    "missing_0_implicit.csv": (8, 7, 32, 0, 10, "59 % of the ratings are 0", None),
    "float_and_int_ids.csv": (8, 7, 32, 1, 5, "8 users are written both like", None),
    "tsv_open_quote.tsv": (8, 10, 35, 1, 5, "", None),
    "duplicates_newest_first.csv": (8, 3, 24, 3, 5, "latest rating was kept, and 8 went", None),
    "implicit_all_ones.csv": (8, 7, 32, 1, 1, "nothing can be learned", None),
    "sparse_one_rating_users.csv": (3119, 192, 5515, 1, 10, "485 went", None),
    "header_anime.csv": (8, 7, 32, 1, 5, "", "'user_id' 'anime_id' 'rating'"),
    "header_goodbooks.csv": (8, 7, 32, 1, 5, "", "'user_id' 'book_id' 'rating'"),
    "header_bookcrossing.csv": (8, 7, 32, 1, 5, "", "'User-ID' 'ISBN' 'Book-Rating'"),
    "space_separated.txt": (8, 7, 32, 1, 5, "", "1 2 3"),
    "timestamp_iso.csv": (8, 7, 32, 1, 5, "", None),
    "timestamp_empty.csv": (8, 7, 32, 1, 5, "timestamps are ignored", None),
    "rating_missing_null.csv": (8, 6, 29, 1, 5, "3 of 32 rows have no rating", None),
    "excel_decimal_comma.csv": (8, 7, 32, 0.5, 4.5, "", None),
    "excel_sep_line.csv": (8, 7, 32, 1, 5, "", None),
    "trailing_separator.csv": (8, 7, 32, 1, 5, "", "1 2 3"),
    "comment_hash.csv": (8, 7, 32, 1, 5, "", "1 2 3"),
    "netflix.txt": (8, 7, 32, 1, 5, "", None),
    "amazon_lines.json": (8, 7, 32, 1, 5, "", "'reviewerID' 'asin' 'overall'"),
    "ratings.csv.bz2": (8, 7, 32, 1, 5, "", "1 2 3"),
    "zip_of_one_csv.zip": (8, 7, 32, 1, 5, "", "1 2 3"),
    "titles_extra_column": (8, 7, 32, 1, 5, "", "'userId' 'movieId' 'rating'"),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name):
    users, items, count, low, high, words, columns = READ[name]
    ratings, said = read(CASES / name)
    seen = ratings.understood
    assert (seen.users, seen.items, seen.ratings) == (users, items, count)
    assert (seen.low, seen.high) == (low, high) and len(ratings.table) == count
    assert words in said if words else not said
    if columns:
        for column, wanted in zip(NAMES, columns.split()):
            assert wanted in seen.columns[column]
    assert name in seen.line() and f"{count:,} ratings" in seen.line()


@pytest.mark.parametrize(
    "name, words",
    [
        (
            "index_column_no_header.csv",
            "line 1: .* first of the four counts.*user=2,item=3",
        ),
        ("wide_zeros_no_header.csv", "line 1: it has 7 columns and no header; .*make it long"),
        ("wide_with_header.csv", r"line 1: it looks like a matrix.*melt\('user'.*to_csv"),
        ("workbook.xlsx", "is damaged"),
    ],
)
def test_what_is_refused(name, words):
    with pytest.raises(InputError, match=words):
        read(CASES / name)


def test_what_is_told_to_the_reader_counts():
    index = read(
        CASES / "index_column_no_header.csv", columns=parse_columns("user=2,item=3,rating=4")
    )
    assert (index[0].num_users, index[0].num_items) == (8, 7)
    ratings, said = read(CASES / "missing_minus1.csv", not_rated=("-1",))
    assert ratings.understood.not_rated == 6 and ratings.understood.low == 6
    assert "6 of 32 rows (19 %) are left out as not rated" in said
    assert ratings.digest != read(CASES / "missing_minus1.csv")[0].digest
    ratings, _ = read(CASES / "missing_0_implicit.csv", not_rated=("0",))
    assert len(ratings.table) == 13 and ratings.understood.low > 0
    mean, said = read(CASES / "duplicates_newest_first.csv", duplicates="mean")
    assert row(mean, 101, 1) == 3 and "mean rating was kept" in said
    with pytest.raises(InputError, match="line 3: user '101' has rated item '1' before"):
        read(CASES / "duplicates_newest_first.csv", duplicates="error")


def test_single_values():
    assert row(read(CASES / "duplicates_newest_first.csv")[0], 101, 1) == 5
    assert row(read(CASES / "tsv_open_quote.tsv")[0], 101, '"Heroes') == 5
    assert row(read(CASES / "excel_decimal_comma.csv")[0], 102, 1) == 2.5
    assert row(read(CASES / "netflix.txt")[0], 105, 1) == 4
    assert row(read(CASES / "amazon_lines.json")[0], "A104", "B1") == 1
    times = read(CASES / "timestamp_iso.csv")[0]
    assert times.understood.first == "2017-03-23" and times.understood.timestamps == "used"
    assert times.table["timestamp"][0] == 1490274673 * 10**9
    titles = read(CASES / "titles_extra_column")[0].items
    assert titles.loc[0].tolist() == [1, "Film 1", 1971, "Drama"]


# name of a file, its bytes: users, items, ratings, or a part of the sentence
VARIANTS = {
    "jester.csv": ("\n".join(["3," + ",".join(["99", "1.5"] * 50)] * 20), "it has 101 columns"),
    "pivot.csv": (",Alien,Brazil\nann,5,\nbob,3,4\n", "looks like a matrix"),
    "pivot_items.csv": ("movie,1,2,3\n7,5,,3\n8,,2,\n", r"for each user.*melt\('item'"),
    "zero_based.csv": ("0,1,2\n0,5,3\n1,2,4\n", "may name columns or be a rating.*user=1"),
    "index_name.csv": (",user,item,rating\n0,7,1,3\n1,8,1,4\n", (2, 1, 2)),
    "index_default.csv": (",0,1,2\n0,7,1,3\n1,8,1,4\n", (2, 1, 2)),
    "two_scores.csv": ("user,item,stars,overall\n1,2,3,4\n", "'stars' and 'overall' may both be"),
    "two_ids.csv": ("user_id,film_id,book_id,rating\n1,2,3,4\n", "may both be the item"),
    "yelp.json": (
        '{"review_id": "r", "user_id": "u", "business_id": "b", "stars": 4, "date": "2016-01"}\n'
        * 2,
        (1, 1, 1),
    ),
    "array.json": (
        '[{"user": 1, "item": 2, "rating": 3},\n {"user": 2, "item": 2, "rating": 4}]',
        (2, 1, 2),
    ),
    "broken.json": (
        '{"user": 1, "item": 2, "rating": 3}\n{"user": 1,\n',
        "line 2: it is not JSON",
    ),
    "nested.json": (
        '{"user": {"a": 1}, "item": 2, "rating": 3}\n',
        "no column user that is known among 'user.a'",
    ),
    "beer.csv": (
        "beer_beerid,review_overall,review_profilename\n7,4.5,ann\n8,3,bob\n",
        "no column user",
    ),
    "fine_foods.csv": (
        "Id,ProductId,UserId,ProfileName,Score,Time\n1,B1,A1,x,5,1303862400\n2,B2,A1,x,4,1303862401\n",
        (1, 2, 2),
    ),
    "widget.csv": ("user_id,widget_id,rating\n1,2,3\n2,2,4\n", (2, 1, 2)),
    "r.txt": ('"user" "item" "rating"\n"1" "ann lee" "x" 3\n"2" "bob" "x y" 4\n', (2, 2, 2)),
    "savetxt.txt": ("# user item rating\n1 2 3\n2 2 4\n", (2, 1, 2)),
    "matrix.mtx": (
        "%%MatrixMarket matrix coordinate real general\n% by a tool\n3 2 2\n1 1 5\n3 2 4\n",
        (2, 2, 2),
    ),
    "pipes.psv": ("user|item|rating\n1|2|3,5\n2|2|4,5\n", (2, 1, 2)),
    "mixed.csv": (
        "user;item;rating\n1;2;3,5\n2;2;4.5\n",
        "line 2: the rating '3,5' has a comma where",
    ),
    "thousands.csv": (
        "user;item;rating\n1;2;3,500\n2;2;4,500\n",
        "decimals or thousands; say --decimal",
    ),
    "two_seps.csv": (
        "1;2,7;3,5\n2;2,7;4,5\n",
        "';' or ',' may stand between the fields; say which with --sep",
    ),
    "half_commented.csv": ("#a,1,3\nb,1,4\nc,2,5\n", "line 1: it may be a comment, or a rating"),
    "ids_hash.csv": ("#a,1,3\n#b,1,4\n", (2, 1, 2)),
    "commas_as_times.csv": (
        "\n".join(f"{u},{i},3,5" for u in range(2, 7) for i in range(3)),
        "may be decimals",
    ),
    "blank_rows.csv": ("user,item,rating\n1,2,3\n,,\n2,2,4\n,,\n", (2, 1, 2)),
    "short.csv": ("user,item,rating\n1,2,3\n2,2\n", "line 3: it has 2 fields where 3"),
    "no_ratings.csv": ("user,item,rating\n1,2,\n2,2,NA\n", "no row has a rating"),
    "open_quote.csv": ('user,item,rating\n1,"a,3\n2,b,4\n3,"c,5\n', "line 2"),
    "old_mac.csv": ("user,item,rating\r1,2,3\r2,2,4\r", (2, 1, 2)),
    "mixed_ends.csv": ("user,item,rating\r1,2,3\n# note\n2,2,4\n", (2, 1, 2)),
    "dates.csv": ("user,item,rating,date\n1,2,3,03/04/2017\n2,2,4,04/04/2017\n", (2, 1, 2)),
    "netflix_empty.txt": ("1:\n2:\n", "no rating follows"),
    "ml.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\t9.0\n",
        (1, 1, 1),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name, tmp_path):
    content, wanted = VARIANTS[name]
    (tmp_path / name).write_bytes(content.encode("utf-8"))
    if isinstance(wanted, str):
        with pytest.raises(InputError, match=wanted) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)
    else:
        seen = read(tmp_path / name)[0].understood
        assert (seen.users, seen.items, seen.ratings) == wanted


@pytest.mark.parametrize(
    "content, words",
    [
        (b"\xd0\xcf\x11\xe0" * 9, "old Excel workbook"),
        (b"\x80\x04\x95cposix", "is a pickle, which is not opened"),
        (b"\x93NUMPY\x01\x00", "is a NumPy array"),
        (b"SQLite format 3\0", "is an SQLite database"),
        (b"a" * 257 + b"ustar\x0000", "is a tar archive"),
    ],
)
def test_files_of_other_kinds_are_named(content, words, tmp_path):
    (tmp_path / "ratings.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read(tmp_path / "ratings.csv")


def test_encodings(tmp_path):
    path, table = tmp_path / "a.csv", "user,item,rating\nzoé,x,3\nbob,naïve,4\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"):
        path.write_bytes(table.encode(encoding))
        ratings, said = read(path)
        assert ratings.user_ids.tolist() == ["bob", "zoé"]
        assert ("was read as Latin-1" in said) == (encoding == "latin-1")
    path.write_bytes("user,item,rating\nжюли,x,3\nbob,y,4\n".encode("cp1251"))
    with pytest.raises(InputError, match=r"line 2: byte 0xe6 is not UTF-8; .*--encoding"):
        read(path)
    assert read(path, encoding="cp1251")[0].user_ids.tolist() == ["bob", "жюли"]
    with pytest.raises(InputError, match="--encoding 'klingon' is unknown"):
        read(path, encoding="klingon")
    with pytest.raises(InputError, match="line 2: byte 0xff is not ASCII"):
        path.write_bytes(b"1,2,3\n\xff,2,3\n")
        read(path, encoding="ascii")


def test_a_zip_of_several_files_and_a_real_workbook(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as file:
        file.writestr("a.csv", "1,2,3\n")
        file.writestr("b.csv", "1,2,3\n")
    with pytest.raises(InputError, match="several files that may be the ratings"):
        read(tmp_path / "two.zip")
    book = openpyxl.Workbook()
    for line in ("user", "item", "rating"), (7, "x", 3.5), (8.0, "y", None), (8, "x", 2):
        book.active.append(line)
    content = io.BytesIO()
    book.save(content)
    (tmp_path / "book.xlsx").write_bytes(content.getvalue())
    ratings, said = read(tmp_path / "book.xlsx")
    assert ratings.user_ids.tolist() == [7, 8] and "1 of 3 rows have no rating" in said
    book.create_sheet("more").append(["user", "item", "rating"])
    book.save(tmp_path / "book.xlsx")
    with pytest.raises(InputError, match=r"has several sheets \(Sheet, more\)"):
        read(tmp_path / "book.xlsx")


def test_zstandard_whole_and_cut(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(b"user,item,rating\n1,2,3\n2,2,4\n")
    (tmp_path / "a.csv.zst").write_bytes(packed + packed[:0])
    assert len(read(tmp_path / "a.csv.zst")[0].table) == 2
    for cut in range(1, len(packed)):
        (tmp_path / "a.csv.zst").write_bytes(packed[:cut])
        with pytest.raises(InputError, match=r"a.csv.zst"):
            read(tmp_path / "a.csv.zst")


def test_recbole_and_movielens_with_their_titles(tmp_path):
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    (tmp_path / "ml.inter").write_text(VARIANTS["ml.inter"][0])
    (tmp_path / "ml.item").write_text(f"{header}2\tBrazil\t1985\tSci-Fi Comedy\n")
    for path in (tmp_path, tmp_path / "ml.inter"):
        items = read(path)[0].items
        assert items.loc[0].tolist() == ["2", "Brazil", 1985, "Sci-Fi|Comedy"] or items.loc[
            0
        ].tolist() == [2, "Brazil", 1985, "Sci-Fi|Comedy"]
    (tmp_path / "ml.item").write_text("nothing of the kind")
    ratings, said = read(tmp_path)
    assert ratings.items is None and "Titles are left out" in said
    (tmp_path / "books.csv").write_text(
        "id,best_book_id,item_id,original_title,title\n1,5,2,a,B\n"
    )
    ratings, _ = read(tmp_path / "ml.inter", titles=tmp_path / "books.csv")
    assert ratings.items["title"].tolist() == ["B"]
    (tmp_path / "movie_titles.txt").write_bytes("2,1985,Brazil, a café\n".encode("latin-1"))
    ratings, _ = read(tmp_path / "ml.inter", titles=tmp_path / "movie_titles.txt")
    assert ratings.items.loc[0, ["title", "year"]].tolist() == ["Brazil, a café", 1985]
    with pytest.raises(InputError, match=r"--titles .* is no file"):
        read(tmp_path / "ml.inter", titles=tmp_path / "none.csv")


@pytest.mark.parametrize(
    "options, words",
    [
        ({"columns": {"user": "nobody"}}, "--columns user=nobody is not among the 3 columns"),
        ({"columns": {"user": "4"}}, "--columns user=4 is not among"),
        ({"separator": "~"}, "no '~' stands in it"),
    ],
)
def test_options_that_do_not_fit(options, words, tmp_path):
    (tmp_path / "a.csv").write_text("user,item,rating\n1,2,3\n")
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.csv", **options)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: parse_columns("user"), "--columns 'user' is not a list"),
        (lambda: ReadOptions(columns=parse_columns("usr=1")), "--columns 'usr' is unknown"),
        (lambda: ReadOptions(columns={"user": "1", "item": "1"}), "names one column twice"),
        (lambda: ReadOptions(separator="ab"), "--sep 'ab' cannot stand"),
        (lambda: ReadOptions(decimal=";"), "--decimal"),
        (lambda: ReadOptions(duplicates="first"), "--duplicates 'first' is unknown"),
    ],
)
def test_options_that_are_none(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_options_survive_json():
    options = ReadOptions(
        columns=parse_columns("user=a,item=b, c,rating=3"), separator="tab", not_rated=("-1",)
    )
    assert options.columns == {"user": "a", "item": "b, c", "rating": "3"}
    assert options.separator == "\t"
    assert ReadOptions.from_json(json.loads(json.dumps(options.as_json()))) == options


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "d2l_autorec", "inspect", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=CASES,
    )


def test_the_command(tmp_path):
    done = command("missing_minus1.csv", "--plot", tmp_path / "a.png")
    assert done.returncode == 0 and not done.stderr
    shown = done.stdout.replace(str(tmp_path), "")
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("32, from -1 to 10", "WARNING: 19 % of the ratings are -1", "comma, UTF-8"):
        assert words in done.stdout
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    done = command(CASES / "missing_minus1.csv", "--not-rated", "-1", "--json")
    seen = json.loads(done.stdout)
    assert seen["ratings"] == 26 and seen["counts"]["6"] == 5 and not seen["warnings"]
    done = command(CASES / "wide_with_header.csv")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and not done.stdout
    done = command("missing_minus1.csv", "--plot", tmp_path / "a.png")
    assert done.returncode == 2 and "exists; name a new file" in done.stderr
