"""Any ratings table, in every form that it can be written in, against a dictionary."""

import csv
import gzip
import io
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from d2l_autorec.data.blobs import MAX_LINE, Blob, scan
from d2l_autorec.data.delimited import match_columns
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=9)
IDS = st.one_of(
    st.integers(-(10**18), 10**18).map(str),
    st.integers(1, 9).map(str),
    st.uuids().map(str),
    TEXT.map(str.strip).filter(bool),
    st.sampled_from(
        ["007", "NA", "nan", "1.0", "-0", "=1+1", "a,b", "a;b", "a\tb", 'say "x"', "²", "\x1b[31m"]
    ),
)
RATINGS = st.one_of(
    st.sampled_from([0.5, 1, 3.5, 5, 0, -1]),
    st.floats(-(2.0**99), 2.0**99, width=32),
)
TIMES = st.integers(-(2**53), 2**53)
ROWS = st.lists(st.tuples(IDS, IDS, RATINGS, TIMES), min_size=1, max_size=12)
HEADERS = st.sampled_from([None, "user item rating timestamp", "userId movieId Score ts"])


def text(rows, separator, header, order, timed):
    """Write rows as CSV; without a header the columns stand in the order that is expected."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator="\n")
    columns = [i for i in order if i < 3 or timed] if header else list(range(3 + timed))
    if header:
        writer.writerow(header.split()[i] for i in columns)
    writer.writerows([row[i] for i in columns] for row in rows)
    return file.getvalue()


def check(ratings, rows):
    """Compare with the last rating of each pair, and the ids as they stand in the file."""
    last = {(user, item): (rating, time) for user, item, rating, time in rows}
    for ids, place in ((ratings.user_ids, 0), (ratings.item_ids, 1)):
        wanted = {row[place] for row in rows}
        numbers = all(map(is_number, wanted))
        assert ids.tolist() == sorted(map(int, wanted) if numbers else wanted)
    table = ratings.table
    pairs = zip(ratings.user_ids[table["user"]], ratings.item_ids[table["item"]])
    read = {
        (str(user), str(item)): (rating, time)
        for (user, item), rating, time in zip(pairs, table["rating"], table["timestamp"])
    }
    assert read == {pair: (np.float32(rating), time) for pair, (rating, time) in last.items()}
    assert len(table) == len(last)


def is_number(label):
    """Tell what a number writes back unchanged; of 19 digits, not all fit into int64."""
    try:
        return str(int(label)) == label and abs(int(label)) < 10**18
    except ValueError:
        return False


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=ROWS,
    separator=st.sampled_from(",;\t"),
    header=HEADERS,
    order=st.permutations(range(4)),
    timed=st.booleans(),
    packed=st.booleans(),
)
def test_any_table_is_read_from_text(rows, separator, header, order, timed, packed, tmp_path):
    content = text(rows, separator, header, order, timed)
    first = content.split("\n")[0]
    others = [s for s in ("\t", "::", ",", ";") if s in first and s != separator]
    assume(header or not others)  # which of two separators it is, only a header tells for sure
    assume(header or not match_columns(list(map(str, rows[0]))))
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    data = content.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    rows = [(*row[:3], row[3] if timed else 0) for row in rows]
    _read_and_check(path, rows)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, timed=st.booleans(), dictionary=st.booleans())
def test_any_table_is_read_from_parquet(rows, timed, dictionary, tmp_path):
    frame = pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"])
    if all(map(is_number, frame["user"])):
        frame["user"] = frame["user"].astype("int64")
    if dictionary:
        frame["item"] = frame["item"].astype("category")
    frame.iloc[:, : 3 + timed].to_parquet(tmp_path / "a.parquet")
    rows = [(*row[:3], row[3] if timed else 0) for row in rows]
    _read_and_check(tmp_path / "a.parquet", rows)


def _read_and_check(path, rows):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ratings = read_ratings(path, allow_nonpositive=True)
    check(ratings, rows)
    twice = len({row[:2] for row in rows}) < len(rows)
    assert [w for w in caught if "last rating was kept" in str(w.message)] or not twice
    chapter_takes_it = min(row[2] for row in rows) > 0 and min(np.float32(r[2]) for r in rows) > 0
    if not twice and not chapter_takes_it:
        with pytest.raises(InputError, match="not above zero"):
            read_ratings(path)


def test_an_id_that_holds_a_separator(tmp_path):
    """As in ``urn::7``: the line is parted where that makes three fields."""
    (tmp_path / "a.csv").write_text('urn::7,"a\tb",3\nurn::8,c,4\n')
    ratings = read_ratings(tmp_path / "a.csv")
    assert ratings.user_ids.tolist() == ["urn::7", "urn::8"]
    assert ratings.item_ids.tolist() == ["a\tb", "c"]


def test_a_header_that_names_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("reviewerID,asin,overall\n1,2,3\n")
    with pytest.raises(InputError, match=r"line 1: it names no columns.*'overall'"):
        read_ratings(tmp_path / "a.csv")


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
