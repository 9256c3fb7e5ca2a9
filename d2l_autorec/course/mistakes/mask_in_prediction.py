"""Mask in prediction: what is asked for is hidden.

The mask is always on. It belongs to the loss: in training it keeps unknown ratings from being
learned as zeros. In prediction the unknown ratings are the question, and here the answer to each
is 0. The error on held-out ratings is that of predicting 0, however low the training loss.
"""

from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import gluon, np, npx
from mxnet.gluon import nn

npx.set_np()


class AutoRec(nn.Block):
    """AutoRec whose output is always masked."""

    def __init__(self, num_hidden: int, num_users: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.encoder = nn.Dense(num_hidden, activation="sigmoid")
        self.decoder = nn.Dense(num_users)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Reconstruct rows of ratings, 0 where there is none."""
        hidden = self.dropout(self.encoder(x))  # (batch, num_hidden)
        pred = self.decoder(hidden)  # (batch, num_users)
        return pred * np.sign(x)


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
