"""Parquet, as pandas and others write it, and what cannot be read from it."""

import random
import sys

import numpy as np
import pandas as pd
import pyarrow
import pytest

from d2l_autorec.data import columnar
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError

FRAME = pd.DataFrame({"user": [7, 1, 7], "item": [10, 10, 30], "rating": [4.5, 0.5, 5.0]})


def written(folder, frame=FRAME, name="a.parquet", **columns):
    frame.assign(**columns).to_parquet(folder / name)
    return folder / name


@pytest.mark.parametrize(
    "columns, users",
    [
        ({}, [1, 7]),
        ({"user": ["7", "1", "7"]}, [1, 7]),
        ({"user": ["b", "a", "b"]}, ["a", "b"]),
        ({"user": pd.Categorical(["b", "a", "b"], ["a", "b", "c"])}, ["a", "b"]),
        (
            {"user": np.array([2**63, 2**64 - 1, 2**63], np.uint64)},
            [str(2**64 - 1), str(2**63)],
        ),
        ({"user": pd.array([7, 1, 7], dtype="Int64")}, [1, 7]),
        ({"rating": pd.array([4.5, 0.5, 5], dtype="Float32"), "more": "text"}, [1, 7]),
    ],
)
def test_what_pandas_writes(tmp_path, columns, users):
    ratings = read_ratings(written(tmp_path, **columns))
    assert ratings.user_ids.tolist() == users and ratings.item_ids.tolist() == [10, 30]
    assert ratings.table["user"].tolist() == [1, 0, 1]
    assert ratings.table["rating"].tolist() == [4.5, 0.5, 5]
    assert ratings.table["timestamp"].tolist() == [0, 0, 0]


def test_missing_values_ids_as_floats_and_times_that_are_none(tmp_path):
    """As frames are that were joined: whole numbers as floating point, NaN where nothing was."""
    path = written(tmp_path, user=[7.0, 1, 7], rating=[1, 2, np.nan], timestamp=[1.0, np.inf, 1])
    with pytest.warns(UserWarning) as said:
        ratings = read_ratings(path)
    assert ratings.user_ids.tolist() == [1, 7] and ratings.table["rating"].tolist() == [1, 2]
    assert ratings.table["timestamp"].tolist() == [0, 0]
    texts = [str(warning.message) for warning in said]
    assert any("1 of 3 rows have no rating" in text and "row 3" in text for text in texts)
    assert any("row 2: the timestamp" in text for text in texts)


def test_names_times_and_the_other_ending(tmp_path):
    frame = FRAME.rename(columns={"user": "userId", "item": "movieId"})
    path = written(
        tmp_path,
        frame,
        "a.pq",
        timestamp=pd.Timestamp("1970-01-01 00:00:01", tz="UTC").as_unit("ns"),
    )
    assert set(read_ratings(path).table["timestamp"]) == {10**9}
    path = written(tmp_path, frame, "b.parquet", ts=[1.0, 2.0, 3.5])
    assert read_ratings(path).table["timestamp"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "columns, words",
    [
        (
            {"rating": ["4", "5", "3"]},
            "the ratings are of type (large_)?string; save them as numbers",
        ),
        ({"rating": [True, False, True]}, "the ratings are of type bool"),
        ({"user": [1.0, 2.5, 3.0]}, r"row 2: the user 2\.5 is not a whole number"),
        ({"user": [b"a", b"b", b"c"]}, "the users are of type binary"),
        ({"user": ["a", None, "c"]}, "row 2: the user is empty"),
        ({"user": ["a", "b", " "]}, "row 3: the user '' is no id"),
        ({"rating": [1, 2, np.inf]}, "row 3: the rating inf is not a finite number"),
        ({"rating": [1, -2, 3]}, "row 2: the rating -2 is not above zero"),
    ],
)
def test_what_it_cannot_hold(tmp_path, columns, words):
    with pytest.raises(InputError, match=f"a.parquet.*{words}"):
        read_ratings(written(tmp_path, **columns))


def test_columns_that_are_missing_and_no_rows(tmp_path):
    with pytest.raises(InputError, match="no column item"):
        read_ratings(written(tmp_path, FRAME[["user", "rating"]]))
    with pytest.raises(InputError, match="is empty"):
        read_ratings(written(tmp_path, FRAME[:0]))


def test_a_file_that_would_swell_is_refused_unread(tmp_path, monkeypatch):
    """A million equal rows take a few kilobytes."""
    path = written(tmp_path, pd.DataFrame(np.ones((10**6, 3), np.int8), columns=FRAME.columns))
    assert path.stat().st_size < 10**5
    monkeypatch.setattr("pyarrow.parquet.ParquetFile.read", None)
    with pytest.raises(InputError, match=r"would unpack to 24,000,000 bytes"):
        read_ratings(path)


def test_without_pyarrow_or_with_an_old_one(tmp_path, monkeypatch):
    path = written(tmp_path)
    monkeypatch.setattr(columnar, "_PYARROW", 10**6)
    with pytest.raises(InputError, match=r"is too old.*pip install .*\[parquet\]"):
        read_ratings(path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"needs pyarrow.*pip install .*\[parquet\]"):
        read_ratings(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_get_one_sentence(tmp_path):
    """Change bytes, most of them in the footer, and cut: refused in one line, or read."""
    path = written(tmp_path, user=["a", "b", "a"], timestamp=pd.Timestamp("2020-01-01"))
    whole, draws = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(draws.randint(1, 3)):
            at = draws.randrange(1, len(whole) if draws.random() < 0.4 else 1500)
            content[-at] = draws.randrange(256)
        if draws.random() < 0.1:
            del content[draws.randrange(len(content)) :]
        path.write_bytes(content)
        try:
            read_ratings(path, allow_nonpositive=True)
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 200
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


def test_an_error_that_pyarrow_has_no_better_class_for(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise pyarrow.ArrowException("Unknown error:\nwrapping")

    monkeypatch.setattr("pyarrow.parquet.ParquetFile.read", fail)
    with pytest.raises(InputError, match=r"a\.parquet is damaged \(Unknown error: wrapping\)"):
        read_ratings(written(tmp_path))
