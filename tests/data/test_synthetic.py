"""Made-up ratings: what is asked for, the same for a seed, with long tails, and readable."""

import json
import subprocess
import sys

import numpy as np
import pytest

from d2l_autorec.cli import data as commands
from d2l_autorec.data import synthetic
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.synthetic import LIKE, Synthetic, chunks, synthetic_ratings
from d2l_autorec.data.synthetic_files import write_synthetic
from d2l_autorec.errors import InputError


def columns(what):
    return [np.concatenate(column) for column in zip(*chunks(what))]


def share_of_top(counts, share):
    counts = np.sort(counts)[::-1]
    return counts[: int(len(counts) * share)].sum() / counts.sum()


def gini(counts):
    """Mean difference of all pairs over twice the mean, from its definition."""
    return np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())


@pytest.mark.parametrize(
    ("users", "items", "ratings"),
    [(1, 1, 1), (7, 5, 35), (7, 5, 34), (7, 5, 7), (5, 7, 7), (300, 200, 9000), (40, 3, 100)],
)
def test_as_many_as_asked_for_and_no_pair_twice(users, items, ratings):
    user, item, rating = columns(Synthetic(users, items, ratings, seed=3))
    assert len(set(zip(user, item))) == len(rating) == ratings
    assert set(user) == set(range(users)) and set(item) == set(range(items))
    assert set(rating) <= {1, 2, 3, 4, 5}


def test_a_seed_is_the_ratings(monkeypatch):
    monkeypatch.setattr(synthetic, "_CHUNK", 1000)  # several chunks
    first, again, other = (columns(Synthetic(200, 100, 5000, seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not np.array_equal(first[1], other[1])


def test_half_stars():
    rating = columns(Synthetic(300, 200, 9000, half_stars=True))[2]
    assert set(rating) <= set(np.arange(1, 11) / 2) and 3.5 in rating and rating.min() >= 0.5


@pytest.mark.parametrize("size", [(0, 5, 5), (5, 5, 4), (5, 5, 26), (5, 9, 8)])
def test_impossible_sizes(size):
    with pytest.raises(InputError, match="users and"):
        chunks(Synthetic(*size))


def test_tails_are_those_of_ml100k(ml100k):
    real = [np.bincount(ml100k.table[name]) for name in ("user", "item")]
    made = [np.bincount(column) for column in columns(Synthetic(*LIKE["ml-100k"]))[:2]]
    for a, b in zip(real, made):
        assert gini(b) == pytest.approx(gini(a), abs=0.03)
        assert share_of_top(b, 0.1) == pytest.approx(share_of_top(a, 0.1), abs=0.04)
        assert share_of_top(b, 0.5) == pytest.approx(share_of_top(a, 0.5), abs=0.02)
        assert b.min() == a.min()  # 20 and 1


def test_more_than_biases_can_be_learned():
    """What remains after the biases has a direction, which shuffled values have not."""
    ratings = synthetic_ratings(400, 300, 60_000, seed=1)
    matrix = np.full((400, 300), np.nan)
    matrix[ratings.table["user"], ratings.table["item"]] = ratings.table["rating"]
    assert np.nanvar(matrix) > 1
    for axis in (0, 1, 0, 1):
        matrix -= np.nanmean(matrix, axis=axis, keepdims=True)
    seen = ~np.isnan(matrix)
    values = matrix[seen]
    strength = np.linalg.norm(np.nan_to_num(matrix), 2)
    matrix[seen] = np.random.default_rng(0).permutation(values)
    assert strength > 1.2 * np.linalg.norm(np.nan_to_num(matrix), 2)


@pytest.mark.parametrize("half_stars", [False, True])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv_is_read_back(tmp_path, suffix, half_stars):
    what = Synthetic(50, 40, 900, 5, half_stars)
    path = tmp_path / f"{what.name}{suffix}"
    write_synthetic(path, what)
    back = read_ratings(path, ReadOptions(duplicates="error"))
    made = synthetic_ratings(50, 40, 900, 5, half_stars)
    assert made.table.equals(back.table)
    assert made.num_users == back.num_users == 50 and made.num_items == back.num_items == 40
    assert "synthetic" in back.name and "synthetic" in made.name
    if suffix == ".csv":
        assert "synthetic" in path.read_text().splitlines()[0]


def test_npz_is_read_back(tmp_path):
    write_synthetic(tmp_path / "a.npz", Synthetic(50, 40, 900, 5))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert str(arrays["name"]).startswith("synthetic")
        table = synthetic_ratings(50, 40, 900, 5).table
        for name in ("user", "item", "rating"):
            assert np.array_equal(arrays[name], table[name])
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("half", [False, True])
def test_what_is_written_as_npz_is_read_as_the_csv_is(tmp_path, half):
    what = Synthetic(30, 20, 200, seed=1, half_stars=half)
    for name in ("a.npz", "a.csv"):
        write_synthetic(tmp_path / name, what)
    arrays, text = (read_ratings(tmp_path / name) for name in ("a.npz", "a.csv"))
    assert arrays.table.equals(text.table) and arrays.name == what.name
    assert arrays.user_ids.tolist() == text.user_ids.tolist() == list(range(1, 31))
    assert arrays.item_ids.tolist() == text.item_ids.tolist() == list(range(1, 21))


@pytest.mark.parametrize(
    "changed",
    [
        {"user": np.array([-1, 0], np.int32)},
        {"user": np.array([0], np.int32)},
        {"rating": np.array([1, 2], np.int32)},
        {"more": np.array([1])},
        {"name": np.array([1, 2])},
        {"user": np.array([{}, {}], dtype=object)},
    ],
)
def test_other_arrays_are_refused(tmp_path, changed):
    arrays = {"user": np.array([0, 1], np.int32), "item": np.array([0, 1], np.int32)}
    arrays |= {"rating": np.array([1, 2], np.float32), "name": np.array("x"), **changed}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=r"a\.npz"):
        read_ratings(tmp_path / "a.npz")


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "d2l_autorec", "synthetic", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_command(tmp_path):
    out = tmp_path / "toy.csv"
    run = command("--users", 9, "--items", 8, "--ratings", 30, "--out", out, "--json")
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert record["name"] == "synthetic-9x8-30-seed0" and record["ratings"] == 30
    assert len(read_ratings(out).table) == 30 and run.stderr == ""
    again = command("--out", out)
    assert again.returncode == 2 and "exists" in again.stderr and again.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--like", "netflix"], "--like"),
        (["--out", "a.txt"], "--out"),
        (["--out", "no/such/folder/a.csv"], "--out"),
        (["--ratings", "5"], "--ratings"),
    ],
)
def test_command_refuses(arguments, named):
    run = command(*arguments)
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1 and named in run.stderr


def test_a_path_is_refused_before_a_bar_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "counting_bar", None)
    with pytest.raises(InputError, match="--out"):
        commands.synthetic(out=tmp_path / "a.txt")


def test_memory_does_not_grow_with_the_ratings(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path;"
        "from d2l_autorec.data import synthetic; synthetic._CHUNK = 100_000;"
        "from d2l_autorec.data.synthetic_files import write_synthetic;"
        "write_synthetic(Path(sys.argv[1]), synthetic.Synthetic(20000, 3000, int(sys.argv[2])));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for count in (1_000_000, 4_000_000):
        made = [sys.executable, "-c", code, tmp_path / f"{count}.npz", str(count)]
        peaks.append(int(subprocess.run(made, capture_output=True, text=True).stdout))
    assert peaks[1] < peaks[0] + 20_000  # KiB; what is made takes 36 MB more
