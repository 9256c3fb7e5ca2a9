"""Add new ratings to a trained model without training it again.

The ratings become part of what the networks read, so that the codes of the rows (the items of an
item-based network) follow from the encoder as it is. Mean and biases, where a network's targets
are above them, are fitted again to all ratings. A new row needs nothing else.

A new column (a user of an item-based network, an item of a user-based one) gets its output
weights by the ridge regression of `d2l_autorec.serving.foldin`, on the codes of the rows. The
encoder does not read it: its input weights are zero. A known column keeps its weights, unless it
had few ratings in the model, or no more than are new; then it gets others in the same way.

`d2l_autorec.experiments.updating` measures this against training again.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from d2l_autorec.data.formats import Ratings
from d2l_autorec.errors import InputError, clip
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.network import Network
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.serving.foldin import check_output, column_prior, column_weights
from d2l_autorec.serving.lookup import known_codes
from d2l_autorec.serving.model import TITLE_COLUMNS, Model

FEW = 20
"""A column with at most so many ratings gets other weights where it has new ones."""

_MAX_UPDATES = 100  # that the record lists


@dataclass(frozen=True, eq=False)
class Updated:
    """A model with more ratings than before.

    Attributes
    ----------
    model : Model
    added, changed : int
        Ratings of pairs without one, and of pairs that had another.
    new_users, new_items : int
    """

    model: Model
    added: int
    changed: int
    new_users: int
    new_items: int

    def counts(self) -> dict[str, int]:
        """Return the four counts by their names."""
        return {name: count for name, count in vars(self).items() if name != "model"}


def update(model: Model, ratings: Ratings) -> Updated:
    """Add ratings of known and new users and items to a model.

    Ratings that the model already has change nothing, so that a second update has no effect.

    Parameters
    ----------
    model : Model
        Stays as it is.
    ratings : Ratings
        The new ones. Of a pair that the model has, the new rating counts.

    Raises
    ------
    InputError
        If the model knows none of the users and none of the items, a rating lies outside its
        range, or a new user or item needs a network whose output is not ``identity``.
    """
    _check(model, ratings)
    user_ids, old_users, new_users = _merged(model.user_ids, ratings.user_ids, "user")
    item_ids, old_items, new_items = _merged(model.item_ids, ratings.item_ids, "item")
    items = _titles(model, ratings, item_ids, old_items, new_items)
    table, had = ratings.table, model.ratings.tocoo()
    width = np.int64(len(user_ids))
    new = new_items[table["item"].to_numpy()] * width + new_users[table["user"].to_numpy()]
    old = old_items[had.row] * width + old_users[had.col]
    stars = table["rating"].to_numpy(np.float32)
    both, at_new, at_old = np.intersect1d(new, old, assume_unique=True, return_indices=True)
    changed = both[stars[at_new] != had.data[at_old]]
    added = np.setdiff1d(new, old, assume_unique=True)
    counts = {
        "added": len(added),
        "changed": len(changed),
        "new_users": len(user_ids) - len(old_users),
        "new_items": len(item_ids) - len(old_items),
    }
    if not len(added) and not len(changed):
        return Updated(replace(model, items=items), **counts)
    # of a pair in both, the new rating
    places, first = np.unique(np.concatenate([new, old]), return_index=True)
    values = np.concatenate([stars, had.data])[first]
    shape = (len(item_ids), len(user_ids))
    matrix = sparse.csr_matrix((values, divmod(places, width)), shape, np.float32)
    touched = divmod(np.concatenate([added, changed]), width)
    networks = tuple(
        _extended(model.trained, k, matrix, divmod(old, width), touched, old_users, old_items)
        for k in range(len(model.trained.networks))
    )
    trained = TrainedModel(model.trained.recipe, networks, model.trained.factors, matrix)
    said = {"ratings": ratings.name, "digest": ratings.digest, **counts}
    updates = [*model.record.get("updates", []), said][-_MAX_UPDATES:]
    record = {**model.record, "updates": updates}
    made = Model(trained, user_ids, item_ids, items, model.low, model.high, record)
    return Updated(made, **counts)


def _check(model: Model, ratings: Ratings) -> None:
    users = known_codes(model, "user", ratings.user_ids.tolist())
    items = known_codes(model, "item", ratings.item_ids.tolist())
    if max(users.max(), items.max()) < 0:
        raise InputError(
            f"{ratings.name}: the model knows none of its users, such as "
            f"{clip(ratings.user_ids[0])}, and none of its items, such as "
            f"{clip(ratings.item_ids[0])}; give ratings of the same data, or say with --columns "
            "where they stand."
        )
    values = ratings.table["rating"].to_numpy()
    outside = ~((values >= model.low) & (values <= model.high))
    if outside.any():
        row = ratings.table.iloc[int(np.argmax(outside))]
        user, item = ratings.user_ids[int(row["user"])], ratings.item_ids[int(row["item"])]
        raise InputError(
            f"{ratings.name}: the rating {row['rating']:g} of item {clip(item)} by user "
            f"{clip(user)} is outside {model.low:g} to {model.high:g}, what the model was trained "
            "on; correct it or train anew."
        )


def _merged(ours: np.ndarray, theirs: np.ndarray, what: str) -> tuple[np.ndarray, ...]:
    """Return all ids in order, and the places of both kinds among them."""
    if ours.dtype.kind == theirs.dtype.kind == "i":
        ids: Any = np.union1d(ours, theirs)
    else:
        texts = [[str(name) for name in names.tolist()] for names in (ours, theirs)]
        if ours.dtype.kind == "i":
            warnings.warn(
                f"The model's {what} ids are whole numbers and not all of the new ones are; all "
                "become texts.",
                stacklevel=3,
            )
        ours, theirs = (np.array(names, dtype=object) for names in texts)
        ids = np.array(sorted({*texts[0], *texts[1]}), dtype=object)
    return ids, np.searchsorted(ids, ours), np.searchsorted(ids, theirs)


def _extended(
    trained: TrainedModel,
    k: int,
    matrix: sparse.csr_matrix,
    before: tuple[np.ndarray, np.ndarray],
    touched: tuple[np.ndarray, np.ndarray],
    users: np.ndarray,
    items: np.ndarray,
) -> Network:
    """Return a network for the new ratings (items, users).

    ``before`` are items and users of the ratings that the model had, ``touched`` of those that are
    new or another now; ``users`` and ``items`` are the new codes of the old ones.
    """
    network = trained.networks[k]
    columns, of_column = users, 1
    if network.by == "user":
        matrix, columns, of_column = matrix.T.tocsr(), items, 0
    last = len(network.recipe.architecture.hidden)
    weights, num_columns = network.weights, matrix.shape[1]
    V = np.zeros((len(weights["0.weight"]), num_columns), np.float32)
    W = np.zeros((num_columns, network.output_layer[0].shape[1]))
    b = np.zeros(num_columns)
    V[:, columns] = weights["0.weight"]
    W[columns], b[columns] = network.output_layer
    scale = replace(Scale.of(matrix, network.recipe), gain=network.scale.gain)
    read = matrix if scale.is_stars else scale.apply(matrix)
    wider = replace(network, weights={**weights, "0.weight": V}, scale=scale)
    had, more = (np.bincount(at[of_column], minlength=num_columns) for at in (before, touched))
    known = np.isin(np.arange(num_columns), columns)
    fits = (more > 0) & ((had <= FEW) | (more >= had) | ~known)
    if network.recipe.architecture.decoder != "identity":
        if not known.all():
            check_output(network)
        fits[:] = False
    if fits.any():
        prior = column_prior(trained, k)
        codes = wider.encode(wider.read(read))[-1].astype(float)
        by_column = read.tocsc()
        for column in np.flatnonzero(fits):
            part = slice(*by_column.indptr[column : column + 2])
            rows, own = by_column.indices[part], by_column.data[part]
            fitted = column_weights(prior, codes[rows], own)
            W[column], b[column] = fitted[:-1], fitted[-1]
    arrays = {"0.weight": V, f"{last}.weight": W, f"{last}.bias": b}
    new = {name: values.astype(np.float32) for name, values in arrays.items()}
    return replace(wider, weights={**weights, **new})


def _titles(
    model: Model,
    ratings: Ratings,
    item_ids: np.ndarray,
    old_items: np.ndarray,
    new_items: np.ndarray,
) -> pd.DataFrame | None:
    """Return the titles of all items: the model's own, or else those beside the ratings."""
    if model.items is None and ratings.items is None:
        return None
    items = pd.DataFrame({"item_id": item_ids})
    for name in TITLE_COLUMNS:
        values = np.full(len(item_ids), None, dtype=object)
        for table, places in ((ratings.items, new_items), (model.items, old_items)):
            if table is not None:
                known = table["title"].notna().to_numpy()
                values[places[known]] = table[name].astype(object).to_numpy()[known]
        items[name] = pd.Series(values, dtype="Int64" if name == "year" else object)
    return items
