"""Splits and matrices, element by element, against d2l's own functions."""

import time

import numpy
import pandas as pd
import pytest

from d2l_autorec.data.ids import without_duplicates
from d2l_autorec.data.matrices import interaction_csr, interaction_matrix
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.split import (
    holdout_split,
    load_split,
    random_split,
    save_split,
    seq_aware_split,
    split_digest,
)
from d2l_autorec.errors import InputError
from d2l_autorec.runtime import seed_everything

d2l = pytest.importorskip("d2l.mxnet")

COLUMNS = ["user_id", "item_id", "rating", "timestamp"]


def book_frame(table):
    """Our table as d2l reads it: ids from 1, whole ratings."""
    frame = pd.DataFrame(table).set_axis(COLUMNS, axis=1)
    ids = {"user_id": frame["user_id"] + 1, "item_id": frame["item_id"] + 1}
    return frame.assign(**ids, rating=frame["rating"].astype("int64"))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_split(ml100k, seed):
    frame = book_frame(ml100k.table)
    seed_everything(seed)
    book = d2l.split_data_ml100k(frame, 943, 1682)
    seed_everything(seed)
    ours = random_split(ml100k.table)
    for part, rows in zip(book, ours):
        numpy.testing.assert_array_equal(part.index.to_numpy(), rows)


def test_seq_aware_split_rows_and_their_order(ml100k):
    table = ml100k.table[ml100k.table["user"] < 40].reset_index(drop=True)
    frame = book_frame(table)
    book = d2l.split_data_ml100k(frame, 40, 1682, split_mode="seq-aware")
    for part, rows in zip(book, seq_aware_split(table)):
        numpy.testing.assert_array_equal(part.to_numpy(), frame.to_numpy()[rows])


def test_seq_aware_split_by_hand():
    table = pd.DataFrame(
        {
            "user": [1, 0, 0, 1, 0],
            "item": [0, 1, 2, 3, 4],
            "rating": [1.0, 2.0, 3.0, 4.0, 5.0],
            "timestamp": [9, 7, 7, 8, 5],
        }
    )
    train_rows, test_rows = seq_aware_split(table)
    assert test_rows.tolist() == [0, 1]  # user 1 first; of user 0's two at 7 the first
    assert train_rows.tolist() == [4, 2, 3]  # user 0 by time, then user 1
    with pytest.raises(InputError, match="timestamp"):
        seq_aware_split(table.assign(timestamp=0))


def test_matrix(ml100k):
    table = ml100k.table[:3000]
    _, _, _, book = d2l.load_data_ml100k(book_frame(table), 943, 1682)
    ours = interaction_matrix(table, 943, 1682)
    assert ours.dtype == numpy.float32
    numpy.testing.assert_array_equal(ours, book.asnumpy())
    numpy.testing.assert_array_equal(interaction_csr(table, 943, 1682).toarray(), ours)
    numpy.testing.assert_array_equal(interaction_matrix(table, 943, 1682, by_user=True), ours.T)


def test_whole_matrix_by_a_loop(ml100k):
    expected = numpy.zeros((1682, 943), "float32")
    for user, item, rating, _ in ml100k.table.itertuples(index=False):
        expected[item, user] = rating
    numpy.testing.assert_array_equal(interaction_matrix(ml100k.table, 943, 1682), expected)
    assert expected.sum() == 352_986


def test_last_of_a_pair_stands_and_zero_is_stored():
    table = pd.DataFrame({"user": [0, 1, 0], "item": [1, 0, 1], "rating": [5.0, 0.0, 2.0]})
    numpy.testing.assert_array_equal(interaction_matrix(table, 2, 2), [[0, 0], [2, 0]])
    matrix = interaction_csr(table, 2, 2)
    assert matrix.nnz == 2 and matrix.toarray().tolist() == [[0, 0], [2, 0]]


def test_pairs_beyond_32_bits():
    """With 70,000 users the first two pairs have one number in 32 bits; the last is a double."""
    user = numpy.array([0, 47_296, 5, 5], "int32")
    item = numpy.array([0, 61_356, 7, 7], "int32")
    rating = numpy.array([1, 2, 3, 4], "float32")
    table = pd.DataFrame({"user": user, "item": item, "rating": rating})
    matrix = interaction_csr(table, 70_000, 70_000)
    assert matrix.nnz == 3 and matrix[0, 0] == 1 and matrix[61_356, 47_296] == 2
    assert matrix[7, 5] == 4
    ids, rows, said = [numpy.arange(70_000)] * 2, numpy.arange(4), []
    kept, went = without_duplicates(table, ids, rows, str, ReadOptions(), False, said)
    assert kept["rating"].tolist() == [1, 2, 4] and went == 1
    assert without_duplicates(table[:3], ids, rows, str, ReadOptions(), False, said)[1] == 0


def best_of(runs, work):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_quick(ml100k):
    rows = random_split(ml100k.table)

    def both():
        return [interaction_matrix(ml100k.table, 943, 1682, rows=part) for part in rows]

    assert best_of(3, both) < 0.2
    assert best_of(3, lambda: seq_aware_split(ml100k.table)) < 1


def test_holdout_split_is_exact_seeded_and_leaves_the_global_generators_alone():
    seed_everything(0)
    before = numpy.random.get_state()[1].tolist()  # noqa: NPY002
    train_rows, test_rows = holdout_split(100, 0.1, seed=3)
    assert numpy.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert len(test_rows) == 10
    assert sorted([*train_rows, *test_rows]) == list(range(100))
    numpy.testing.assert_array_equal(holdout_split(100, 0.1, seed=3)[1], test_rows)
    assert holdout_split(100, 0.1, seed=4)[1].tolist() != test_rows.tolist()
    for ratio in (0, 1, -1):
        with pytest.raises(InputError, match="ratio"):
            holdout_split(100, ratio, seed=0)


def test_a_split_is_kept_as_row_numbers(ml100k, tmp_path):
    rows = holdout_split(len(ml100k.table), 0.1, seed=0)
    path = tmp_path / "split.npz"
    save_split(path, *rows, ml100k)
    for loaded, saved in zip(load_split(path, ml100k), rows):
        numpy.testing.assert_array_equal(loaded, saved)
    assert split_digest(rows[1]) == split_digest(rows[1][::-1]) != split_digest(rows[0])
    assert [file.name for file in tmp_path.iterdir()] == ["split.npz"]


@pytest.mark.parametrize("damage", ["missing", "cut", "other data", "pickle", "beyond"])
def test_a_damaged_split_is_refused(ml100k, tmp_path, damage):
    from dataclasses import replace

    path = tmp_path / "split.npz"
    rows = holdout_split(len(ml100k.table), 0.1, seed=0)
    if damage == "pickle":
        digest = numpy.array(ml100k.digest)
        objects = numpy.array([{}], dtype=object)
        numpy.savez(path, train_rows=objects, test_rows=rows[1], data_digest=digest)
    elif damage != "missing":
        shift = 200_000 if damage == "beyond" else 0
        data = replace(ml100k, digest="0" * 64) if damage == "other data" else ml100k
        save_split(path, rows[0] + shift, rows[1], data)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"split\.npz"):
        load_split(path, ml100k)
