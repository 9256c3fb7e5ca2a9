"""A model as an ONNX graph, and the metadata of an exported file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.serving.model import Model, ids_digest

if TYPE_CHECKING:
    import onnx

    from d2l_autorec.models.network import Network

FORMAT = 2

# Opset 13 and IR 8 are of 2021: runtimes of all ages read them.
_OPSET, _IR = 13, 8
_OPERATORS = {name.lower(): name for name in ("Sigmoid", "Tanh", "Relu", "Elu", "Selu")}


def describe(model: Model) -> dict[str, str]:
    """Say in strings what the numbers alone do not: it travels in each exported file.

    These are ``format``; ``by``, ``encoder``, ``decoder`` (of the first network); ``recipe`` and,
    for each network, ``networks``, in JSON; the rating range ``low`` and ``high``; ``ids_digest``
    (of the id map, see `d2l_autorec.serving.model.ids_digest`) and ``data_digest`` (empty if
    unknown), SHA-256 in hex.
    """
    data, trained = model.record.get("data"), model.trained
    digest = str(data.get("digest")) if isinstance(data, dict) else ""
    architecture = trained.networks[0].recipe.architecture
    said = {
        "format": str(FORMAT),
        "by": model.by,
        "encoder": architecture.encoder,
        "decoder": architecture.decoder,
        "low": repr(float(model.low)),
        "high": repr(float(model.high)),
        "ids_digest": ids_digest(model),
        "data_digest": digest if re.fullmatch("[0-9a-f]{64}", digest) else "",
    }
    if not reads_rows(model):
        networks = [
            {
                "by": network.by,
                "factor": factor,
                "mean": network.scale.mean,
                "unit": network.scale.unit,
                "gain": network.scale.gain,
                "clip": network.recipe.clip,
                "default": network.recipe.default,
            }
            for network, factor in zip(trained.networks, trained.factors)
        ]
        said["recipe"] = json.dumps(trained.recipe.to_dict())
        said["networks"] = json.dumps(networks)
    return said


def reads_rows(model: Model) -> bool:
    """Whether the model is one network that reads a row of ratings as they are."""
    trained = model.trained
    return (
        not trained.combined
        and trained.networks[0].scale.is_stars
        and trained.recipe.default is None
    )


class _Graph:
    """Nodes and constants of an ONNX graph, as they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def number(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, np.float32).reshape(()))

    def add(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def gather(self, table: str, values: np.ndarray, codes: str, name: str) -> str:
        return self.add("Gather", [self.constant(table, values), codes], name)

    def activate(self, kind: str, last: str, name: str) -> str:
        operator = _OPERATORS.get(kind)
        return self.add(operator, [last], name) if operator else last


def onnx_graph(model: Model) -> onnx.ModelProto:
    """Build the model as an ONNX graph; see `d2l_autorec.serving.export.export_onnx`.

    Its metadata is what `describe` says, and ``model_digest``, the digest of ``model.json``.
    """
    from onnx import TensorProto, checker, helper

    graph = _Graph()
    if reads_rows(model):
        last = score = _of_rows(graph, model.trained.networks[0])
        names, kind = ["ratings"], TensorProto.FLOAT
        shape: tuple[Any, ...] = ("batch", model.trained.inputs[0].shape[1])
    else:
        score, last = _of_pairs(graph, model)
        names, kind, shape = ["users", "items"], TensorProto.INT64, ("batch",)
    ends = [graph.number("low", model.low), graph.number("high", model.high)]
    graph.add("Identity", [score], "score")
    graph.add("Clip", [last, *ends], "rating")
    value = helper.make_tensor_value_info
    inputs = [value(name, kind, shape) for name in names]
    outputs = [value(name, TensorProto.FLOAT, shape) for name in ("score", "rating")]
    made = helper.make_graph(graph.nodes, "AutoRec", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", _OPSET)]
    proto = helper.make_model(
        made, opset_imports=opsets, ir_version=_IR, producer_name="d2l-autorec"
    )
    helper.set_model_props(proto, {**describe(model), "model_digest": model.digest})
    checker.check_model(proto)
    return proto


def _of_rows(graph: _Graph, network: Network) -> str:
    architecture, last = network.recipe.architecture, "ratings"
    for name, values in network.weights.items():
        graph.constant(name, values)
    for i in range(len(architecture.hidden) + 1):
        graph.add("Gemm", [last, f"{i}.weight", f"{i}.bias"], f"{i}.sum", transB=1)
        of_output = i == len(architecture.hidden)
        kind = architecture.decoder if of_output else architecture.encoder
        last = graph.activate(kind, f"{i}.sum", f"{i}.activated")
    return last


def _of_pairs(graph: _Graph, model: Model) -> tuple[str, str]:
    """Add the networks; return what `TrainedModel.score_pairs` and `TrainedModel.predict` give."""
    trained, parts = model.trained, []
    recipes = [trained.recipe, *(network.recipe for network in trained.networks)]
    known = ""
    if any(recipe.default is not None for recipe in recipes):
        both = [
            graph.gather(f"known_{what}", trained.counts(what) > 0, f"{what}s", f"is_known_{what}")
            for what in ("user", "item")
        ]
        known = graph.add("And", both, "known")

    def limited(last: str, recipe: Any, front: str) -> str:
        if isinstance(recipe.clip, tuple):
            ends = [graph.number(f"{front}{i}", end) for i, end in enumerate(recipe.clip)]
            last = graph.add("Clip", [last, *ends], f"{front}clipped")
        if recipe.default is not None:
            default = graph.number(f"{front}default", recipe.default)
            last = graph.add("Where", [known, last, default], f"{front}defaulted")
        return last

    for k, (network, factor) in enumerate(zip(trained.networks, trained.factors)):
        front, scale = f"network{k}.", network.scale
        rows, cols = ("items", "users") if network.by == "item" else ("users", "items")
        W, b = network.output_layer
        code = graph.constant(f"{front}code", trained.hidden(k)[-1])
        both = [
            graph.add("Gather", [code, rows], f"{front}row"),
            graph.gather(f"{front}W", W, cols, f"{front}col"),
        ]
        product = graph.add("Mul", both, f"{front}product")
        axis = graph.constant(f"{front}axis", np.array([1], np.int64))
        last = graph.add("ReduceSum", [product, axis], f"{front}dot", keepdims=0)
        bias = graph.gather(f"{front}b", b, cols, f"{front}bias")
        last = graph.add("Add", [last, bias], f"{front}z")
        last = graph.activate(network.recipe.architecture.decoder, last, f"{front}raw")
        if not scale.is_stars:
            unit = graph.number(f"{front}unit", scale.unit * scale.gain)
            last = graph.add("Mul", [last, unit], f"{front}scaled")
            sides = [(scale.mean + scale.row, rows, "of_row"), (scale.col, cols, "of_col")]
            for values, codes, name in sides:
                table = values.astype(np.float32)
                base = graph.gather(f"{front}{name}s", table, codes, f"{front}{name}")
                last = graph.add("Add", [last, base], f"{front}with_{name}")
        if trained.combined:
            last = limited(last, network.recipe, front)
        factored = [last, graph.number(f"{front}factor", factor)]
        parts.append(graph.add("Mul", factored, f"{front}part"))
    score = graph.add("Sum", parts, "sum")
    return score, limited(score, trained.recipe, "all.")
