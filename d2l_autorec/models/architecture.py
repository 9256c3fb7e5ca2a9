"""The architecture of an AutoRec: axis, layers, activations and dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS


@dataclass(frozen=True)
class Architecture:
    """An AutoRec network; the defaults are the chapter's.

    Attributes
    ----------
    by : {"item", "user"}
        What a row of the rating matrix is. The network reads and reconstructs rows.
    hidden : tuple of int
        Sizes of the hidden layers. The one at ``len(hidden) // 2`` is the code.
    encoder, decoder : str
        Activation of every hidden layer, and of the output; each one of ``ACTIVATIONS``.
    dropout, input_dropout : float
        Shares of the code and of the input that are dropped in training.

    Raises
    ------
    InputError
        If a value cannot be used.
    """

    by: str = "item"
    hidden: tuple[int, ...] = (CHAPTER.num_hidden,)
    encoder: str = "sigmoid"
    decoder: str = "identity"
    dropout: float = CHAPTER.dropout_rate
    input_dropout: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.hidden, list):
            object.__setattr__(self, "hidden", tuple(self.hidden))
        if self.by not in ("item", "user"):
            raise InputError(f"by {self.by!r} is unknown; use item or user.")
        sizes = self.hidden
        if not isinstance(sizes, tuple) or not sizes or not all(map(is_size, sizes)):
            raise InputError(f"hidden is {sizes!r}; give one size of at least 1 for each layer.")
        for name in ("encoder", "decoder"):
            if getattr(self, name) not in ACTIVATIONS:
                raise InputError(
                    f"{name} {getattr(self, name)!r} is unknown; "
                    f"use one of {', '.join(ACTIVATIONS)}."
                )
        for name in ("dropout", "input_dropout"):
            rate = getattr(self, name)
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
                raise InputError(f"{name} is {rate!r}; give a share from 0 to below 1.")

    @property
    def code_layer(self) -> int:
        """Index of the hidden layer that is the code."""
        return len(self.hidden) // 2

    def oriented(self, num_users: int, num_items: int) -> tuple[int, int]:
        """Return the numbers of rows and columns of the matrix that the network reads."""
        return (num_items, num_users) if self.by == "item" else (num_users, num_items)

    def weight_shapes(self, num_inputs: int) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of the weights, input side first: ``"0.weight"`` and so on."""
        sizes = (num_inputs, *self.hidden, num_inputs)
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (size_in, size_out) in enumerate(zip(sizes, sizes[1:])):
            shapes[f"{i}.weight"] = (size_out, size_in)
            shapes[f"{i}.bias"] = (size_out,)
        return shapes


def is_size(value: Any) -> bool:
    """Return whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
