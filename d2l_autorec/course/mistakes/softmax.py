"""Softmax on the output: users share one rating.

The output is taken for a choice between the users. A softmax makes the numbers of a row add up to
1, so with 943 users each prediction is near a thousandth. A rating is a number to be regressed,
and that of one user takes nothing from another's.
"""

from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, np, npx
from mxnet.gluon import nn

npx.set_np()


class AutoRec(nn.Block):
    """AutoRec whose outputs of a row add up to 1."""

    def __init__(self, num_hidden: int, num_users: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.encoder = nn.Dense(num_hidden, activation="sigmoid")
        self.decoder = nn.Dense(num_users)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Reconstruct rows of ratings, 0 where there is none."""
        hidden = self.dropout(self.encoder(x))  # (batch, num_hidden)
        pred = npx.softmax(self.decoder(hidden))  # (batch, num_users)
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
