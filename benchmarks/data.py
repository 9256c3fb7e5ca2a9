"""The matrices: made once, kept in the cache, read in an instant."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from scipy import sparse

from benchmarks.sizes import BATCH, SIZES

PARTS = ("data", "indices", "indptr")


def cached(size: str, seed: int) -> Path:
    """Where a size with its split is kept."""
    from d2l_autorec.data.sources import cache_folder

    kind = "" if size == "ml-100k" else "synthetic-"
    return cache_folder() / "benchmark" / f"{kind}{size}-{seed}"


def csv_file(size: str) -> Path:
    """Where a size is kept as CSV, for the commands."""
    return cached(size, 0).with_suffix(".csv")


def prepare(size: str, seed: int, csv: bool = False) -> None:
    """Split a size's ratings into item x user matrices, unless they are there."""
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.sources import load_ml100k
    from d2l_autorec.data.split import holdout_split
    from d2l_autorec.data.synthetic import Synthetic, synthetic_ratings
    from d2l_autorec.data.synthetic_files import write_synthetic

    folder = cached(size, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if csv and not csv_file(size).exists():
        write_synthetic(csv_file(size), Synthetic(*SIZES[size].shape))
    if folder.exists():
        return
    ratings = load_ml100k() if size == "ml-100k" else synthetic_ratings(*SIZES[size].shape)
    rows = holdout_split(len(ratings.table), 0.1, seed)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        for name, chosen in zip(("train", "test"), rows):
            matrix = interaction_csr(ratings.table, ratings.num_users, ratings.num_items, chosen)
            for part in PARTS:
                np.save(made / f"{name}_{part}.npy", getattr(matrix, part))
        np.save(made / "shape.npy", matrix.shape)
        shutil.move(made, folder)


def load(folder: str) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Read training and held-out ratings, (num_items, num_users) each."""
    shape = tuple(np.load(Path(folder, "shape.npy")))
    train, test = (
        tuple(np.load(Path(folder, f"{name}_{part}.npy")) for part in PARTS)
        for name in ("train", "test")
    )
    return sparse.csr_matrix(train, shape), sparse.csr_matrix(test, shape)


def plan(
    num_rows: int, epochs: int, limit: int | None, seed: int, batch: int = BATCH
) -> list[list[np.ndarray]]:
    """Rows of each batch of each epoch, equal for all engines.

    The first epoch is a single batch, to warm up; then rows roll over from epoch to epoch, as in
    the chapter. With a limit there is one more epoch, of as many batches.
    """
    rng = np.random.default_rng(seed)
    size = min(batch, num_rows)
    planned, rest = [[rng.permutation(num_rows)[:size]]], np.empty(0, np.int64)
    for _ in range(epochs if limit is None else 1):
        rows = np.concatenate([rest, rng.permutation(num_rows)])
        full = len(rows) // size * size
        rest = rows[full:]
        planned.append(list(rows[:full].reshape(-1, size))[:limit])
    return planned
