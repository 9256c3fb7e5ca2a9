"""Sigmoid on the output: no prediction is above 1.

The activation that belongs to the hidden code is on the output, too, as in an autoencoder for
black-and-white pictures. Ratings go from 1 to 5, and a sigmoid ends at 1. The network does what
it can and predicts 1 everywhere.
"""

from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, np, npx
from mxnet.gluon import nn

npx.set_np()


class AutoRec(nn.Block):
    """AutoRec whose output is squeezed between 0 and 1."""

    def __init__(self, num_hidden: int, num_users: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.encoder = nn.Dense(num_hidden, activation="sigmoid")
        self.decoder = nn.Dense(num_users, activation="sigmoid")
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Reconstruct rows of ratings, 0 where there is none."""
        hidden = self.dropout(self.encoder(x))  # (batch, num_hidden)
        pred = self.decoder(hidden)  # (batch, num_users)
        if autograd.is_training():
            return pred * np.sign(x)
        return pred


def evaluator(
    network: gluon.Block, inter_matrix: Any, test_data: np.ndarray, devices: list[mx.Context]
) -> float:
    """Compute the RMSE over the held-out ratings."""
    parts: list[np.ndarray] = []
    for values in inter_matrix:
        shares = gluon.utils.split_and_load(values, devices, even_split=False)
        parts.extend(network(share).as_in_ctx(mx.cpu()) for share in shares)
    recons = np.concatenate(parts)  # (num_items, num_users)
    known = np.sign(test_data)
    error = (test_data - recons) * known
    return float(np.sqrt((error**2).sum() / known.sum()))
