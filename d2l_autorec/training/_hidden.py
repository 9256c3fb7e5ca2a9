"""The hidden layers of the sparse engine: small dense matrices, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from d2l_autorec.models import activations
from d2l_autorec.models.activations import SELU_ALPHA, SELU_SCALE
from d2l_autorec.training import _kernels
from d2l_autorec.training._state import Dense, SparseState, padded


def forward(
    state: SparseState, pre: np.ndarray, mask: np.ndarray | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs of the hidden layers, (batch, hidden[i]) each: as they are, and after dropout."""
    z = pre[:, : state.hidden[0]] + state.dense[0].value
    outputs: list[np.ndarray] = []
    passed: list[np.ndarray] = []
    for layer in range(len(state.hidden)):
        if layer > 0:
            weight, bias = state.dense[2 * layer - 1 : 2 * layer + 1]
            z = passed[-1] @ weight.value.T + bias.value
        outputs.append(activate(state.kinds[0], z))
        dropped = layer == state.code_layer and mask is not None
        passed.append(outputs[-1] * mask if dropped else outputs[-1])
    return outputs, passed


def backward(
    state: SparseState,
    outputs: list[np.ndarray],
    passed: list[np.ndarray],
    mask: np.ndarray | None,
    delta: np.ndarray,
    update: Callable[[Dense, np.ndarray], None],
) -> np.ndarray:
    """Take the gradient of the last hidden layer's output to the input layer's sum."""
    delta = delta[:, : state.hidden[-1]]
    for layer in range(len(state.hidden) - 1, -1, -1):
        if layer == state.code_layer and mask is not None:
            delta = delta * mask
        delta = delta * _slope(state.kinds[0], outputs[layer])
        if layer == 0:
            update(state.dense[0], delta.sum(0))
        else:
            weight, bias = state.dense[2 * layer - 1 : 2 * layer + 1]
            before = delta @ weight.value
            update(weight, delta.T @ passed[layer - 1])
            update(bias, delta.sum(0))
            delta = before
    return delta


def activate(kind: int, z: np.ndarray) -> np.ndarray:
    """Apply the activation at this place in ``ACTIVATIONS``."""
    return activations.activate(activations.ACTIVATIONS[kind], z)


def _slope(kind: int, y: np.ndarray) -> np.ndarray:
    """Derivative of an activation, from its value ``y``."""
    if kind == _kernels.SIGMOID:
        return y * (1 - y)
    if kind == _kernels.TANH:
        return 1 - y * y
    if kind == _kernels.RELU:
        return (y > 0).astype(np.float32)
    if kind == _kernels.ELU:
        return np.where(y > 0, np.float32(1), y + 1)
    if kind == _kernels.SELU:
        scale, alpha = np.float32(SELU_SCALE), np.float32(SELU_ALPHA)
        return np.where(y > 0, scale, y + scale * alpha)
    return np.ones_like(y)


def pad(values: np.ndarray) -> np.ndarray:
    """Copy (batch, width) into rows of whole cache lines; the kernels need zeros behind."""
    rows = np.zeros((len(values), padded(values.shape[1])), np.float32)
    rows[:, : values.shape[1]] = values
    return rows
