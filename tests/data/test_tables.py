"""Any ratings table, in every form that it can be written in, against a dictionary."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import tracemalloc
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from d2l_autorec.data.blobs import MAX_LINE, Blob
from d2l_autorec.data.columns import is_header, match_columns
from d2l_autorec.data.delimited import _blocks
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.ids import id_codes
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.scan import scan
from d2l_autorec.errors import InputError

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=9)
NUMBERS = st.one_of(st.integers(-(10**18) + 1, 10**18 - 1), st.integers(1, 9)).map(str)
IDS = st.one_of(
    NUMBERS,
    st.uuids().map(str),
    TEXT.map(str.strip).filter(bool),
    st.sampled_from(
        ["007", "NA", "nan", "1.0", "-0", "=1+1", "a,b", "a;b", "a\tb", 'say "x"', "²", "\x1b[31m"]
    ),
)
WORDS = st.text(
    st.characters(whitelist_categories=("Lu", "Ll", "Nd")), min_size=1, max_size=9
).filter(lambda word: not is_header([word]))
PLAIN_IDS = st.one_of(NUMBERS, st.uuids().map(str), WORDS, st.sampled_from(["007", "1.0", "a-b"]))
RATINGS = st.one_of(
    st.sampled_from([0.5, 1, 3.5, 5, 0, -1]),
    st.floats(-(2.0**99), 2.0**99, width=32),
)
TIMES = st.integers(-(2**53), 2**53)
ROWS = st.lists(st.tuples(IDS, IDS, RATINGS, TIMES), min_size=1, max_size=12)
PLAIN_ROWS = st.lists(st.tuples(PLAIN_IDS, PLAIN_IDS, RATINGS, TIMES), min_size=1, max_size=12)
HEADERS = st.sampled_from([None, "user item rating timestamp", "userId movieId Score ts"])
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


def text(rows, separator, header, order, timed):
    """Write rows as CSV; without a header the columns stand in the order that is expected."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator="\n")
    columns = [i for i in order if i < 3 or timed] if header else list(range(3 + timed))
    if header:
        writer.writerow(header.split()[i] for i in columns)
    writer.writerows([row[i] for i in columns] for row in rows)
    return file.getvalue()


def joined(rows, separator, header=None, timed=True, decimal="."):
    """Write rows without quoting."""
    lines = [separator.join(header.split()[: 3 + timed])] if header else []
    for user, item, rating, time in rows:
        fields = [user, item, repr(float(rating)).replace(".", decimal), str(time)]
        lines.append(separator.join(fields[: 3 + timed]))
    return "\n".join(lines) + "\n"


def whole(label):
    """Give the whole number that an id is, or None; ``101.0`` is one."""
    match = re.fullmatch(r"(0|-?[1-9][0-9]{0,17})(\.0+)?", label)
    return match and int(match[1])


def canonical(labels):
    """Give what the ids of one column are read as: numbers, if all of them are."""
    numbers = {label: whole(label) for label in labels}
    return {k: k for k in labels} if None in numbers.values() else numbers


def check(ratings, rows):
    """Compare with the latest rating of each pair, and the ids as they stand in the file."""
    users, items = (canonical({row[place] for row in rows}) for place in (0, 1))
    latest = {}
    for user, item, rating, time in rows:
        pair = users[user], items[item]
        if pair not in latest or time >= latest[pair][1]:
            latest[pair] = (np.float32(rating), time)
    assert ratings.user_ids.tolist() == sorted(set(users.values()))
    assert ratings.item_ids.tolist() == sorted(set(items.values()))
    table = ratings.table
    pairs = zip(ratings.user_ids[table["user"]], ratings.item_ids[table["item"]])
    read = {
        pair: (rating, time)
        for pair, rating, time in zip(pairs, table["rating"], table["timestamp"])
    }
    assert read == latest and len(table) == len(latest)
    return len(latest) < len(rows)


def read_and_check(path, rows, options=None):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ratings = read_ratings(path, options, allow_nonpositive=True)
    twice = check(ratings, rows)
    said = [w for w in caught if re.search("(last|latest) rating was kept", str(w.message))]
    assert bool(said) == twice
    assert ratings.understood.ratings == len(ratings.table)
    if not twice and min(min(row[2], np.float32(row[2])) for row in rows) <= 0:
        with warnings.catch_warnings(), pytest.raises(InputError, match="not above zero"):
            warnings.simplefilter("ignore")
            read_ratings(path, options)


