"""Odd but honest files are read; others get a sentence, never a traceback."""

import contextlib
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2l_autorec.data import fetch
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.sources import load_ml100k
from d2l_autorec.data.split import load_split, seq_aware_split
from d2l_autorec.data.titles import read_titles
from d2l_autorec.errors import InputError

LONG = "x" * 200_000  # beyond what csv takes as one field


def written(folder, content, name="a.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content, fragments",
    [
        ("user,item,rating\n1,2,3,4\n1,3,3,4\n", ("line 2", "4 fields where 3")),
        ("1,2,3\n1,3,3,4\n", ("line 2", "4 fields where 3")),
        (f"1,{LONG},3\n1,3,3\n", ("line 1",)),
        (f"1,2,3\n1,{LONG},3\n", ("line 2",)),
        ("1,2,3\n1,,3\n", ("line 2", "no id")),
        ('1,2,3\n1,"3,4\n', ("line 2",)),
        ("1,2,3\n\n1,3,inf\n", ("line 3", "inf")),
        ("1,2,3\n1,3,1e39\n", ("line 2", "finite")),
        ("user,genre,rating\n1,2,3\n", ("line 1", "no column item", "'genre'", "--columns item=")),
        ("123\n", ("line 1", "no tab")),
        ("user,item,rating\n", ("no rating",)),
        ("\n \n", ("empty",)),
        ("1::2::3\n1::3:x:4\n", ("line 2",)),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, fragments):
    with pytest.raises(InputError) as caught:
        read_ratings(written(tmp_path, content))
    for fragment in ("a.csv", *fragments):
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content, users",
    [
        ("\ufeffuser,item,rating\nNA,2,3\nnull,2,3\n", ["NA", "null"]),
        ("007,2,3\n7,2,3\n", ["007", "7"]),
        ("-5,2,3\r\n\r\n40,2,3\r\n9,2,3", [-5, 9, 40]),
        ('"a, b", 2, 3\nc, 2, 3\n', ["a, b", "c"]),
        ("PK1,2,3\nPK2,2,3\n", ["PK1", "PK2"]),
        ("userId:token;x;item_id;rating\n1;;2;3\n2;y;2;3\n", [1, 2]),
        ("1,2,3,978300760.0\n2,2,3,978300760.5\n", [1, 2]),
    ],
)
def test_odd_but_honest(tmp_path, content, users):
    ratings = read_ratings(written(tmp_path, content))
    assert ratings.user_ids.tolist() == users
    assert ratings.table["rating"].tolist() == [3] * len(users)
    assert ratings.table.dtypes.astype(str).tolist() == ["int32", "int32", "float32", "int64"]


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is not a file"):
        read_ratings(tmp_path / "pipe")


def test_an_empty_or_false_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(InputError, match="holds none of"):
        read_ratings(tmp_path / "empty.zip")
    with pytest.raises(InputError, match="damaged"):
        read_ratings(written(tmp_path, "1,2,3\n", "false.zip"))


def test_ids_that_only_look_like_numbers(tmp_path):
    with pytest.raises(InputError, match=r"line 2: user '²'"):
        load_ml100k(written(tmp_path, "1\t2\t3\t4\n²\t2\t3\t4\n", "u.data"))


def test_titles_with_a_field_too_long(tmp_path):
    path = written(tmp_path, f"movieId,title,genres\n1,{LONG},Drama\n", "movies.csv")
    from d2l_autorec.data.blobs import file_blob

    with pytest.raises(InputError, match="line 2"):
        read_titles(file_blob(path), np.array([1]))


def test_times_in_nanoseconds_stay_apart():
    """As float64, the first two times were equal, and the first row was lost with the second."""
    table = pd.DataFrame({"user": [0, 0], "item": [1, 1], "rating": [3.0, 3.0]})
    table["timestamp"] = np.array([2**60, 2**60 + 1])
    train_rows, test_rows = seq_aware_split(table)
    assert train_rows.tolist() == [0] and test_rows.tolist() == [1]


def test_a_split_that_claims_to_be_huge(tmp_path):
    ratings = read_ratings(written(tmp_path, "1,2,3\n2,2,3\n"))
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    array = b"\x93NUMPY\x01\x00" + np.uint16(len(header)).tobytes() + header
    with zipfile.ZipFile(tmp_path / "split.npz", "w") as file:
        for name in ("train_rows", "test_rows", "data_digest"):
            file.writestr(f"{name}.npy", array)
    with pytest.raises(InputError, match=r"split\.npz"):
        load_split(tmp_path / "split.npz", ratings)


def test_pip_that_cannot_help_says_why(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(fetch.FetchError, match=r"pip said: .*recbole"):
        fetch.from_pypi(quiet=True)


FRAGMENTS = st.sampled_from(
    [
        *(b"1", b"-7", b"3.5", b"nan", b"0", b"user", b"item", b"rating", b"\xc3\xa9", b" ", b'"'),
        *(b",", b"\t", b"::", b";", b"\n", b"\r", b"\xff", b"\0"),
        *(b"PK\x03\x04", b"\x1f\x8b", b"PAR1"),
    ]
)
CONTENT = st.one_of(st.binary(max_size=200), st.lists(FRAGMENTS, max_size=40).map(b"".join))


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=CONTENT, name=st.sampled_from(["a.csv", "u.data", "ratings.dat", "a.zip", "a.gz"]))
def test_any_bytes_are_read_or_refused(tmp_path, content, name):
    try:
        ratings = read_ratings(written(tmp_path, content, name), allow_nonpositive=True)
    except InputError as error:
        assert str(error).endswith(".")
    else:
        assert np.isfinite(ratings.table["rating"]).all()
        assert ratings.table["user"].between(0, ratings.num_users - 1).all()
    assert [path.name for path in tmp_path.iterdir() if path.name == name] == [name]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_zip_with_one_byte_changed(tmp_path, at, byte):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("ml-1m/ratings.dat", "1::10::5::1\n2::30::3::2\n")
        file.writestr("ml-1m/movies.dat", "10::Some Film (1995)::Drama\n")
    content = bytearray(path.read_bytes())
    content[at % len(content)] = byte
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert len(read_ratings(path).table) == 2
