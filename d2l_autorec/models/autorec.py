"""AutoRec with any depth and any activations; the chapter's model is the default."""

from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
from mxnet import npx
from mxnet.gluon import nn

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import SELU_ALPHA, SELU_SCALE
from d2l_autorec.models.architecture import Architecture, is_size

npx.set_np()


class AutoRec(nn.HybridBlock):
    """Reconstruct rows of a rating matrix: ``f(W g(V r + mu) + b)``.

    Item-based where the rows are items and the inputs users (the chapter), user-based on the
    transposed matrix. With the defaults and equal parameters it computes what the chapter's
    ``AutoRec(500, num_users)`` computes, except that the mask is given and not taken from the sign
    of the input.

    All sizes are known at construction, so that ``initialize`` draws at once, first layer first.
    MXNet draws weights and dropout from separate streams: after ``mx.random.seed(s)`` the weights
    and all dropout masks equal those of the chapter's model, which draws its weights only in the
    first forward pass.

    Parameters
    ----------
    num_inputs : int
        Length of a row, and of its reconstruction.
    architecture : Architecture, optional
        The chapter's by default.

    Raises
    ------
    InputError
        If ``num_inputs`` is no size.

    Notes
    -----
    Sedhain, Menon, Sanner and Xie, "AutoRec: Autoencoders Meet Collaborative Filtering" (2015),
    equation 1; *Dive into Deep Learning*, section "AutoRec".
    """

    def __init__(self, num_inputs: int, architecture: Architecture | None = None) -> None:
        super().__init__()
        if not is_size(num_inputs):
            raise InputError(f"num_inputs is {num_inputs!r}; give a whole number of at least 1.")
        self.num_inputs = num_inputs
        self.architecture = what = Architecture() if architecture is None else architecture
        hidden = what.hidden
        sizes = (num_inputs, *hidden, num_inputs)
        with self.name_scope():
            self.input_dropout = nn.Dropout(what.input_dropout)
            self.encoder = nn.HybridSequential()  # up to the code
            self.dropout = nn.Dropout(what.dropout)
            self.decoder = nn.HybridSequential()  # from the code to the reconstruction
            for i, (size_in, size_out) in enumerate(zip(sizes, sizes[1:])):
                half = self.encoder if i <= what.code_layer else self.decoder
                with half.name_scope():
                    last = i == len(hidden)
                    _add_layer(half, size_in, size_out, what.decoder if last else what.encoder)

    def hybrid_forward(self, F: Any, x: Any, mask: Any = None) -> Any:
        """Reconstruct a batch, (batch, num_inputs).

        Parameters
        ----------
        F : module
            MXNet's array or symbol interface.
        x : mxnet.np.ndarray, shape (batch, num_inputs)
            Ratings; zero where there is none.
        mask : mxnet.np.ndarray, shape (batch, num_inputs), optional
            Multiplied with the reconstruction. In training, 1 where there is a rating and 0
            elsewhere keeps all other entries out of the loss.
        """
        hidden = self.dropout(self.encoder(self.input_dropout(x)))  # (batch, code)
        pred = self.decoder(hidden)  # (batch, num_inputs)
        return pred if mask is None else pred * mask

    def dense_layers(self) -> list[nn.Dense]:
        """Return the fully connected layers, input side first."""
        blocks = [*self.encoder._children.values(), *self.decoder._children.values()]
        return [block for block in blocks if isinstance(block, nn.Dense)]


def _add_layer(half: nn.HybridSequential, size_in: int, size_out: int, name: str) -> None:
    inside = name if name in ("sigmoid", "tanh", "relu") else None
    half.add(nn.Dense(size_out, activation=inside, in_units=size_in))
    if name == "elu":
        half.add(nn.ELU())
    elif name == "selu":
        half.add(_SELU())


class _SELU(nn.HybridBlock):
    """Scaled ELU, by its formula: MXNet 1.9.1 gives ``nn.SELU`` a wrong gradient below zero.

    Its backward pass computes ``scale (alpha + y)`` from the output ``y``, which already carries
    the scale; the derivative is ``scale alpha + y``.
    """

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return F.npx.leaky_relu(x, act_type="elu", slope=SELU_ALPHA) * SELU_SCALE


def initialize(net: AutoRec, init: str, devices: list[mx.Context] | None = None) -> None:
    """Draw initial weights from MXNet's generator: the chapter's "normal", or "xavier"."""
    initializer = mx.init.Normal(CHAPTER.sigma) if init == "normal" else mx.init.Xavier()
    net.initialize(initializer, ctx=devices)


def get_weights(net: AutoRec) -> dict[str, np.ndarray]:
    """Copy the weights of a net, named as in `d2l_autorec.models.network.Network`.

    An InputError says that the net has not been initialised.
    """
    weights: dict[str, np.ndarray] = {}
    try:
        for i, layer in enumerate(net.dense_layers()):
            weights[f"{i}.weight"] = layer.weight.list_data()[0].asnumpy()
            weights[f"{i}.bias"] = layer.bias.list_data()[0].asnumpy()
    except (RuntimeError, mx.gluon.parameter.DeferredInitializationError):
        raise InputError("The net has no weights yet; call net.initialize first.") from None
    return weights


def set_weights(net: AutoRec, weights: dict[str, np.ndarray]) -> None:
    """Copy weights into a net of the same shape, on all its devices."""
    for i, layer in enumerate(net.dense_layers()):
        layer.weight.set_data(mx.np.array(weights[f"{i}.weight"]))
        layer.bias.set_data(mx.np.array(weights[f"{i}.bias"]))


def to_net(architecture: Architecture, weights: dict[str, np.ndarray]) -> AutoRec:
    """Make a net with these weights."""
    net = AutoRec(weights["0.weight"].shape[1], architecture)
    net.initialize(mx.init.Zero())
    set_weights(net, weights)
    return net