def untimed(rows, timed):
    return [(*row[:3], row[3] if timed else 0) for row in rows]


def may_be_misread(rows, timed):
    """Tell what only a header tells for sure: a header itself, counted rows, decimals."""
    firsts = [str(row[0]) for row in rows]
    counted = any(firsts == [str(i + k) for i in range(len(rows))] for k in (0, 1))
    digits = len(rows) > 9 and all(0 <= row[3] < 10 or row[3] in (25, 50, 75) for row in rows)
    return (
        is_header([str(field) for field in rows[0][: 3 + timed]])
        or list(map(str, rows[0][:2])) == ["0", "1"]
        or firsts[0][0] in "#%"
        or re.fullmatch(r"sep=.*|\d+:", firsts[0], re.IGNORECASE)
        or (timed and (counted or digits))
    )


@settings(SETTINGS, max_examples=100)
@given(
    rows=ROWS,
    separator=st.sampled_from(",;"),
    header=HEADERS,
    order=st.permutations(range(4)),
    timed=st.booleans(),
    packed=st.booleans(),
)
def test_any_table_is_read_from_text(rows, separator, header, order, timed, packed, tmp_path):
    content = text(rows, separator, header, order, timed)
    others = [s for s in ("\t", "::", "|", ",", ";", " ") if s in content and s != separator]
    # which of two separators it is, only a header tells for sure
    assume(header or (not others and not may_be_misread(rows, timed)))
    assume(not any(name.startswith("#") for row in rows for name in row[:2]))
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    data = content.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    read_and_check(path, untimed(rows, timed))


PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@settings(SETTINGS, max_examples=150)
@given(
    rows=PLAIN_ROWS,
    separator=st.sampled_from(["\t", "::", " ", "   ", "|", ";", ","]),
    header=HEADERS,
    timed=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]),
    packer=st.sampled_from(sorted(PACKERS)),
    comments=st.booleans(),
    trailing=st.booleans(),
    decimal=st.sampled_from(".,"),
)
def test_any_table_is_read_from_plain_text(
    rows, separator, header, timed, ending, encoding, packer, comments, trailing, decimal, tmp_path
):
    """White space, ``::``, decimal commas, comments, ends of lines, encodings, packers."""
    assume(header or not may_be_misread(rows, timed))
    options = ReadOptions()
    if decimal == ",":
        assume(separator != ",")
        digits = [repr(float(row[2])).partition(".")[2] for row in rows]
        if all(len(part) == 3 for part in digits if part):
            options = ReadOptions(decimal=",")
        if header is None:
            options = ReadOptions(decimal=",", separator=separator.strip(" ") or " ")
    content = joined(rows, separator, header, timed, decimal)
    if trailing and separator.strip():
        content = content.replace("\n", separator + "\n")
    if comments:
        content = "# made by a program\n\n" + content + "# the end\n"
    path = tmp_path / f"a.txt{packer}"
    assume(encoding != "utf-16-le" or content.isascii())
    path.write_bytes(PACKERS[packer](content.replace("\n", ending).encode(encoding)))
    read_and_check(path, untimed(rows, timed), options)


@settings(SETTINGS, max_examples=60)
@given(
    rows=ROWS,
    timed=st.booleans(),
    lines=st.booleans(),
    numbers=st.booleans(),
    zipped=st.booleans(),
    names=st.sampled_from(
        ["user item rating timestamp", "reviewerID asin overall unixReviewTime"]
    ),
)
def test_any_table_is_read_from_json(rows, timed, lines, numbers, zipped, names, tmp_path):
    def value(label):
        return int(label) if numbers and re.fullmatch("0|-?[1-9][0-9]*", label) else label

    records = [
        dict(list(zip(names.split(), (value(user), value(item), rating, time)))[: 3 + timed])
        for user, item, rating, time in rows
    ]
    content = "\n".join(map(json.dumps, records)) if lines else json.dumps(records, indent=1)
    path = tmp_path / ("a.zip" if zipped else "a.json")
    if zipped:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("data.json", content)
            file.writestr("__MACOSX/._data.json", "x")
            file.writestr("README.txt", "see there")
    else:
        path.write_text(content, encoding="utf-8")
    read_and_check(path, untimed(rows, timed))


