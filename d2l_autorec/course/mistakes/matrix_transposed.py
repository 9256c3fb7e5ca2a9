"""Matrix transposed: users where items should be.

The evaluator turns the matrix around, because a recommender is about users. But the network's
inputs are the ratings of one item by all users: its weights belong to users, and it has as many
inputs as there are users. Where the numbers of users and items differ, shapes do not fit; where
they agree, nothing complains, and each weight meets the wrong user.
"""

from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, np, npx
from mxnet.gluon import nn

npx.set_np()


class AutoRec(nn.Block):
    """Item-based AutoRec."""

    def __init__(self, num_hidden: int, num_users: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.encoder = nn.Dense(num_hidden, activation="sigmoid")
        self.decoder = nn.Dense(num_users)
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
    """Compute the RMSE with users as the network's rows."""
    matrix = np.concatenate(list(inter_matrix))  # (num_items, num_users)
    shares = gluon.utils.split_and_load(matrix.T, devices, even_split=False)
    recons = np.concatenate([network(share).as_in_ctx(mx.cpu()) for share in shares]).T
    known = np.sign(test_data)
    error = (test_data - recons) * known
    return float(np.sqrt((error**2).sum() / known.sum()))
