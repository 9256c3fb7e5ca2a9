"""Splits by name: the canonical ones by their digests, the others by hand."""

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.data.formats import Ratings, read_ratings
from d2l_autorec.data.protocols import (
    CANONICAL,
    canonical_split,
    folds,
    leave_last_split,
    named_split,
    time_split,
    with_test_file,
)
from d2l_autorec.data.split import save_split, split_digest
from d2l_autorec.errors import InputError

# SHA-256 of the row numbers of GroupLens's u1.test and so on, as little-endian int64
DIGESTS = {
    "u1": "b49ed4334fe4a57fe3fdec8fe84b7b708cdd3022f6a6e8a3d1ce5e7476c4304e",
    "u2": "9615644cec1aecde15788e7d60692784d2105d15fa686d209e8bde60edb929b8",
    "u3": "7b6eb061b90b4fcdc594b69c546589c8220808ac6953eda3ce20e2b654786d69",
    "u4": "50f6d0236d294cd232fd49fe1e12a4e0ed614b078d243b3bb4e2658bf18383f0",
    "u5": "42c4ddf5d9e3d95d8047ce21c858fcf55e447509afbb76d472c73234ee1272b5",
    "ua": "97392f9daeb2c5b1afd149296ad8461039dafda3687b01e4ad41aabc8d5635c7",
    "ub": "27a74fdf9960f9b0b25786648f0378d9c66c9bd3bc8d20f1fa69f6bfe64ecae1",
}


def toy(times=(3, 1, 2, 2, 9), users=(0, 0, 1, 1, 2)):
    columns = {"user": users, "item": range(5), "rating": [1.0, 2, 3, 4, 5], "timestamp": times}
    return Ratings(pd.DataFrame(columns), np.arange(3), np.arange(5), None, "toy", "0" * 64)


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_splits_are_those_of_grouplens(ml100k, name):
    train_rows, test_rows = named_split(name, ml100k)
    assert split_digest(test_rows) == DIGESTS[name]
    assert len(test_rows) == (20_000 if name[1].isdigit() else 9_430)
    assert sorted([*train_rows, *test_rows]) == list(range(100_000))
    if name in ("ua", "ub"):
        assert (np.bincount(ml100k.table["user"].to_numpy()[test_rows]) == 10).all()


def test_canonical_splits_are_refused_for_other_data():
    with pytest.raises(InputError, match="--split ua is a split of MovieLens 100K, and toy"):
        canonical_split("ua", toy())


def test_time_and_leave_last_by_hand():
    train_rows, test_rows = time_split(toy(), 0.4)
    assert test_rows.tolist() == [0, 4] and train_rows.tolist() == [1, 2, 3]
    train_rows, test_rows = time_split(toy(times=(1, 1, 1, 1, 1)), 0.01)
    assert test_rows.tolist() == [4]
    train_rows, test_rows = leave_last_split(toy())
    assert test_rows.tolist() == [0, 3]  # of equal times the last; user 2 has but one rating
    assert train_rows.tolist() == [1, 2, 4]
    assert named_split("leave-last", toy())[1].tolist() == [0, 3]
    assert named_split("time", toy(), 0.4)[1].tolist() == [0, 4]
    assert named_split("seq-aware", toy())[1].tolist() == [0, 2, 4]
    with pytest.raises(InputError, match="every user has one rating"):
        leave_last_split(toy(users=(0, 1, 2, 3, 4)))


@pytest.mark.parametrize("name", ["time", "leave-last", "seq-aware"])
def test_splits_by_time_say_why_there_is_none(name, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user,item,rating,timestamp\n1,1,5,10\n1,2,4,\n")
    with pytest.warns(UserWarning, match=r"line 3: the timestamp is empty"):
        ratings = read_ratings(path)
    with pytest.raises(InputError, match=f"--split {name} needs .*line 3: the timestamp is empty"):
        named_split(name, ratings)


def test_a_split_from_a_file_and_none(tmp_path):
    rows = np.array([0, 2, 4]), np.array([1, 3])
    save_split(tmp_path / "mine.npz", *rows, toy())
    assert named_split(str(tmp_path / "mine.npz"), toy())[1].tolist() == [1, 3]
    with pytest.raises(
        InputError, match="--split 'u9' is neither a split nor a file; use random, "
    ):
        named_split("u9", toy())


def test_folds_hold_out_each_row_once():
    parts = list(folds(11, 4, seed=0))
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(11))
    for train_rows, test_rows in parts:
        assert sorted([*train_rows, *test_rows]) == list(range(11))
        assert len(test_rows) in (2, 3)
    assert parts[0][1].tolist() == next(folds(11, 4, seed=0))[1].tolist()
    assert [t.tolist() for _, t in folds(11, 4, seed=1)] != [t.tolist() for _, t in parts]
    for count in (1, 12):
        with pytest.raises(InputError, match="--folds is"):
            folds(11, count, seed=0)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_test_file_is_joined_by_ids(tmp_path):
    (tmp_path / "u1.base").write_text("7\t30\t5\t1\n9\t10\t4\t2\n")
    (tmp_path / "u1.test").write_text("9\t30\t3\t3\n8\t20\t1\t4\n")
    (tmp_path / "u.item").write_text(
        "".join(f"{i}|Film {i} (1995)|||{'|0' * 19}\n" for i in (10, 20))
    )
    base, test = (read_ratings(tmp_path / name) for name in ("u1.base", "u1.test"))
    both, (train_rows, test_rows) = with_test_file(base, test)
    assert both.user_ids.tolist() == [7, 8, 9] and both.item_ids.tolist() == [10, 20, 30]
    assert both.table["user"].tolist() == [0, 2, 2, 1]
    assert both.table["item"].tolist() == [2, 0, 2, 1]
    assert both.table["rating"].tolist() == [5, 4, 3, 1]
    assert train_rows.tolist() == [0, 1] and test_rows.tolist() == [2, 3]
    assert both.items["title"].fillna("").tolist() == ["Film 10", "Film 20", ""]
    assert both.items["item_id"].tolist() == [10, 20, 30]
    assert both.digest not in (base.digest, test.digest)
    (tmp_path / "leak.tsv").write_text("9\tx\t3\t3\n7\t30\t3\t3\n")
    with pytest.raises(
        InputError, match=r"1 of its 2 ratings are of pairs that are also in u1.base"
    ):
        with_test_file(base, read_ratings(tmp_path / "leak.tsv"))