@settings(SETTINGS, max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 99), st.integers(1, 9), st.integers(1, 5), st.dates()),
        min_size=1,
        max_size=30,
    )
)
def test_any_table_is_read_from_blocks_as_netflix_has_them(rows, tmp_path):
    rows = [row for row in rows if 1700 < row[3].year < 2200]
    assume(rows)
    blocks = {}
    for user, item, rating, day in rows:
        blocks.setdefault(item, []).append(f"{user},{rating},{day.isoformat()}")
    path = tmp_path / "combined_data_1.txt"
    path.write_text("".join(f"{i}:\n" + "\n".join(b) + "\n" for i, b in blocks.items()))
    in_order = [row for item in blocks for row in rows if row[1] == item]
    read_and_check(
        path,
        [(str(u), str(i), r, pd.Timestamp(day).as_unit("ns").value) for u, i, r, day in in_order],
    )


@settings(SETTINGS, max_examples=50)
@given(rows=ROWS, timed=st.booleans(), dictionary=st.booleans(), floats=st.booleans())
def test_any_table_is_read_from_parquet(rows, timed, dictionary, floats, tmp_path):
    frame = pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"])
    if all(re.fullmatch("0|-?[1-9][0-9]{0,17}", user) for user in frame["user"]):
        frame["user"] = frame["user"].astype("int64")
        if floats and frame["user"].abs().max() < 2**53:
            frame["user"] = frame["user"].astype("float64")
    if dictionary:
        frame["item"] = frame["item"].astype("category")
    frame.iloc[:, : 3 + timed].to_parquet(tmp_path / "a.parquet")
    read_and_check(tmp_path / "a.parquet", untimed(rows, timed))


