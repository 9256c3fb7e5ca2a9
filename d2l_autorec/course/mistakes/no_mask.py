"""No mask: the loss sees zeros where nobody rated.

The network returns the same in training and in prediction. The loss compares its output with the
whole row, and most of a row is the 0 that stands for "not rated". So the network learns that
almost everybody rates almost everything 0, and predicts far too low.
"""

from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import gluon, np, npx
from mxnet.gluon import nn

npx.set_np()


class AutoRec(nn.Block):
    """AutoRec whose output is never masked."""

    def __init__(self, num_hidden: int, num_users: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.encoder = nn.Dense(num_hidden, activation="sigmoid")
        self.decoder = nn.Dense(num_users)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Reconstruct rows of ratings, 0 where there is none."""
        hidden = self.dropout(self.encoder(x))  # (batch, num_hidden)
        return self.decoder(hidden)  # (batch, num_users)


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
