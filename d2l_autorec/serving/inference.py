"""The network in NumPy: ``f(W g(V r + mu) + b)`` for ratings read, with any depth."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import sparse

from d2l_autorec.models.activations import activate
from d2l_autorec.serving.model import Model


def read(model: Model, rows: sparse.csr_matrix) -> np.ndarray:
    """Return ``V r`` of some rows (batch, num_inputs), without the bias: (batch, hidden[0])."""
    return rows @ model.weights["0.weight"].T


def encode(model: Model, read: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of the hidden layers, (batch, hidden[i]) each, for ``V r``."""
    outputs = [activate(model.encoder, read + model.weights["0.bias"])]
    for i in range(1, len(model.hidden)):
        z = outputs[-1] @ model.weights[f"{i}.weight"].T + model.weights[f"{i}.bias"]
        outputs.append(activate(model.encoder, z))
    return outputs


def output_layer(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Return W (num_inputs, hidden[-1]) and b (num_inputs,)."""
    last = len(model.hidden)
    return model.weights[f"{last}.weight"], model.weights[f"{last}.bias"]


def reconstruct(model: Model, rows: sparse.csr_matrix) -> np.ndarray:
    """Return what the network makes of some rows, (batch, num_inputs), not clipped."""
    W, b = output_layer(model)
    return activate(model.decoder, encode(model, read(model, rows))[-1] @ W.T + b)


@lru_cache(maxsize=1)
def hidden_layers(model: Model) -> list[np.ndarray]:
    """Return the outputs of the hidden layers for all rows; the last model's are kept."""
    return encode(model, read(model, model.ratings))


@lru_cache(maxsize=1)
def by_user(model: Model) -> sparse.csr_matrix:
    """Return the ratings as (users, items), whatever the network reads."""
    return model.ratings if model.by == "user" else model.ratings.T.tocsr()


def score_users(model: Model, users: np.ndarray) -> np.ndarray:
    """Predict all items for some users (codes): (len(users), num_items), not clipped."""
    if model.by == "user":
        return reconstruct(model, model.ratings[users])
    W, b = output_layer(model)
    z = W[users] @ hidden_layers(model)[-1].T  # (users, items)
    z += b[users, None]
    return activate(model.decoder, z)


def score_pairs(model: Model, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Predict pairs of codes, (num_pairs,), not clipped."""
    rows, columns = (items, users) if model.by == "item" else (users, items)
    wanted, at = np.unique(rows, return_inverse=True)
    last = encode(model, read(model, model.ratings[wanted]))[-1]
    W, b = output_layer(model)
    z = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), 8192):  # two arrays of 8192 x hidden at a time
        part = slice(start, start + 8192)
        z[part] = np.einsum("ij,ij->i", last[at[part]], W[columns[part]])
    return activate(model.decoder, z + b[columns])


def num_ratings(model: Model, what: str) -> np.ndarray:
    """Count the training ratings of each user or item (``what``), by code."""
    if what == model.by:
        return np.diff(model.ratings.indptr)
    return np.bincount(model.ratings.indices, minlength=model.ratings.shape[1])
