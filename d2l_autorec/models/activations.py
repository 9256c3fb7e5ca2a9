"""What a network may be made of, without MXNet: activations, and the check of an architecture."""

from __future__ import annotations

from typing import Any

import numpy as np

from d2l_autorec.errors import InputError

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


def check_architecture(
    num_inputs: int, hidden: tuple[int, ...], names: tuple[str, str], rates: tuple[float, float]
) -> None:
    """Raise an InputError if a size, an activation or a dropout share cannot be."""
    if not _is_size(num_inputs):
        raise InputError(f"num_inputs is {num_inputs!r}; give a whole number of at least 1.")
    if not hidden or not all(_is_size(size) for size in hidden):
        raise InputError(f"hidden is {hidden!r}; give one size of at least 1 for each layer.")
    for argument, name in zip(("encoder", "decoder"), names):
        if name not in ACTIVATIONS:
            raise InputError(
                f"{argument} {name!r} is unknown; use one of {', '.join(ACTIVATIONS)}."
            )
    for argument, rate in zip(("dropout", "input_dropout"), rates):
        if not 0 <= rate < 1:
            raise InputError(f"{argument} is {rate!r}; give a share from 0 to below 1.")


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
