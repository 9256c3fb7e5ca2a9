"""The chapter's updates in PyTorch, as lean as we can write them.

Rows come from a dense matrix that stays in memory (up to 1 GiB; beyond it they are made dense for
each batch, which is what a 3 GB matrix would be read for anyway). The masked error is formed in
place and given to ``backward``; there is no DataLoader and no chain of sign, square and mean.
``weight_decay`` of ``torch.optim.Adam`` is added to the gradient, as MXNet's is.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from scipy import sparse
from torch import nn

RESIDENT = 1 << 30


def rows_of(matrix: sparse.csr_matrix):  # -> function of row numbers
    """Return how to get some rows as a dense tensor."""
    if matrix.shape[0] * matrix.shape[1] * 4 <= RESIDENT:
        dense = torch.from_numpy(matrix.toarray())
        return lambda rows: dense[torch.from_numpy(rows)]
    return lambda rows: torch.from_numpy(matrix[rows].toarray())


def train(
    matrix: sparse.csr_matrix, epochs: list[list[np.ndarray]], fused: bool, seed: int, config: dict
) -> tuple[nn.Module, list[float]]:
    """Train as the chapter does; return the net and the seconds of each epoch."""
    torch.manual_seed(seed)
    num_cols, hidden = matrix.shape[1], config["num_hidden"]
    net = nn.Sequential(
        nn.Linear(num_cols, hidden),
        nn.Sigmoid(),
        nn.Dropout(config["dropout_rate"]),
        nn.Linear(hidden, num_cols),
    )
    for layer in (net[0], net[3]):
        nn.init.normal_(layer.weight, std=config["sigma"])
        nn.init.zeros_(layer.bias)
    adam = torch.optim.Adam(
        net.parameters(), config["lr"], weight_decay=config["wd"], fused=fused or None
    )
    dense, seconds = rows_of(matrix), []
    for batches in epochs:
        start = time.perf_counter()
        losses = []
        for rows in batches:
            x = dense(rows)  # (batch, num_cols)
            y = net(x)
            error = y.detach().sub_(x).mul_(x != 0)
            losses.append(torch.dot(error.view(-1), error.view(-1)))
            adam.zero_grad()
            y.backward(error.div_(x.numel()))
            adam.step()
        float(sum(losses))
        seconds.append(time.perf_counter() - start)
    return net, seconds


def rmse(net: nn.Module, matrix: sparse.csr_matrix, test: sparse.csr_matrix) -> float:
    """Pooled RMSE over the held-out ratings."""
    net.eval()
    dense, squared = rows_of(matrix), 0.0
    with torch.no_grad():
        for first in range(0, matrix.shape[0], 1024):
            rows = np.arange(first, min(first + 1024, matrix.shape[0]))
            held_out = test[rows].tocoo()
            error = net(dense(rows)).numpy()[held_out.row, held_out.col] - held_out.data
            squared += float(np.square(error, dtype=np.float64).sum())
    return float(np.sqrt(squared / test.nnz))
