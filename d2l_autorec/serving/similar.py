"""Similar items and users, by their hidden codes or output weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.serving.lookup import find_codes, id_columns
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import best_columns, check_numbers

if TYPE_CHECKING:
    import pandas as pd


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
    """Return the items nearest to an item, or the users nearest to a user.

    Parameters
    ----------
    model : Model
    what : {"item", "user"}
    name : id
    n : int
        How many.
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
    import pandas as pd

    check_numbers(n, min_ratings)
    code = find_codes(model, what, [name])[0]
    counts = model.trained.counts(what)
    cosine: Any = 0.0
    for k, factor in enumerate(model.trained.factors):
        unit = directions(model, what, k)
        cosine = cosine + factor * (unit @ unit[code])
    cosine = cosine / (sum(model.trained.factors) or 1.0)
    cosine[counts < min_ratings] = -np.inf
    cosine[code] = -np.inf
    _, best, rank = best_columns(cosine[None], n)
    columns = id_columns(model, what, best)
    return pd.DataFrame(
        {"rank": rank, **columns, "similarity": cosine[best], "num_ratings": counts[best]}
    )


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
