"""What the lessons share: the films, a student's own numbers, stored results, a shown figure."""

from __future__ import annotations

import contextlib
import importlib.metadata
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2l_autorec.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from d2l_autorec.data.formats import Ratings


def movielens() -> Ratings:
    """Load MovieLens 100K with titles as people say them: "The Terminator" for "Terminator, The".

    Users and films have the ids of MovieLens, from 1: row or column ``n`` of a matrix belongs to
    id ``n + 1``.
    """
    from d2l_autorec.data.sources import load_ml100k

    ratings = load_ml100k(quiet=True)
    if ratings.items is None:
        raise InputError("The lessons need the films' titles, and no source of them was reached.")
    titles = ratings.items["title"].str
    ratings.items["title"] = titles.replace(r"^(.+), (The|An?|Il|Das)$", r"\2 \1", regex=True)
    return ratings


def draws(student: int, task: str) -> np.random.Generator:
    """Return the generator of random numbers for one student's version of a task."""
    import numpy as np

    return np.random.default_rng([student, zlib.crc32(task.encode())])


def small_matrix(
    student: int, task: str, num_items: int = 6, num_users: int = 8, share: float = 0.5
) -> np.ndarray:
    """Draw a student's own matrix (num_items, num_users) of made ratings for a task: float32.

    They are 1 to 5, and 0 where there is none. Every row and column has some of both.
    """
    from d2l_autorec.course.questions import ratings

    return ratings(draws(student, task), num_items, num_users, share)


def stored(name: str) -> pd.DataFrame:
    """Read a table that an experiment left in ``results/``, such as ``study/runs.csv``.

    Outside a clone, the copy that was installed with the package is read.
    """
    import pandas as pd

    places = [Path(__file__).parents[2] / "results", Path("../results"), Path("results")]
    found = [place / name for place in places if (place / name).is_file()]
    if not found:
        end = f"d2l_autorec/results/{name}"
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            files = importlib.metadata.files("d2l-autorec") or []
            found = [Path(str(file.locate())) for file in files if file.as_posix().endswith(end)]
    if not found:
        raise InputError(f"results/{name} is not at hand: open the lesson in a clone.")
    return pd.read_csv(found[0])


def show(figure: Figure, words: str) -> Any:
    """Return a figure as a PNG that a notebook displays; the words are for who cannot see it."""
    from IPython.display import Image

    from d2l_autorec.plots import images

    return Image(images(figure)["png"], width=round(100 * figure.get_figwidth()), alt=words)
