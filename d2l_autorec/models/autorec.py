"""AutoRec with any depth and any activations; the chapter's model is the default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet import npx
from mxnet.gluon import nn

from d2l_autorec.config import CHAPTER
from d2l_autorec.models.activations import (
    ACTIVATIONS,
    SELU_ALPHA,
    SELU_SCALE,
    check_architecture,
)

npx.set_np()

__all__ = ["ACTIVATIONS", "SELU_ALPHA", "SELU_SCALE", "AutoRec", "check_architecture"]


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
    hidden : sequence of int
        Sizes of the hidden layers. The one at ``len(hidden) // 2`` is the code.
    encoder : str
        Activation g of every hidden layer, one of ``ACTIVATIONS``.
    decoder : str
        Activation f of the output, one of ``ACTIVATIONS``.
    dropout : float
        Share of the code that is dropped in training.
    input_dropout : float
        Share of the input that is dropped in training.

    Raises
    ------
    InputError
        If an activation is unknown, a size is below 1 or a share is outside [0, 1).

    Notes
    -----
    Sedhain, Menon, Sanner and Xie, "AutoRec: Autoencoders Meet Collaborative Filtering" (2015),
    equation 1; *Dive into Deep Learning*, section "AutoRec".
    """

    def __init__(
        self,
        num_inputs: int,
        hidden: Sequence[int] = (CHAPTER.num_hidden,),
        encoder: str = "sigmoid",
        decoder: str = "identity",
        dropout: float = CHAPTER.dropout_rate,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = tuple(hidden)
        check_architecture(num_inputs, hidden, (encoder, decoder), (dropout, input_dropout))
        self.num_inputs, self.hidden = num_inputs, hidden
        self.activations = (encoder, decoder)
        self.dropout_rate, self.input_dropout_rate = dropout, input_dropout
        self.code_layer = len(hidden) // 2
        sizes = (num_inputs, *hidden, num_inputs)
        with self.name_scope():
            self.input_dropout = nn.Dropout(input_dropout)
            self.encoder = nn.HybridSequential()  # up to the code
            self.dropout = nn.Dropout(dropout)
            self.decoder = nn.HybridSequential()  # from the code to the reconstruction
            for i, (size_in, size_out) in enumerate(zip(sizes, sizes[1:])):
                half = self.encoder if i <= self.code_layer else self.decoder
                with half.name_scope():
                    _add_layer(half, size_in, size_out, decoder if i == len(hidden) else encoder)

    def hybrid_forward(self, F: Any, x: Any, mask: Any = None) -> Any:
        """Reconstruct a batch.

        Parameters
        ----------
        F : module
            MXNet's array or symbol interface.
        x : mxnet.np.ndarray
            Ratings, (batch, num_inputs); zero where there is none.
        mask : mxnet.np.ndarray, optional
            (batch, num_inputs); multiplied with the reconstruction. In training, 1 where there is
            a rating and 0 elsewhere keeps all other entries out of the loss.

        Returns
        -------
        mxnet.np.ndarray
            (batch, num_inputs)
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
