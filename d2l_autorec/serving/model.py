"""A trained AutoRec with all that is needed to ask it: ids, titles and the rating range."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from d2l_autorec import runs
from d2l_autorec.models.trained import TrainedModel

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings

TITLE_COLUMNS = ("title", "year", "genres")


@dataclass(frozen=True, eq=False)
class Model:
    """A trained AutoRec with all that is needed to ask it.

    Attributes
    ----------
    trained : TrainedModel
        The networks, and the ratings that they read.
    user_ids, item_ids : numpy.ndarray
        The original id of each code, as in `d2l_autorec.data.formats.Ratings`.
    items : pandas.DataFrame or None
        By item code: ``item_id``, ``title``, ``year``, ``genres``.
    low, high : float
        Predictions are clipped to these: the range given, or the smallest and the largest rating
        trained on.
    record : dict
        Where the model comes from, for people: plan, digests, versions, result.
    digest : str
        The one of ``model.json``; empty where the model was not read from a folder.
    """

    trained: TrainedModel
    user_ids: np.ndarray
    item_ids: np.ndarray
    items: pd.DataFrame | None
    low: float
    high: float
    record: dict[str, Any]
    digest: str = ""

    @cached_property
    def user_codes(self) -> dict[str, int]:
        """The code of each user id, written as a string."""
        return {name: code for code, name in enumerate(map(str, self.user_ids.tolist()))}

    @cached_property
    def item_codes(self) -> dict[str, int]:
        """The code of each item id, written as a string."""
        return {name: code for code, name in enumerate(map(str, self.item_ids.tolist()))}

    @cached_property
    def genres(self) -> list[list[str]]:
        """The genres of each item: between ``|``, or between commas if there is no ``|``."""
        if self.items is None:
            return [[] for _ in self.item_ids]
        texts = self.items["genres"].fillna("").tolist()
        sign = "|" if any("|" in text for text in texts) else ","
        return [[part.strip() for part in text.split(sign) if part.strip()] for text in texts]

    @property
    def ratings(self) -> sparse.csr_matrix:
        """The ratings trained on, (num_items, num_users)."""
        return self.trained.ratings

    @property
    def by(self) -> str:
        """What the networks read a row of: "item", "user", or "both" in a mixed blend."""
        kinds = {network.by for network in self.trained.networks}
        return kinds.pop() if len(kinds) == 1 else "both"


def make_model(trained: TrainedModel, ratings: Ratings, record: dict[str, Any]) -> Model:
    """Make a model from what training returned and the ratings.

    Parameters
    ----------
    trained : TrainedModel
        Only the ratings that it was trained on are kept, so that held-out ratings stay unseen.
    ratings : Ratings
        The whole data.
    record : dict
        From `d2l_autorec.training.run.record`.
    """
    data, clip = trained.ratings.data, trained.recipe.clip
    low, high = clip if isinstance(clip, tuple) else (float(data.min()), float(data.max()))
    record = {
        **{name: value for name, value in record.items() if name != "command"},
        "data": {"name": ratings.name, "digest": ratings.digest},
        "versions": runs.versions(),
    }
    record = json.loads(json.dumps(record))  # as it will be read back
    ids = ratings.user_ids, ratings.item_ids
    return Model(trained, *ids, ratings.items, low, high, record)


def flat_arrays(trained: TrainedModel) -> dict[str, np.ndarray]:
    """Return all arrays of a model's networks under one name each.

    Those of a single network are ``"0.weight"``, ``"0.bias"`` and so on, float32, input side
    first; where it reads ratings above biases, also ``"row_bias"`` and ``"col_bias"``, float64.
    Those of several networks have ``"network0."`` and so on in front.
    """
    arrays: dict[str, np.ndarray] = {}
    for k, network in enumerate(trained.networks):
        front = f"network{k}." if len(trained.networks) > 1 else ""
        arrays.update({f"{front}{name}": values for name, values in network.weights.items()})
        if network.recipe.targets == "biases":
            arrays[f"{front}row_bias"] = network.scale.row
            arrays[f"{front}col_bias"] = network.scale.col
    return arrays


def with_arrays(trained: TrainedModel, arrays: dict[str, np.ndarray]) -> TrainedModel:
    """Return the model with other arrays, named as in `flat_arrays`."""
    networks = []
    for k, network in enumerate(trained.networks):
        front = f"network{k}." if len(trained.networks) > 1 else ""
        own = {name[len(front) :]: a for name, a in arrays.items() if name.startswith(front)}
        scale = network.scale
        if network.recipe.targets == "biases":
            scale = replace(scale, row=own.pop("row_bias"), col=own.pop("col_bias"))
        networks.append(replace(network, weights=own, scale=scale))
    return replace(trained, networks=tuple(networks))


def flat_shapes(
    num_users: int, num_items: int, recipes: Sequence[Any]
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the name, shape and type of all arrays of networks with these recipes."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    for k, recipe in enumerate(recipes):
        front = f"network{k}." if len(recipes) > 1 else ""
        rows, cols = recipe.architecture.oriented(num_users, num_items)
        for name, shape in recipe.architecture.weight_shapes(cols).items():
            shapes[f"{front}{name}"] = (shape, "<f4")
        if recipe.targets == "biases":
            shapes[f"{front}row_bias"] = ((rows,), "<f8")
            shapes[f"{front}col_bias"] = ((cols,), "<f8")
    return shapes


def ids_digest(model: Model) -> str:
    """SHA-256 in hex of ``[user_ids, item_ids]`` as JSON without spaces, non-ASCII escaped."""
    ids = [model.user_ids.tolist(), model.item_ids.tolist()]
    return hashlib.sha256(json.dumps(ids, separators=(",", ":")).encode()).hexdigest()
