"""One worker's columns of a dense net, for training with several processes.

The first layer's sum over the columns is cut in two: what the worker's own columns add to it, and
the rest of the net behind the sum. The layers between the first and the last are small; every
worker has them whole, adds up their gradients with the others and makes the same update.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, npx
from scipy import sparse

from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.training.distributed.group import Group


class Shard:
    """Columns ``lo`` to ``hi`` of a net.

    Parameters
    ----------
    net : AutoRec
        Initialised; all workers start from worker 0's weights.
    group : Group
    device : mxnet.Context
    """

    def __init__(self, net: AutoRec, group: Group, device: mx.Context) -> None:
        self.net, self.group, self.device = net, group, device
        self.lo, self.hi = group.span(np.ones(net.num_inputs))
        self.part = AutoRec(self.hi - self.lo, net.architecture)
        self.part.initialize(mx.init.Zero(), ctx=device)
        self.parameters = list(self.part.collect_params().values())
        for i, parameter in enumerate(net.collect_params().values()):
            values = parameter.list_data()[0].asnumpy()
            group.broadcast(values)
            parameter.set_data(mx.np.array(values))
            self.parameters[i].set_data(mx.np.array(self.own(i, values)))

    def _columns(self, i: int) -> Any:
        """Where this worker's part is in parameter ``i``; None if it has it whole."""
        mine = slice(self.lo, self.hi)
        last = len(self.parameters) - 1
        return {0: np.s_[:, mine], last - 1: mine, last: mine}.get(i)

    def own(self, i: int, whole: np.ndarray) -> np.ndarray:
        """Return this worker's part of parameter ``i``, or of one of its moments."""
        columns = self._columns(i)
        return whole if columns is None else whole[columns]

    def whole(self, i: int, own: np.ndarray) -> np.ndarray:
        """Join the parts of all workers; all call this with the same ``i``."""
        columns = self._columns(i)
        if columns is None:
            return own
        axis = 1 if i == 0 else 0
        shape = (*own.shape[:axis], self.net.num_inputs, *own.shape[axis + 1 :])
        values = np.zeros(shape, np.float32)
        values[columns] = own
        return self.group.sum([values])[0]

    def step(self, batch: sparse.csr_matrix, update: Callable[[], None]) -> list[Any]:
        """Update the parameters for a whole batch; return this worker's sum of squared errors."""
        mine = batch[:, self.lo : self.hi]
        x, mask = (mx.np.array(part, ctx=self.device) for part in ratings_and_mask(mine))
        first = self.part.dense_layers()[0]
        with self.group.watch:
            inputs = self._drop(x)  # (batch, hi - lo)
            with autograd.record():
                own = npx.fully_connected(
                    inputs,
                    first.weight.data(),
                    num_hidden=self.net.architecture.hidden[0],
                    no_bias=True,
                )
            pre = own.detach()  # (batch, hidden[0])
            self.group.start_sum([pre])
            pre.attach_grad()
            with autograd.record():
                pred = self._behind(pre)  # (batch, hi - lo)
            error = (pred - x) * mask
            pred.backward(error)
            small = [parameter.grad() for parameter in self.parameters[1:-2]]
            self.group.start_sum([pre.grad, *small])
            own.backward(pre.grad)
            update()
            loss = mx.np.square(error).sum()
            pre.grad.wait_to_read()
        return [loss]

    def _behind(self, pre: Any) -> Any:
        part = self.part
        first, *rest = part.encoder._children.values()
        hidden = pre + first.bias.data()
        for block in [*filter(None, [first.act]), *rest, part.dropout, part.decoder]:
            hidden = block(hidden)
        return hidden

    def _drop(self, x: Any) -> Any:
        """Apply input dropout with the mask that a single process would draw for all columns."""
        rate = self.net.architecture.input_dropout
        if rate == 0:
            return x
        with autograd.train_mode():
            ones = mx.np.ones((len(x), self.net.num_inputs), ctx=self.device)
            kept = npx.dropout(ones, p=rate)
        return x * kept[:, self.lo : self.hi]

    def write_to(self, net: AutoRec) -> None:
        """Make a net whole, on all workers, from what each of them has learned."""
        for i, parameter in enumerate(net.collect_params().values()):
            values = self.whole(i, self.parameters[i].data().asnumpy())
            parameter.set_data(mx.np.array(values))


def ratings_and_mask(batch: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Make a batch dense: its ratings, and 1 where there is one; (batch, num_inputs) each."""
    ones = np.ones_like(batch.data)
    rated = sparse.csr_matrix((ones, batch.indices, batch.indptr), batch.shape)
    return batch.toarray(), rated.toarray()
