"""A model carried out of MXNet: an ONNX file, checked against MXNet before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec import runs
from d2l_autorec.errors import InputError
from d2l_autorec.serving.model import Model, ids_digest, to_net

if TYPE_CHECKING:
    import onnx

FORMAT = 1
TOLERANCE = 1e-5  # of ratings up to 10; beyond, 1e-6 of the largest, as float32 has no more digits

# Opset 13 and IR 8 are of 2021: runtimes of all ages read them.
_OPSET, _IR = 13, 8
_MAX_BYTES = 2**31 - 2**20  # Protocol Buffers end at 2 GiB
_BATCH = 256
_OPERATORS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "elu": "Elu",
    "selu": "Selu",
}


def describe(model: Model) -> dict[str, str]:
    """Say in strings what the numbers alone do not: it travels in each exported file.

    Returns
    -------
    dict of str to str
        ``format``, ``by``, ``encoder``, ``decoder``, the rating range ``low`` and ``high``, and
        ``ids_digest`` (of the id map, see `d2l_autorec.serving.model.ids_digest`) and
        ``data_digest`` (empty if unknown), SHA-256 in hex.
    """
    data = model.record.get("data")
    return {
        "format": str(FORMAT),
        "by": model.by,
        "encoder": model.encoder,
        "decoder": model.decoder,
        "low": repr(float(model.low)),
        "high": repr(float(model.high)),
        "ids_digest": ids_digest(model),
        "data_digest": str(data.get("digest", "")) if isinstance(data, dict) else "",
    }


def export_onnx(model: Model, path: str | Path) -> float:
    """Write a model as an ONNX file, after onnxruntime has predicted with it what MXNet does.

    Its input ``ratings`` and output ``predictions`` are float32, (batch, num_inputs), for a batch
    of any size; zero where there is no rating. Predictions are clipped to the rating range. What
    `describe` says is in the file's metadata.

    Parameters
    ----------
    model : Model
    path : str or Path
        What was there is replaced, when the new file is complete.

    Returns
    -------
    float
        The largest difference from MXNet, over all rows that the model was trained on.

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
    if sum(values.nbytes for values in model.weights.values()) > _MAX_BYTES:
        raise InputError(f"{path} would exceed ONNX's 2 GiB; export with --safetensors.")
    content = onnx_graph(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = _largest_difference(session, model)
    if not difference < max(TOLERANCE, 1e-6 * abs(model.low), 1e-6 * abs(model.high)):
        raise InputError(
            f"{path} was not written: onnxruntime's predictions differ from MXNet's by "
            f"{difference:.1e}; report this with your model's architecture."
        )
    runs.write(Path(path), content)
    return difference


def onnx_graph(model: Model) -> onnx.ModelProto:
    """Build the network as an ONNX graph; see `export_onnx`."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, last = [], "ratings"
    constants = [numpy_helper.from_array(values, name) for name, values in model.weights.items()]
    for i in range(len(model.hidden) + 1):
        inputs = [last, f"{i}.weight", f"{i}.bias"]
        nodes.append(helper.make_node("Gemm", inputs, [f"{i}.sum"], transB=1))
        last = f"{i}.sum"
        operator = _OPERATORS.get(model.decoder if i == len(model.hidden) else model.encoder)
        if operator:
            nodes.append(helper.make_node(operator, [last], [f"{i}.activated"]))
            last = f"{i}.activated"
    for name, end in (("low", model.low), ("high", model.high)):
        constants.append(numpy_helper.from_array(np.array(end, np.float32), name))
    nodes.append(helper.make_node("Clip", [last, "low", "high"], ["predictions"]))
    shape = ("batch", model.ratings.shape[1])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("ratings", "predictions")
    ]
    graph = helper.make_graph(nodes, "AutoRec", ends[:1], ends[1:], constants)
    opset = helper.make_opsetid("", _OPSET)
    proto = helper.make_model(
        graph, opset_imports=[opset], ir_version=_IR, producer_name="d2l-autorec"
    )
    helper.set_model_props(proto, describe(model))
    checker.check_model(proto)
    return proto


def _largest_difference(session: Any, model: Model) -> float:
    import mxnet as mx

    net, largest = to_net(model), 0.0
    for start in range(0, model.ratings.shape[0], _BATCH):
        batch = model.ratings[start : start + _BATCH].toarray()  # (batch, num_inputs)
        expected = np.clip(net(mx.np.array(batch)).asnumpy(), model.low, model.high)
        seen = session.run(["predictions"], {"ratings": batch})[0]
        # max() of Python would pass over a NaN
        largest = float(np.maximum(largest, np.abs(seen - expected).max()))
    return largest
