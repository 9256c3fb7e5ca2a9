"""A trained network in NumPy: ``f(W g(V r + mu) + b)``, for any depth, and back to stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from d2l_autorec.models.activations import activate
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.recipe import Recipe

_CHUNK = 4096  # pairs worked on at a time: two arrays of them x hidden[-1]

Layers = Sequence[tuple[np.ndarray, np.ndarray]]


def hidden_outputs(
    architecture: Architecture,
    bias: np.ndarray,
    middle: Layers,
    read: np.ndarray,
    mask: np.ndarray | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Compute the outputs of the hidden layers, (batch, hidden[i]) each, before and after dropout.

    ``bias`` (hidden[0],) and ``read``, ``V r`` without it (batch, hidden[0]), are the first
    layer's. ``middle`` has weight (out, in) and bias of each layer between the first and the last.
    The mask is multiplied with the code: dropout.
    """
    z = read + bias
    outputs: list[np.ndarray] = []
    passed: list[np.ndarray] = []
    for layer in range(len(architecture.hidden)):
        if layer > 0:
            weight, own = middle[layer - 1]
            z = passed[-1] @ weight.T + own
        outputs.append(activate(architecture.encoder, z))
        dropped = mask is not None and layer == architecture.code_layer
        passed.append(outputs[-1] * mask if dropped else outputs[-1])
    return outputs, passed


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network."""

    recipe: Recipe  # of this network alone
    weights: dict[str, np.ndarray]  # float32, named as by `Architecture.weight_shapes`
    scale: Scale  # from stars to what the network reads, and back
    epoch: int = 0  # that the weights are of

    @property
    def by(self) -> str:
        """What a row is: "item" or "user"."""
        return self.recipe.architecture.by

    @property
    def output_layer(self) -> tuple[np.ndarray, np.ndarray]:
        """W (num_inputs, hidden[-1]) and b (num_inputs,)."""
        last = len(self.recipe.architecture.hidden)
        return self.weights[f"{last}.weight"], self.weights[f"{last}.bias"]

    def rows_and_cols(self, users: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return users and items as rows and columns of what the network reads."""
        return (items, users) if self.by == "item" else (users, items)

    def read(self, rows: sparse.csr_matrix) -> np.ndarray:
        """Return ``V r`` of rows (batch, num_inputs), without the bias: (batch, hidden[0])."""
        return rows @ self.input_columns

    @cached_property
    def input_columns(self) -> np.ndarray:
        """``V`` with a row for each input, (num_inputs, hidden[0]), kept: SciPy would copy it."""
        return np.ascontiguousarray(self.weights["0.weight"].T)

    def encode(self, read: np.ndarray) -> list[np.ndarray]:
        """Return the outputs of the hidden layers, (batch, hidden[i]) each, for ``V r``."""
        architecture, weights = self.recipe.architecture, self.weights
        middle = [
            (weights[f"{i}.weight"], weights[f"{i}.bias"])
            for i in range(1, len(architecture.hidden))
        ]
        return hidden_outputs(architecture, weights["0.bias"], middle, read)[0]

    def output(self, z: np.ndarray) -> np.ndarray:
        """Apply the output's activation."""
        return activate(self.recipe.architecture.decoder, z)

    def reconstruct(self, rows: sparse.csr_matrix) -> np.ndarray:
        """Return the outputs of the network for rows that it reads, (batch, num_inputs)."""
        W, b = self.output_layer
        return self.output(self.encode(self.read(rows))[-1] @ W.T + b)

    def pairs(
        self,
        inputs: sparse.csr_matrix,
        rows: np.ndarray,
        cols: np.ndarray,
        codes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the outputs of the network at single entries, (len(rows),), float32.

        ``inputs`` is what the network reads, (num_rows, num_inputs); ``codes`` the last hidden
        layer's output for all its rows, where that has been computed.
        """
        if codes is None:
            wanted, place = np.unique(rows, return_inverse=True)
            code = self.encode(self.read(inputs[wanted]))[-1]  # (wanted, hidden[-1])
        else:
            code, place = codes, rows
        W, b = self.output_layer
        z = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            z[part] = np.einsum("ij,ij->i", code[place[part]], W[cols[part]])
        return self.output(z + b[cols])

    def to_stars(self, raw: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Convert outputs at entries to ratings, not clipped."""
        if self.scale.is_stars:
            return raw
        return raw * (self.scale.unit * self.scale.gain) + self.scale.base(rows, cols)
