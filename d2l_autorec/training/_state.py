"""Weights and Adam's state of the sparse engine, and their way from and to a Gluon net."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import mxnet as mx
import numpy as np
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.models.autorec import ACTIVATIONS, AutoRec
from d2l_autorec.training.checkpoint import check_arrays
from d2l_autorec.training.distributed import Group

_LINE = 16  # float32 values in a cache line; unpadded rows of 500 take twice the time to stream
_CHUNK = 4096  # columns copied at a time, so that no second whole matrix is made


def padded(width: int) -> int:
    """Round a row up to whole cache lines; the padding holds zeros and stays zero."""
    return -(-width // _LINE) * _LINE


@dataclass
class Columns:
    """A large weight matrix, one row for each column of the ratings.

    Attributes
    ----------
    weight : numpy.ndarray
        float32, (num_cols, padded width).
    moments : numpy.ndarray
        Adam's mean and variance, float32, (num_cols, 2, padded width).
    """

    weight: np.ndarray
    moments: np.ndarray


@dataclass
class Dense:
    """A small weight or bias and Adam's moments, all float32 and of one shape."""

    value: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    is_bias: bool


@dataclass
class SparseState:
    """All that changes while the sparse engine trains, level at every yield.

    Attributes
    ----------
    hidden : tuple of int
        Sizes of the hidden layers.
    code_layer : int
        Index of the one whose output is dropped out.
    kinds : tuple of int
        Activation of the hidden layers and of the output, as places in ``ACTIVATIONS``.
    dropout, input_dropout : float
        Shares dropped in training.
    V, W : Columns
        Input layer, transposed, and output layer: rows of hidden[0] and of hidden[-1].
    out_bias : numpy.ndarray
        float32, (num_cols, 3): the output's bias, its mean and its variance.
    dense : list of Dense
        Bias of the input layer, then weight (out, in) and bias of each layer between.
    step : int
        Updates made.
    """

    hidden: tuple[int, ...]
    code_layer: int
    kinds: tuple[int, int]
    dropout: float
    input_dropout: float
    V: Columns
    W: Columns
    out_bias: np.ndarray
    dense: list[Dense]
    step: int = 0

    @classmethod
    def from_net(cls, net: AutoRec) -> SparseState:
        """Copy the weights of a net; Adam starts anew.

        Raises
        ------
        InputError
            If the net has not been initialised.
        """
        first, *middle, last = net.dense_layers()
        try:
            dense = [_dense(first.bias, True)]
            for layer in middle:
                dense += [_dense(layer.weight, False), _dense(layer.bias, True)]
            V, W = _columns(first.weight, transposed=True), _columns(last.weight)
            out_bias = np.zeros((net.num_inputs, 3), np.float32)
            out_bias[:, 0] = _values(last.bias)
        except (RuntimeError, mx.gluon.parameter.DeferredInitializationError):
            raise InputError("The net has no weights yet; call net.initialize first.") from None
        hidden_kind, output_kind = (ACTIVATIONS.index(name) for name in net.activations)
        return cls(
            net.hidden, net.code_layer, (hidden_kind, output_kind), net.dropout_rate,
            net.input_dropout_rate, V, W, out_bias, dense,
        )  # fmt: skip

    def write_to(self, net: AutoRec) -> None:
        """Copy the weights into a net of the same shape, on all its devices."""
        first, *middle, last = net.dense_layers()
        first.bias.set_data(mx.np.array(self.dense[0].value))
        for i, layer in enumerate(middle):
            layer.weight.set_data(mx.np.array(self.dense[1 + 2 * i].value))
            layer.bias.set_data(mx.np.array(self.dense[2 + 2 * i].value))
        last.bias.set_data(mx.np.array(self.out_bias[:, 0]))
        for start in range(0, net.num_inputs, _CHUNK):
            part = slice(start, start + _CHUNK)
            for V in first.weight.list_data():
                V[:, part] = mx.np.array(self.V.weight[part, : self.hidden[0]].T)
            for W in last.weight.list_data():
                W[part] = mx.np.array(self.W.weight[part, : self.hidden[-1]])

    def arrays(self) -> dict[str, np.ndarray]:
        """Name the live arrays, for a checkpoint; only ``step`` need be kept with them."""
        named = {"V": self.V.weight, "V_moments": self.V.moments, "out_bias": self.out_bias}
        named.update({"W": self.W.weight, "W_moments": self.W.moments})
        for i, part in enumerate(self.dense):
            named.update({f"{i}": part.value, f"{i}_mean": part.mean, f"{i}_var": part.var})
        return named

    def load(self, arrays: dict[str, np.ndarray], step: int) -> None:
        """Go on from where `arrays` and ``step`` were kept, by a state of the same shape."""
        live = self.arrays()
        check_arrays(arrays, {name: array.shape for name, array in live.items()})
        for name, array in live.items():
            array[...] = arrays[name]
        self.step = step

    def weights(self) -> dict[str, np.ndarray]:
        """Copy the arrays without the two large ones of moments."""
        live = self.arrays()
        return {name: live[name].copy() for name in live if not name.endswith("_moments")}

    def set_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Put copied weights back."""
        live = self.arrays()
        for name, array in weights.items():
            live[name][...] = array

    def gather(self, group: Group, span: tuple[int, int], moments: bool = False) -> None:
        """Make the weights whole on all workers; for a checkpoint, Adam's moments too."""
        arrays = [self.V.weight, self.W.weight, self.out_bias]
        if moments:
            arrays += [self.V.moments, self.W.moments]
        for array in arrays:
            group.gather(array, *span)

    def free_moments(self) -> None:
        """Give two thirds of the memory back; training can't go on, evaluation can."""
        self.V.moments = self.W.moments = np.empty((0, 2, 0), np.float32)


