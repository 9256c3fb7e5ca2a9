"""A model as an ONNX file, checked against MXNet before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec import runs
from d2l_autorec.errors import InputError
from d2l_autorec.serving.model import Model, flat_arrays
from d2l_autorec.serving.onnx_graph import onnx_graph, reads_rows

if TYPE_CHECKING:
    from d2l_autorec.models.network import Network

TOLERANCE = 1e-5  # of ratings up to 10; beyond, 1e-6 of the largest, as float32 has no more digits

_MAX_BYTES = 2**31 - 2**20  # Protocol Buffers end at 2 GiB
_BATCH = 256
_NUM_PAIRS = 50_000  # that a model of pairs is checked on


def export_onnx(model: Model, path: str | Path) -> float:
    """Write a model as an ONNX file, after onnxruntime has predicted with it what MXNet does.

    A single network that reads ratings as they are becomes a graph with the input ``ratings`` and
    the output ``predictions``, float32, (batch, num_inputs): zero where there is no rating.

    Any other model, a blend for one, becomes a graph with the inputs ``users`` and ``items``,
    int64, (batch,), and the output ``predictions``, float32, (batch,). They are codes: places in
    the sorted ids. The hidden codes of the ratings trained on are in the file.

    Predictions are clipped to the rating range. The file's metadata is what
    `d2l_autorec.serving.onnx_graph.describe` says.

    Parameters
    ----------
    model : Model
    path : str or Path
        What was there is replaced, when the new file is complete.

    Returns
    -------
    float
        The largest difference from MXNet: over all rows that the model was trained on, or over
        50,000 pairs of user and item.

    Raises
    ------
    InputError
        If onnx or onnxruntime is missing, the weights exceed ONNX's 2 GiB, the predictions differ
        from MXNet's by 1e-5 or more (for ratings beyond 10, by 1e-6 of the largest), or the file
        cannot be written; nothing is written then.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"--onnx needs onnx and onnxruntime ({error}); "
            'install them: pip install "d2l-autorec[onnx]".'
        ) from error
    if sum(values.nbytes for values in flat_arrays(model.trained).values()) > _MAX_BYTES:
        raise InputError(f"{path} would exceed ONNX's 2 GiB; export with --safetensors.")
    content = onnx_graph(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    compare = _difference_of_rows if reads_rows(model) else _difference_of_pairs
    difference = compare(session, model)
    if not difference < max(TOLERANCE, 1e-6 * abs(model.low), 1e-6 * abs(model.high)):
        raise InputError(
            f"{path} was not written: onnxruntime's predictions differ from MXNet's by "
            f"{difference:.1e}; report this with your model's architecture."
        )
    runs.write(Path(path), content)
    return difference


def _difference_of_rows(session: Any, model: Model) -> float:
    import mxnet as mx

    from d2l_autorec.models.autorec import to_net

    network, inputs, largest = model.trained.networks[0], model.trained.inputs[0], 0.0
    net = to_net(network.recipe.architecture, network.weights)
    for start in range(0, inputs.shape[0], _BATCH):
        batch = inputs[start : start + _BATCH].toarray()  # (batch, num_inputs)
        expected = np.clip(net(mx.np.array(batch)).asnumpy(), model.low, model.high)
        seen = session.run(["predictions"], {"ratings": batch})[0]
        # max() of Python would pass over a NaN
        largest = float(np.maximum(largest, np.abs(seen - expected).max()))
    return largest


def _difference_of_pairs(session: Any, model: Model) -> float:
    trained = model.trained
    num_items, num_users = trained.ratings.shape
    draws = np.random.default_rng(0)
    users = draws.integers(0, num_users, _NUM_PAIRS)
    items = draws.integers(0, num_items, _NUM_PAIRS)

    def stars(k: int) -> np.ndarray:
        network = trained.networks[k]
        rows, cols = network.rows_and_cols(users, items)
        raw = _mxnet_pairs(network, trained.inputs[k], rows, cols)
        return network.to_stars(raw.astype(float), rows, cols)

    expected = trained.limited(
        trained.combine(stars, users, items), trained.recipe, users, items
    ).clip(model.low, model.high)
    seen = session.run(["predictions"], {"users": users, "items": items})[0]
    return float(np.abs(seen - expected).max())


def _mxnet_pairs(network: Network, inputs: Any, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return what MXNet makes of single entries."""
    import mxnet as mx

    from d2l_autorec.models.autorec import to_net

    net, said = to_net(network.recipe.architecture, network.weights), np.empty(len(rows))
    for start in range(0, inputs.shape[0], _BATCH):
        batch = net(mx.np.array(inputs[start : start + _BATCH].toarray())).asnumpy()
        here = np.flatnonzero((rows >= start) & (rows < start + _BATCH))
        said[here] = batch[rows[here] - start, cols[here]]
    return said
