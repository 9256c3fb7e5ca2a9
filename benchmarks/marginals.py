"""Compare the tails of real ratings with made-up ones of the same size.

    python -m benchmarks.marginals [FILE ...]

MovieLens 100K if no file is named. It measures what `d2l_autorec.data.synthetic` was fitted to.
"""

from __future__ import annotations

import sys

import numpy as np

from d2l_autorec.data.formats import Ratings, read_ratings
from d2l_autorec.data.sources import load_ml100k
from d2l_autorec.data.synthetic import synthetic_ratings


def marginals(counts: np.ndarray) -> dict[str, float]:
    """Gini coefficient, shares of the busiest, median and least of some numbers of ratings."""
    counts = np.sort(counts)[::-1].astype(float)
    count, total = len(counts), counts.sum()
    rank = np.arange(count, 0, -1)
    found = {"Gini": 2 * (rank * counts).sum() / (count * total) - (count + 1) / count}
    for share in (0.01, 0.1, 0.5):
        found[f"top {share:.0%}"] = counts[: max(int(count * share), 1)].sum() / total
    return {**found, "median": float(np.median(counts)), "least": counts[-1]}


def rows(ratings: Ratings) -> list[str]:
    """One line for users, one for items, one for the ratings themselves."""
    lines = []
    for kind in ("user", "item"):
        measured = marginals(np.bincount(ratings.table[kind]))
        values = " ".join(f"{name} {value:<8.4g}" for name, value in measured.items())
        lines.append(f"  {kind}s:  {values}")
    rating = ratings.table["rating"]
    shares = rating.value_counts(normalize=True).sort_index()
    text = " ".join(f"{stars:g}: {share:.3f}" for stars, share in shares.items())
    return [*lines, f"  ratings: mean {rating.mean():.3f} deviation {rating.std():.3f}  {text}"]


def main() -> None:
    """Print real and made-up marginals in turn."""
    for real in [read_ratings(path) for path in sys.argv[1:]] or [load_ml100k()]:
        made = synthetic_ratings(real.num_users, real.num_items, len(real.table))
        for ratings in (real, made):
            print(ratings.name, *rows(ratings), sep="\n")


if __name__ == "__main__":
    main()
