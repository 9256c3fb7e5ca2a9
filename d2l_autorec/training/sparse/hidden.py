"""The hidden layers of the sparse engine: small dense matrices, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from d2l_autorec.models.activations import SELU_ALPHA, SELU_SCALE
from d2l_autorec.models.network import hidden_outputs
from d2l_autorec.training.sparse.state import Dense, SparseState, padded


def forward(
    state: SparseState, pre: np.ndarray, mask: np.ndarray | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs of the hidden layers, (batch, hidden[i]) each: as they are, and after dropout."""
    bias, *others = [part.value for part in state.dense]
    middle = list(zip(others[::2], others[1::2]))
    read = pre[:, : state.architecture.hidden[0]]
    return hidden_outputs(state.architecture, bias, middle, read, mask)


def backward(
    state: SparseState,
    outputs: list[np.ndarray],
    passed: list[np.ndarray],
    mask: np.ndarray | None,
    delta: np.ndarray,
    update: Callable[[Dense, np.ndarray], None],
) -> np.ndarray:
    """Take the gradient of the last hidden layer's output to the input layer's sum."""
    delta = delta[:, : state.architecture.hidden[-1]]
    for layer in range(len(state.architecture.hidden) - 1, -1, -1):
        if layer == state.architecture.code_layer and mask is not None:
            delta = delta * mask
        delta = delta * _slope(state.architecture.encoder, outputs[layer])
        if layer == 0:
            update(state.dense[0], delta.sum(0))
        else:
            weight, bias = state.dense[2 * layer - 1 : 2 * layer + 1]
            before = delta @ weight.value
            update(weight, delta.T @ passed[layer - 1])
            update(bias, delta.sum(0))
            delta = before
    return delta


def _slope(activation: str, y: np.ndarray) -> np.ndarray:
    """Derivative of an activation, from its value ``y``."""
    if activation == "sigmoid":
        return y * (1 - y)
    if activation == "tanh":
        return 1 - y * y
    if activation == "relu":
        return (y > 0).astype(np.float32)
    if activation == "elu":
        return np.where(y > 0, np.float32(1), y + 1)
    if activation == "selu":
        scale, alpha = np.float32(SELU_SCALE), np.float32(SELU_ALPHA)
        return np.where(y > 0, scale, y + scale * alpha)
    return np.ones_like(y)


def pad(values: np.ndarray) -> np.ndarray:
    """Copy (batch, width) into rows of whole cache lines; the kernels need zeros behind."""
    rows = np.zeros((len(values), padded(values.shape[1])), np.float32)
    rows[:, : values.shape[1]] = values
    return rows
