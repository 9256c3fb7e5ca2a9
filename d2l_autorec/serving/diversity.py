"""Diversity of recommended lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.serving.filters import genres_of
from d2l_autorec.serving.lookup import known_codes
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.similar import directions

if TYPE_CHECKING:
    import pandas as pd


def diversity(model: Model, table: pd.DataFrame) -> pd.DataFrame:
    """Return the diversity of each list in a table of recommendations.

    Parameters
    ----------
    model : Model
    table : pandas.DataFrame
        From `d2l_autorec.serving.recommend.recommend`, a list for each user, or from
        `d2l_autorec.serving.foldin.new_user`, one list.

    Returns
    -------
    pandas.DataFrame
        ``user``, where the table has it; ``intra_list``, the mean of 1 - cosine over all pairs of
        the list, with the cosine of `d2l_autorec.serving.similar.similar`: 0 where all items point
        the same way, about 1 where they have nothing in common, and nan for a single item;
        ``num_genres``, how many genres the list has, -1 where the model knows none.

    Notes
    -----
    Smyth and McClave, "Similarity vs. Diversity" (2001): the sum of 1 - similarity over all pairs,
    divided by their number.
    """
    import pandas as pd

    codes = known_codes(model, "item", table["item"])
    genres = genres_of(model)
    has_genres = any(genres)
    users = table["user"].tolist() if "user" in table else [None] * len(table)
    ends = [i for i in range(1, len(users)) if users[i] != users[i - 1]] + [len(users)]
    lists = [codes[start:end] for start, end in zip([0, *ends], ends) if end > start]
    cosine = np.zeros(len(lists))
    for k, factor in enumerate(model.trained.factors):
        unit = directions(model, "item", k)
        cosine += factor * np.array([_mean_cosine(unit[items]) for items in lists])
    made = {
        "user": [users[end - 1] for end in ends if end],
        "intra_list": 1 - cosine / (sum(model.trained.factors) or 1.0),
        "num_genres": [
            len({name for item in items for name in genres[item]}) if has_genres else -1
            for items in lists
        ],
    }
    return pd.DataFrame({name: made[name] for name in made if name != "user" or "user" in table})


def _mean_cosine(unit: np.ndarray) -> float:
    """Return the mean of u·v over all pairs of unit vectors (count, size); nan for one."""
    count = len(unit)
    if count < 2:
        return float("nan")
    total = unit.sum(axis=0, dtype=float)
    return float((total @ total - np.square(unit, dtype=float).sum()) / (count * (count - 1)))
