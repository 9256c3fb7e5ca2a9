"""Activation functions in NumPy, and their names."""

from __future__ import annotations

import numpy as np

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "elu", "selu")
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. (2017)


def activate(name: str, z: np.ndarray) -> np.ndarray:
    """Apply one of ``ACTIVATIONS`` to an array of any shape; float32 stays float32."""
    with np.errstate(over="ignore"):  # exp(-z) may be infinite: the sigmoid is then 0
        if name == "sigmoid":
            return 1 / (1 + np.exp(-z))
        if name == "tanh":
            return np.tanh(z)
        if name == "relu":
            return np.maximum(z, 0)
        if name == "elu":
            return np.where(z > 0, z, np.expm1(z))
        if name == "selu":
            scale, alpha = np.float32(SELU_SCALE), np.float32(SELU_ALPHA)
            return scale * np.where(z > 0, z, alpha * np.expm1(z))
    return z
