"""What a network computes, found out from its parameters and its output. Pure NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import expit, softmax

Array = np.ndarray

TOLERANCE = 1e-3  # of float32 arithmetic, on numbers of a few units
MAX_PARAMETERS = 8  # arrays; with more, there are too many networks that they may stand for


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda values: values,
    "sigmoid": expit,
    "softmax": partial(softmax, axis=1),
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
    "softplus": lambda values: np.log1p(np.exp(values)),
}


class Anatomy(NamedTuple):
    """What a network turned out to compute: its activations, and which biases it has."""

    hidden: str
    output: str
    hidden_bias: bool
    output_bias: bool


RIGHT = Anatomy("sigmoid", "identity", True, True)


def networks(
    rows: Array, parameters: Sequence[Array], num_hidden: int
) -> Iterator[tuple[Anatomy, Array]]:
    """Yield every autoencoder of one hidden layer that these parameters may stand for."""
    num_users = rows.shape[1]
    matrices = [array for array in parameters if array.ndim == 2 and min(array.shape) > 1]
    vectors = [array.ravel() for array in parameters if array.size in (num_hidden, num_users)]
    ways = [m if m.shape == (num_users, num_hidden) else m.T for m in matrices]
    ways = [way for way in ways if way.shape == (num_users, num_hidden)]  # V^T or W
    if len(ways) == 1:  # tied
        ways *= 2
    inner = [array for array in vectors if len(array) == num_hidden]
    outer = [array for array in vectors if len(array) == num_users]
    for encoder, decoder in itertools.permutations(ways, 2):
        for mu, bias in itertools.product([*inner, None], [*outer, None]):
            code = rows @ encoder + (0 if mu is None else mu)
            for hidden, g in ACTIVATIONS.items():
                reconstruction = g(code) @ decoder.T + (0 if bias is None else bias)
                for output, f in ACTIVATIONS.items():
                    anatomy = Anatomy(hidden, output, mu is not None, bias is not None)
                    yield anatomy, f(reconstruction)


def dissect(
    rows: Array, output: Array, parameters: Sequence[Array], num_hidden: int
) -> tuple[Anatomy | None, float]:
    """Find out what a network computes, from its parameters and its output for known ratings.

    The anatomy is None if the network is no autoencoder with one hidden layer and these
    activations. The number is the largest difference from the right network.
    """
    known, nearest, found = rows > 0, np.inf, None
    if len(parameters) > MAX_PARAMETERS:
        return None, nearest
    rows, parameters = rows.astype("f8"), [array.astype("f8") for array in parameters]
    with np.errstate(all="ignore"):
        for anatomy, expected in networks(rows, parameters, num_hidden):
            distance = np.abs(expected - output)[known].max()
            if anatomy == RIGHT:
                nearest = min(nearest, distance)
            if distance < TOLERANCE and (found is None or anatomy == RIGHT):
                found = anatomy
    return found, float(nearest)


def activation(
    rows: Array, output: Array, parameters: Sequence[Array], num_hidden: int
) -> str | None:
    """Judge the place of the activation and the parts of the network."""
    anatomy, distance = dissect(rows, output, parameters, num_hidden)
    if anatomy == RIGHT:
        return None
    seen = output[rows > 0]
    low, high = float(seen.min()), float(seen.max())
    if anatomy is None:
        if low >= 0 and high <= 1:
            return _squeezed(high)
        if low >= 1 and high <= 5:
            return (
                f"All outputs lie between {low:.2f} and {high:.2f}, whatever the parameters: they "
                "are cut to the rating range, and where they are cut nothing is learned."
            )
        away = f"up to {distance:.2g} away from" if np.isfinite(distance) else "not"
        return (
            f"With the {len(parameters)} arrays of parameters that the network holds, its output "
            f"is {away} that of one encoder and one decoder. A layer is missing, doubled or in "
            "another place."
        )
    if anatomy.output == "softmax":
        total = output.sum(1).mean() if (output != 0).all() else 1.0
        return (
            f"The outputs of a row add up to {total:.2f}: they are shares of one whole. Users do "
            "not compete for an item; each rating is a number of its own."
        )
    if anatomy.output == "sigmoid":
        return _squeezed(high)
    if anatomy.output != "identity":
        return (
            f"The output passes through {anatomy.output} (smallest {low:.2f}, largest {high:.2f})."
            " It is the rating itself, and nothing may bend it."
        )
    if anatomy.hidden == "identity":
        return (
            "Twice the input moves the hidden code twice as far: it has no activation. Two linear "
            "layers are one linear layer, however wide."
        )
    if anatomy.hidden != "sigmoid":
        return (
            f"The hidden code comes from {anatomy.hidden}. The chapter's code lies between 0 and "
            "1, and its results are from that one."
        )
    which = "hidden code" if not anatomy.hidden_bias else "output"
    return (
        f"The {which} has no bias: 0 parameters do what the mean rating asks for. Without it a "
        "network must learn the level of each user from the weights."
    )


def _squeezed(high: float) -> str:
    return (
        f"Every output lies between 0 and 1 (largest {high:.3f}), and ratings go up to 5. The "
        "output is taken for a probability, and it is a rating."
    )
