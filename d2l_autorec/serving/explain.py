"""Why a prediction is what it is: each rating that was read is left out in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.models.activations import activate
from d2l_autorec.serving.inference import encode, output_layer, read
from d2l_autorec.serving.lookup import find_codes, id_columns
from d2l_autorec.serving.model import Model

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Explanation:
    """A prediction, and what each rating did to it.

    Attributes
    ----------
    prediction : float
        Before it is clipped to the rating range.
    table : pandas.DataFrame
        The most telling rating first: ``item`` with ``title``, ``year`` and ``genres`` where known
        (user-based: the user's own ratings) or ``user`` (item-based: the item's raters);
        ``rating``; ``without``, the prediction where the network does not read it; ``change``,
        the prediction less that.
    """

    prediction: float
    table: pd.DataFrame


def explain(model: Model, user: Any, item: Any) -> Explanation:
    """Leave out each rating that the network reads for a prediction, in one batch.

    An item-based network reads the item's ratings by all users, a user-based one the user's
    ratings of all items. All changes are those of one rating alone: they do not add up.

    Parameters
    ----------
    model : Model
    user, item : ids

    Raises
    ------
    InputError
        If an id is unknown.
    """
    import pandas as pd

    user_code, item_code = (
        find_codes(model, "user", [user])[0],
        find_codes(model, "item", [item])[0],
    )
    row, column = (item_code, user_code) if model.by == "item" else (user_code, item_code)
    ratings = model.ratings[row]  # (1, num_inputs)
    V = model.weights["0.weight"][:, ratings.indices]  # (hidden[0], num_read)
    total = read(model, ratings)  # (1, hidden[0])
    batch = np.concatenate([total, total - (V * ratings.data).T])  # all ratings, then without each
    W, b = output_layer(model)
    prediction = activate(model.decoder, encode(model, batch)[-1] @ W[column] + b[column])
    without = prediction[1:].astype(float)
    what = "user" if model.by == "item" else "item"
    table = pd.DataFrame(
        {
            **id_columns(model, what, ratings.indices),
            "rating": ratings.data,
            "without": without,
            "change": float(prediction[0]) - without,
        }
    )
    order = table["change"].abs().sort_values(ascending=False, kind="stable").index
    return Explanation(float(prediction[0]), table.loc[order].reset_index(drop=True))
