"""A trained AutoRec with all that is needed to ask it, in NumPy; to MXNet and back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from d2l_autorec import runs
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.models.autorec import AutoRec
    from d2l_autorec.training import run


@dataclass(frozen=True, eq=False)
class Model:
    """A trained AutoRec with all that is needed to ask it.

    Attributes
    ----------
    by : {"item", "user"}
        What a row of `ratings` is, and so what the network reads.
    hidden, encoder, decoder, dropout, input_dropout
        The network, see `d2l_autorec.models.autorec.AutoRec`.
    weights : dict of str to numpy.ndarray
        float32, ``"0.weight"`` (hidden[0], num_inputs), ``"0.bias"`` and so on, in the order of
        ``AutoRec.dense_layers()``.
    ratings : scipy.sparse.csr_matrix
        float32, (items, users), or transposed for user-based: the ratings trained on. What is
        stored is rated, zeros too.
    user_ids, item_ids : numpy.ndarray
        The original id of each code, as in `d2l_autorec.data.formats.Ratings`.
    items : pandas.DataFrame or None
        By item code: ``item_id``, ``title``, ``year``, ``genres``.
    low, high : float
        Predictions are clipped to these: the range given, or smallest and largest rating
        trained on.
    record : dict
        Where the model comes from, for people: settings, digests, versions, result.
    """

    by: str
    hidden: tuple[int, ...]
    encoder: str
    decoder: str
    dropout: float
    input_dropout: float
    weights: dict[str, np.ndarray]
    ratings: sparse.csr_matrix
    user_ids: np.ndarray
    item_ids: np.ndarray
    items: pd.DataFrame | None
    low: float
    high: float
    record: dict[str, Any]


def weight_shapes(num_inputs: int, hidden: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights that an architecture implies, input side first."""
    sizes = (num_inputs, *hidden, num_inputs)
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (size_in, size_out) in enumerate(zip(sizes, sizes[1:])):
        shapes[f"{i}.weight"] = (size_out, size_in)
        shapes[f"{i}.bias"] = (size_out,)
    return shapes


def model_from_net(
    net: AutoRec,
    ratings: Ratings,
    train_rows: np.ndarray,
    settings: run.Settings,
    result: run.Result,
) -> Model:
    """Put together what a model folder keeps.

    Parameters
    ----------
    net : AutoRec
        Trained.
    ratings : Ratings
        The whole data.
    train_rows : numpy.ndarray of int64
        The rows of ``ratings.table`` that the net was trained on; only these are kept, so that
        held-out ratings stay unseen.
    settings : Settings
    result : Result

    Raises
    ------
    InputError
        If a weight is not finite.
    """
    weights = net_weights(net)
    if not all(np.isfinite(values).all() for values in weights.values()):
        raise InputError("Training diverged: some weights are not finite; train with a lower lr.")
    shape = ratings.num_users, ratings.num_items
    matrix = interaction_csr(ratings.table, *shape, train_rows, settings.by == "user")
    record = {
        "settings": asdict(settings),
        "data": {"name": ratings.name, "digest": ratings.digest},
        "split_digest": result.split_digest,
        "versions": runs.versions(),
        "result": asdict(result),
    }
    return Model(
        by=settings.by,
        hidden=net.hidden,
        encoder=net.activations[0],
        decoder=net.activations[1],
        dropout=net.dropout_rate,
        input_dropout=net.input_dropout_rate,
        weights=weights,
        ratings=matrix,
        user_ids=ratings.user_ids,
        item_ids=ratings.item_ids,
        items=ratings.items,
        low=float(matrix.data.min()),
        high=float(matrix.data.max()),
        record=json.loads(json.dumps(record)),  # as it will be read back
    )


def net_weights(net: AutoRec) -> dict[str, np.ndarray]:
    """Take the weights out of a network, under the names that a model has for them."""
    weights: dict[str, np.ndarray] = {}
    for i, layer in enumerate(net.dense_layers()):
        weights[f"{i}.weight"] = layer.weight.data().asnumpy()
        weights[f"{i}.bias"] = layer.bias.data().asnumpy()
    return weights


def to_net(model: Model) -> AutoRec:
    """Make the network in MXNet, with the model's weights."""
    import mxnet as mx

    from d2l_autorec.models.autorec import AutoRec

    net = AutoRec(
        model.ratings.shape[1],
        model.hidden,
        model.encoder,
        model.decoder,
        model.dropout,
        model.input_dropout,
    )
    net.initialize(mx.init.Zero())
    for i, layer in enumerate(net.dense_layers()):
        layer.weight.set_data(mx.np.array(model.weights[f"{i}.weight"]))
        layer.bias.set_data(mx.np.array(model.weights[f"{i}.bias"]))
    return net


def ids_digest(model: Model) -> str:
    """SHA-256 in hex of ``[user_ids, item_ids]`` as JSON without spaces, non-ASCII escaped."""
    ids = [model.user_ids.tolist(), model.item_ids.tolist()]
    return hashlib.sha256(json.dumps(ids, separators=(",", ":")).encode()).hexdigest()
