"""Explain a prediction by leaving out each rating that it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.models.trained import require_finite
from d2l_autorec.serving.lookup import find_codes, id_columns
from d2l_autorec.serving.model import Model

_CHUNK = 4096  # ratings left out at a time: a few arrays of them x hidden[0]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A prediction, and the effect of each rating on it.

    Attributes
    ----------
    prediction : float
        Before it is clipped to the rating range.
    table : pandas.DataFrame
        The most telling rating first: ``item`` with ``title``, ``year`` and ``genres`` where known
        (user-based: the user's own ratings), ``user`` (item-based: the item's raters), or both
        (a blend of both kinds); ``rating``; ``without``, the prediction where it is not read;
        ``change``, the prediction less that.
    """

    prediction: float
    table: pd.DataFrame


def explain(model: Model, user: Any, item: Any) -> Explanation:
    """Leave out each rating that is read for a prediction, in one batch.

    An item-based network reads the item's ratings by all users, a user-based one the user's
    ratings of all items. Biases that a network adds stay as they are. Each change is that of one
    rating alone, so the changes do not add up.

    Parameters
    ----------
    model : Model
    user, item : ids

    Raises
    ------
    InputError
        If an id is unknown.
    """
    trained = model.trained
    users, items = find_codes(model, "user", [user]), find_codes(model, "item", [item])
    read = {
        "item": trained.oriented("item")[items[0]],  # (1, num_users)
        "user": trained.oriented("user")[users[0]],  # (1, num_items)
    }
    changes = {network.by: np.zeros(read[network.by].nnz) for network in trained.networks}
    prediction = 0.0
    for k, (network, factor) in enumerate(zip(trained.networks, trained.factors)):
        with np.errstate(over="ignore", invalid="ignore"):
            stars = require_finite(_leave_out(model, k, users, items))  # all, then without each
        if trained.combined:
            stars = trained.limited(stars, network.recipe, users, items)
        prediction += factor * float(stars[0])
        changes[network.by] += factor * (float(stars[0]) - stars[1:].astype(float))
    parts = []
    for by, what, code in (("item", "user", items), ("user", "item", users)):
        if by in changes:
            columns = id_columns(model, what, read[by].indices)
            if model.by == "both":
                columns = {**id_columns(model, by, np.repeat(code, read[by].nnz)), **columns}
            parts.append(pd.DataFrame({**columns, "rating": read[by].data, "change": changes[by]}))
    table = parts[0]
    if len(parts) > 1:  # the rating of the pair itself is read by both kinds
        table = pd.concat(parts, ignore_index=True)
        keys = ["user", "item"]
        table["change"] = table.groupby(keys)["change"].transform("sum")
        table = table.drop_duplicates(keys)
    table.insert(table.columns.get_loc("change"), "without", prediction - table["change"])
    order = table["change"].abs().sort_values(ascending=False, kind="stable").index
    return Explanation(prediction, table.loc[order].reset_index(drop=True))


def _leave_out(model: Model, k: int, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Predict a pair with one network, from all ratings and without each: (1 + num_read,)."""
    network = model.trained.networks[k]
    rows, cols = network.rows_and_cols(users, items)
    inputs = model.trained.inputs[k][rows[0]]  # (1, num_inputs)
    total = network.read(inputs)  # (1, hidden[0])
    W, b = network.output_layer
    parts = [network.encode(total)[-1] @ W[cols[0]]]
    for start in range(0, inputs.nnz, _CHUNK):
        part = slice(start, start + _CHUNK)
        V = network.input_columns[inputs.indices[part]]  # (part, hidden[0])
        without = total - V * inputs.data[part, None]
        parts.append(network.encode(without)[-1] @ W[cols[0]])
    return network.to_stars(network.output(np.concatenate(parts) + b[cols[0]]), rows, cols)