@settings(SETTINGS, max_examples=25)
@given(rows=PLAIN_ROWS, timed=st.booleans())
def test_any_table_is_read_from_a_workbook(rows, timed, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.create_sheet("nothing on it")
    book.active.append(["User ID", "Item ID", "Rating", "Time"][: 3 + timed])
    for user, item, rating, time in rows:
        book.active.append([user, item, float(rating), str(time)][: 3 + timed])
    book.save(tmp_path / "a.xlsx")
    read_and_check(tmp_path / "a.xlsx", untimed(rows, timed))


@settings(SETTINGS, max_examples=50)
@given(rows=PLAIN_ROWS, quoted=st.booleans(), separator=st.sampled_from(" \t"))
def test_any_table_is_read_as_r_writes_it(rows, quoted, separator, tmp_path):
    """As ``write.table`` does: row names before what the header names, and quotes."""
    assume(len(rows) > 1)
    sign = '"' if quoted else ""
    content = separator.join(f"{sign}{name}{sign}" for name in ("user", "item", "rating")) + "\n"
    for i, (user, item, rating, _) in enumerate(rows, 1):
        fields = [f"{sign}{i}{sign}", f"{sign}{user}{sign}", f"{sign}{item}{sign}", repr(rating)]
        content += separator.join(fields) + "\n"
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    read_and_check(tmp_path / "a.txt", untimed(rows, False))


BYTES = {
    "a.csv": b"user,item,rating,timestamp\nann,x1,4.5,1500000000\nbob,x2,3,1500000001\n",
    "b.txt": b"# by a program\nann x1 4.5\nbob x2 3.0\nann x3 1\n",
    "c.dat": b"1::10::5::978300760\n2::10::4::978300761\n",
    "d.json": b'{"user": "a", "item": 7, "rating": 3}\n{"user": "b", "item": 8, "rating": 4}\n',
    "e.json": b'[{"user": "a", "item": 7, "rating": 3}, {"user": "b", "item": 8, "rating": 4}]',
    "f.txt": b"1:\n102,3,2005-09-03\n104,1,2005-09-01\n2:\n102,5,2005-09-04\n",
    "g.csv": "user;item;rating\nzoé;1;2,5\nbob;2;3,5\n".encode("utf-16"),
    "h.csv": "user;item;rating\nzoé;1;2,5\nbob;2;3,5\n".encode("latin-1"),
    "i.inter": b"user_id:token\titem_id:token\trating:float\n1\t7\t3\n2\t8\t4.5\n",
}
BYTES.update(
    {f"j{suffix}": pack(BYTES["a.csv"]) for suffix, pack in PACKERS.items() if suffix},
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(SETTINGS, max_examples=400)
@given(
    name=st.sampled_from(sorted(BYTES)),
    changes=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 300),
)
def test_damaged_files_are_read_or_refused_in_one_sentence(name, changes, cut, tmp_path):
    content = bytearray(BYTES[name])
    for at, byte in changes:
        content[at % len(content)] = byte
    (tmp_path / name).write_bytes(content[: len(content) - cut % len(content)])
    try:
        ratings = read_ratings(tmp_path / name, allow_nonpositive=True)
    except InputError as error:
        assert name in str(error) and "\n" not in str(error) and str(error).endswith(".")
    else:
        assert np.isfinite(ratings.table["rating"]).all() and len(ratings.table)


def test_an_id_that_holds_a_separator(tmp_path):
    """As in ``urn::7``: the line is parted where that makes three fields."""
    (tmp_path / "a.csv").write_text('urn::7,"a\tb",3\nurn::8,c,4\n')
    ratings = read_ratings(tmp_path / "a.csv")
    assert ratings.user_ids.tolist() == ["urn::7", "urn::8"]
    assert ratings.item_ids.tolist() == ["a\tb", "c"]


def test_a_header_that_names_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("wer,was,wie\n1,2,3\n")
    with pytest.raises(InputError, match=r"line 1: it names no columns.*'wie'.*--columns"):
        read_ratings(tmp_path / "a.csv")
    options = ReadOptions(columns={"user": "wer", "item": "was", "rating": "WIE"})
    assert read_ratings(tmp_path / "a.csv", options).user_ids.tolist() == [1]
    assert match_columns(["wer", "was", "wie"]) == {}


@pytest.mark.parametrize("before", [b"", b"user,item,rating\n1,2,3\n"])
def test_of_a_line_of_a_gigabyte_little_is_read(before):
    read = []

    class Endless(io.BytesIO):
        def read(self, size):
            read.append(size)
            assert 0 < size <= MAX_LINE and sum(read) < 2**30
            return before if len(read) == 1 and before else b"1" * size

    with pytest.raises(InputError, match="the line is longer than"):
        scan(Blob("a.csv", "a.csv", Endless))
    assert sum(read) <= 4 * MAX_LINE


def test_a_sign_alone_may_be_an_id(tmp_path):
    (tmp_path / "a.csv").write_text("item,user,rating\n0,0,4\n#,1,5\n")
    with pytest.raises(InputError, match="line 3: it may be a comment, or a rating by"):
        read_ratings(tmp_path / "a.csv")


def test_ids_that_no_row_has_get_no_code():
    kept = pd.Series(pd.Categorical(["b", "a", "b"], ["z", "b", "", "a"]), [4, 5, 9], name="user")
    codes, ids, merged = id_codes(kept, str)
    assert codes.dtype == np.int32 and codes.tolist() == [1, 0, 1]
    assert ids.tolist() == ["a", "b"] and merged == 0
    kept = pd.Series(pd.Categorical(["a", "", "a"], ["z", "a", ""]), [4, 5, 9], name="user")
    with pytest.raises(InputError, match=r"^5: the user '' is no id"):
        id_codes(kept, str)


def test_the_blocks_of_netflix_take_little_memory():
    """The competition's 100 million ratings must fit beside the table that is made of them."""
    size, texts = 200_000, [*map(str, range(1000)), "1:", "2:"]
    codes = np.arange(size) % 1000
    codes[[0, size // 2]] = 1000, 1001
    stars = pd.Categorical.from_codes(codes % 5, list("12345"))
    frame = pd.DataFrame({"user": pd.Categorical.from_codes(codes, texts), "rating": stars})
    tracemalloc.start()
    try:
        frame = _blocks(frame, str)
        blocks = tracemalloc.get_traced_memory()[1] / size
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        users, ids, _ = id_codes(frame["user"], str)
        coded = (tracemalloc.get_traced_memory()[1] - before) / size
    finally:
        tracemalloc.stop()
    assert frame["item"].iloc[[0, -1]].tolist() == ["1", "2"] and len(frame) == size - 2
    assert len(ids) == 1000 and users.max() == 999
    assert blocks < 32 and coded < 12  # bytes for each line
