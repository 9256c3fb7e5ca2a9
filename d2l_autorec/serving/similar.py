"""Similar items and users, and the diversity of lists, by hidden codes or output weights."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.serving.lookup import find_codes, id_columns, known_codes
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import best_columns, check_numbers


def basis(model: Model, what: str) -> str:
    """Say what users or items are compared by.

    An item-based network has a hidden code for each item, and a row of the output weights W for
    each user; a user-based one has them the other way round.
    """
    if model.by == "both":
        return "hidden codes and output weights"
    return "hidden codes" if what == model.by else "output weights"


def vectors(model: Model, what: str, k: int = 0) -> np.ndarray:
    """Return a network's vector of each user or item (count, size); see `basis`."""
    network = model.trained.networks[k]
    if what == network.by:
        return model.trained.hidden(k)[network.recipe.architecture.code_layer]
    return network.output_layer[0]


def similar(model: Model, what: str, name: Any, n: int = 10, min_ratings: int = 1) -> pd.DataFrame:
    """Return the n items nearest to an item, or the users nearest to a user.

    Parameters
    ----------
    what : {"item", "user"}
    name : id
    min_ratings : int
        Training ratings that a neighbour needs.

    Returns
    -------
    pandas.DataFrame
        ``rank`` from 1, ``item`` with ``title``, ``year`` and ``genres`` where known, or ``user``;
        ``similarity``, the cosine of the two `vectors`, less the mean over all that have ratings,
        and in a blend its mean over the networks; ``num_ratings`` in training.

    Raises
    ------
    InputError
        If the id is unknown, or n or min_ratings cannot be.
    """
    check_numbers(n, min_ratings)
    code = find_codes(model, what, [name])[0]
    counts = model.trained.counts(what)
    cosine = _mean_over_networks(model, what, lambda unit: unit @ unit[code])
    cosine[counts < min_ratings] = -np.inf
    cosine[code] = -np.inf
    _, best, rank = best_columns(cosine[None], n)
    columns = id_columns(model, what, best)
    return pd.DataFrame(
        {"rank": rank, **columns, "similarity": cosine[best], "num_ratings": counts[best]}
    )


def diversity(model: Model, table: pd.DataFrame) -> pd.DataFrame:
    """Return the diversity of each list in a table of recommendations.

    Parameters
    ----------
    table : pandas.DataFrame
        From `d2l_autorec.serving.recommend.recommend`, a list for each user, or from
        `d2l_autorec.serving.foldin.new_user`, one list.

    Returns
    -------
    pandas.DataFrame
        ``user``, where the table has it; ``intra_list``, the mean of 1 - cosine over all pairs of
        the list (Smyth and McClave, "Similarity vs. Diversity", 2001), with the cosine of
        `similar`: 0 where all items point the same way, about 1 where they have nothing in common,
        and nan for a single item; ``num_genres``, how many genres the list has, -1 where the model
        knows none.
    """
    codes = known_codes(model, "item", table["item"])
    users = table["user"].tolist() if "user" in table else [None] * len(table)
    runs = groupby(zip(users, codes.tolist()), lambda pair: pair[0])
    lists = [(user, [code for _, code in run]) for user, run in runs]
    cosine = _mean_over_networks(
        model, "item", lambda unit: np.array([_mean_cosine(unit[items]) for _, items in lists])
    )
    genres = [len({name for item in items for name in model.genres[item]}) for _, items in lists]
    made = pd.DataFrame(
        {
            "user": [user for user, _ in lists],
            "intra_list": 1 - cosine,
            "num_genres": genres if any(model.genres) else -1,
        }
    )
    return made if "user" in table else made.drop(columns="user")


def _mean_over_networks(
    model: Model, what: str, measure: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return the mean of a measure of each network's `directions`, weighted by the factors."""
    factors = model.trained.factors
    total: Any = 0.0
    for k, factor in enumerate(factors):
        total = total + factor * measure(directions(model, what, k))
    return total / (sum(factors) or 1.0)


def _mean_cosine(unit: np.ndarray) -> float:
    """Return the mean of u·v over all pairs of unit vectors (count, size); nan for one."""
    count = len(unit)
    if count < 2:
        return float("nan")
    total = unit.sum(axis=0, dtype=float)
    return float((total @ total - np.square(unit, dtype=float).sum()) / (count * (count - 1)))


def directions(model: Model, what: str, k: int = 0) -> np.ndarray:
    """Return a network's vectors less the mean of those that have ratings, each of length one.

    Their products are the cosines. A zero vector stays zero: it is similar to nothing. The result
    is cached.
    """
    kept = vars(model).setdefault("_directions", {})
    if (what, k) not in kept:
        space = vectors(model, what, k)
        known = model.trained.counts(what) > 0
        space = space - space[known].mean(axis=0)  # sigmoid codes all point the same way
        lengths = np.linalg.norm(space, axis=1, keepdims=True)
        kept[what, k] = np.divide(space, lengths, out=np.zeros_like(space), where=lengths > 0)
    return kept[what, k]
