"""A histogram of ratings, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d2l_autorec.atomic import write_atomic
from d2l_autorec.data.formats import Ratings
from d2l_autorec.errors import refused

KINDS = (".png", ".svg", ".pdf")


def draw(ratings: Ratings, path: Path) -> None:
    """Draw how often each rating occurs, and how many ratings the users have.

    Raises an InputError if the file cannot be written.
    """
    from matplotlib.figure import Figure

    values = ratings.table["rating"].to_numpy(np.float64)
    different, counts = np.unique(values, return_counts=True)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    if len(different) <= 50:
        step = np.diff(different).min() if len(different) > 1 else 1.0
        left.bar(different, counts, width=0.8 * step)
    else:
        left.hist(values, bins=50)
    left.set(xlabel="rating", ylabel="ratings", title="how often each rating occurs")
    each = np.bincount(ratings.table["user"].to_numpy(), minlength=ratings.num_users)
    right.hist(each, bins=np.geomspace(1, each.max() + 1, 30))
    right.set(xlabel="ratings of a user", ylabel="users", xscale="log", yscale="log")
    right.set_title("how many ratings the users have")
    with refused(f"--plot {path} cannot be written", "name another folder"):
        write_atomic(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=150))
