"""Weights and Adam's state of the sparse engine, and conversion from and to a net."""

from __future__ import annotations

import gc
import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.training.draws import Draws, GlobalDraws, NumPyDraws
from d2l_autorec.training.sparse.tuples import Layer

if TYPE_CHECKING:
    from d2l_autorec.models.autorec import AutoRec
    from d2l_autorec.training.sparse.columns import Threads

_LINE = 16  # float32 values in a cache line; unpadded rows of 500 take twice the time to stream


def padded(width: int) -> int:
    """Round a row up to whole cache lines; the padding holds zeros and stays zero."""
    return -(-width // _LINE) * _LINE


@dataclass
class Columns:
    """A large weight matrix, float32, one row for each column of the ratings."""

    weight: np.ndarray  # (num_cols, padded width)
    moments: np.ndarray  # (num_cols, 2, padded width): Adam's mean and variance


@dataclass
class Dense:
    """A small weight or bias and Adam's moments, all float32 and of one shape."""

    value: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    is_bias: bool


@dataclass
class SparseState:
    """All that changes while the sparse engine trains; consistent after each epoch."""

    architecture: Architecture
    V: Columns  # the input layer, transposed: rows of hidden[0]
    W: Columns  # the output layer: rows of hidden[-1]
    out_bias: np.ndarray  # float32, (num_cols, 3): the output's bias, its mean and its variance
    dense: list[Dense]  # the input layer's bias, then weight (out, in), bias of each layer between
    step: int = 0  # updates made
    draws: Draws = field(default_factory=GlobalDraws)  # where dropout comes from
    torn: bool = False  # an epoch has failed half-way: the weights are of no use

    @classmethod
    def new(
        cls, architecture: Architecture, num_cols: int, draws: NumPyDraws, init: str = "normal"
    ) -> SparseState:
        """Draw initial weights, "normal" or "xavier"; MXNet is not needed."""
        weights = {
            name: np.zeros(shape, np.float32) if len(shape) == 1 else draws.weight(shape, init)
            for name, shape in architecture.weight_shapes(num_cols).items()
        }
        return cls.from_weights(architecture, weights, draws)

    @classmethod
    def blank(cls, architecture: Architecture, num_cols: int, draws: Draws) -> SparseState:
        """Make a state to load a checkpoint into; its memory is untouched until then."""
        shapes = array_shapes(architecture, num_cols)
        V, W = (Columns(_zeros(shapes[n]), _zeros(shapes[f"{n}_moments"])) for n in "VW")
        dense = [_dense(np.zeros(shape)) for name, shape in shapes.items() if name.isdecimal()]
        out_bias = np.zeros(shapes["out_bias"], np.float32)
        return cls(architecture, V, W, out_bias, dense, draws=draws)

    @classmethod
    def from_weights(
        cls, architecture: Architecture, weights: dict[str, np.ndarray], draws: Draws
    ) -> SparseState:
        """Copy weights, named as in `Network`; Adam starts anew."""
        last = len(architecture.hidden)
        dense = [_dense(weights["0.bias"])]
        for i in range(1, last):
            dense += [_dense(weights[f"{i}.weight"]), _dense(weights[f"{i}.bias"])]
        V, W = _columns(weights["0.weight"].T), _columns(weights[f"{last}.weight"])
        out_bias = np.zeros((len(W.weight), 3), np.float32)
        out_bias[:, 0] = weights[f"{last}.bias"]
        return cls(architecture, V, W, out_bias, dense, draws=draws)

    @classmethod
    def from_net(cls, net: AutoRec) -> SparseState:
        """Copy the weights of a net; Adam starts anew. An InputError if it is not initialised."""
        from d2l_autorec.models.autorec import get_weights

        return cls.from_weights(net.architecture, get_weights(net), GlobalDraws())

    @classmethod
    def from_mxnet(cls, architecture: Architecture, num_cols: int, init: str) -> SparseState:
        """Draw initial weights as MXNet draws those of a net, and keep nothing else in memory."""
        from d2l_autorec.models.autorec import AutoRec, initialize

        net = AutoRec(num_cols, architecture)
        net.collect_params().setattr("grad_req", "null")  # gradients would double its memory
        initialize(net, init)
        state = cls.from_net(net)
        del net
        gc.collect(1)  # its blocks refer to each other
        return state

    def write_to(self, net: AutoRec) -> None:
        """Copy the weights into a net of the same shape, on all its devices."""
        from d2l_autorec.models.autorec import set_weights

        set_weights(net, self.network_weights())

    def layers(self) -> tuple[Layer, Layer]:
        """Return the input and the output layer for the kernels, at the start of an epoch."""

        def layer(part: Columns, bias: np.ndarray, activation: str) -> Layer:
            done = np.zeros(len(part.weight), np.int32)
            return Layer(part.weight, part.moments, bias, done, ACTIVATIONS.index(activation))

        V = layer(self.V, self.out_bias[:0], self.architecture.encoder)
        return V, layer(self.W, self.out_bias, self.architecture.decoder)

    def network_weights(self) -> dict[str, np.ndarray]:
        """Copy the weights, named as in `Network`."""
        live, hidden = self.arrays(), self.architecture.hidden
        weights = {"0.weight": np.ascontiguousarray(live["V"][:, : hidden[0]].T)}
        for i, part in enumerate(self.dense):  # bias, weight, bias, ...
            weights[f"{(i + 1) // 2}.{'weight' if i % 2 else 'bias'}"] = part.value.copy()
        weights[f"{len(hidden)}.weight"] = live["W"][:, : hidden[-1]].copy()
        weights[f"{len(hidden)}.bias"] = live["out_bias"][:, 0].copy()
        return weights

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the live arrays by name. With ``step`` they are all that a checkpoint needs."""
        if self.torn:
            raise InputError(
                "An epoch was interrupted half-way, and its weights cannot be used; make a new "
                "state, or resume from a checkpoint."
            )
        named = {"V": self.V.weight, "V_moments": self.V.moments, "out_bias": self.out_bias}
        named.update({"W": self.W.weight, "W_moments": self.W.moments})
        for i, part in enumerate(self.dense):
            named.update({f"{i}": part.value, f"{i}_mean": part.mean, f"{i}_var": part.var})
        return named

    def load(self, arrays: dict[str, np.ndarray], step: int) -> None:
        """Restore `arrays` and ``step`` of a state of the same shape; takes them out."""
        for name, array in self.arrays().items():
            array[...] = arrays.pop(name)  # lest all be in memory twice
        self.step = step

    def forget_moments(self) -> None:
        """Give the memory of Adam's moments back, after the last step."""
        for columns in (self.V, self.W):
            columns.moments = columns.moments[:0].copy()

    def weights(self) -> dict[str, np.ndarray]:
        """Copy the arrays, except the two large arrays of moments."""
        live = self.arrays()
        return {name: live[name].copy() for name in live if not name.endswith("_moments")}

    def set_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Restore copied weights."""
        live = self.arrays()
        for name, array in weights.items():
            live[name][...] = array

    def gather(self, threads: Threads, moments: bool = False) -> None:
        """Make the weights whole on all workers; for a checkpoint, Adam's moments too."""
        threads.gather([self.V.weight, self.W.weight, self.out_bias])
        if moments:
            threads.gather([self.V.moments, self.W.moments])


def array_shapes(architecture: Architecture, num_cols: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of `SparseState.arrays`."""
    hidden = architecture.hidden
    first, last = padded(hidden[0]), padded(hidden[-1])
    shapes: dict[str, tuple[int, ...]] = {"V": (num_cols, first), "W": (num_cols, last)}
    shapes.update({f"{name}_moments": (num_cols, 2, shapes[name][1]) for name in "VW"})
    shapes["out_bias"] = (num_cols, 3)
    small = list(architecture.weight_shapes(num_cols).values())[1:-2]
    for i, shape in enumerate(small):
        shapes.update({f"{i}": shape, f"{i}_mean": shape, f"{i}_var": shape})
    return shapes


@contextmanager
def whole_at_end(state: SparseState, threads: Threads) -> Iterator[None]:
    """Give all workers the same weights, and at the end what each has learned in its columns."""
    if threads.group is None:
        yield
        return
    arrays = [state.V.weight, state.W.weight, state.out_bias]
    for array in [*arrays, *(part.value for part in state.dense)]:
        threads.group.broadcast(array)
    try:
        yield
    except GeneratorExit:  # stopped early, as on all workers; after an error nobody would answer
        state.gather(threads)
        raise
    state.gather(threads)


def _dense(value: np.ndarray) -> Dense:
    value = value.astype(np.float32)
    return Dense(value, np.zeros_like(value), np.zeros_like(value), value.ndim == 1)


def _columns(weight: np.ndarray) -> Columns:
    num_cols, width = weight.shape
    rows = _zeros((num_cols, padded(width)))
    rows[:, :width] = weight
    return Columns(rows, _zeros((num_cols, 2, padded(width))))


def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros in large pages where the system has such, and untouched until they are used.

    NumPy asks for large pages for memory that it fills, and not for what it takes zeroed.
    """
    size = math.prod(shape) * np.dtype(np.float32).itemsize
    if not hasattr(mmap, "MADV_HUGEPAGE") or size < mmap.PAGESIZE:
        return np.zeros(shape, np.float32)
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a system may know the word and not have them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)
