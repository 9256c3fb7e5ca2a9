"""The architecture of an AutoRec: axis, layers, activations and dropout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Callable

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS

Rule = tuple[Callable[[Any], Any], str]  # a test of a value, and what the error message asks for


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
        check_values(self, {"encoder": ACTIVATIONS, "decoder": ACTIVATIONS}, _RULES)

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


def is_share(value: Any) -> bool:
    """Return whether a value is a number from 0 to below 1."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


def check_values(
    settings: Any, choices: Mapping[str, tuple[str, ...]], rules: Mapping[str, Rule]
) -> None:
    """Raise an InputError for the first field of a dataclass that is no choice or breaks its rule.

    None is allowed where it is the default.
    """
    for part in fields(settings):
        name, value = part.name, getattr(settings, part.name)
        if name in choices and value not in choices[name]:
            listed = ", ".join(choices[name])
            raise InputError(f"{name} {value!r} is unknown; use one of {listed}.")
        holds, wanted = rules.get(name, (None, ""))
        if holds and not (value is None and part.default is None) and not holds(value):
            raise InputError(f"{name} is {value!r}; give {wanted}.")


SHARE: Rule = (is_share, "a share from 0 to below 1")
_RULES: dict[str, Rule] = {
    "hidden": (
        lambda sizes: isinstance(sizes, tuple) and sizes and all(map(is_size, sizes)),
        "one size of at least 1 for each layer",
    ),
    **dict.fromkeys(("dropout", "input_dropout"), SHARE),
}