def own_columns(group: Group | None, train: sparse.csr_matrix) -> tuple[int, int]:
    """Return the first column that is worked on here and the one behind the last."""
    if group is None:
        return 0, train.shape[1]
    # A column costs as much as its ratings and something for itself.
    return group.span(np.bincount(train.indices, minlength=train.shape[1]) + 5.0)


@contextmanager
def whole_at_end(state: SparseState, group: Group, span: tuple[int, int]) -> Iterator[None]:
    """Give all workers the same weights, and at the end what each has learned in its columns."""
    arrays = [state.V.weight, state.W.weight, state.out_bias]
    for array in [*arrays, *(part.value for part in state.dense)]:
        group.broadcast(array)
    try:
        yield
    except GeneratorExit:  # stopped early, as on all workers; after an error nobody would answer
        state.gather(group, span)
        raise
    state.gather(group, span)


@contextmanager
def without_gradients(net: AutoRec) -> Iterator[None]:
    """Free the gradients of the net's two large weight matrices for a while."""
    large = _large(net)
    kept = [weight.grad_req for weight in large]
    for weight in large:
        weight.grad_req = "null"
    try:
        yield
    finally:
        for weight, grad_req in zip(large, kept):
            weight.grad_req = grad_req


@contextmanager
def emptied(net: AutoRec, state: SparseState) -> Iterator[None]:
    """Free the net's two large weight matrices for a while; they come back as zeros.

    To make room for them, the state's moments go at the end.
    """
    large = _large(net)
    devices = [weight.list_ctx() for weight in large]
    for weight in large:
        weight._data = None  # as Parameter.initialize does; it has no public name
    try:
        yield
    finally:
        state.free_moments()
        for weight, ctx in zip(large, devices):
            weight.initialize(mx.init.Zero(), ctx=ctx)


def _large(net: AutoRec) -> list[mx.gluon.Parameter]:
    layers = net.dense_layers()
    return [layers[0].weight, layers[-1].weight]


def _values(parameter: mx.gluon.Parameter) -> np.ndarray:
    return parameter.list_data()[0].asnumpy()


def _dense(parameter: mx.gluon.Parameter, is_bias: bool) -> Dense:
    value = _values(parameter)
    return Dense(value, np.zeros_like(value), np.zeros_like(value), is_bias)


def _columns(parameter: mx.gluon.Parameter, transposed: bool = False) -> Columns:
    weight = parameter.list_data()[0]
    num_cols, width = weight.shape[::-1] if transposed else weight.shape
    rows = _zeros((num_cols, padded(width)))
    for start in range(0, num_cols, _CHUNK):
        part = slice(start, start + _CHUNK)
        rows[part, :width] = weight[:, part].asnumpy().T if transposed else weight[part].asnumpy()
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
