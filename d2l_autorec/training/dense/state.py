"""All that changes while the dense engine trains: the net's weights and Adam's moments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, npx
from scipy import sparse

from d2l_autorec.models.autorec import AutoRec, get_weights
from d2l_autorec.training.distributed.group import Group
from d2l_autorec.training.job import Updates


class DenseState:
    """A net, initialised on some devices, with its optimizer.

    Each batch is split evenly over the devices; the workers of a group share the columns, each on
    its first device.
    """

    def __init__(
        self, net: AutoRec, devices: list[mx.Context], updates: Updates, group: Group | None = None
    ) -> None:
        net.hybridize(static_alloc=True)
        self.net, self.devices, self.updates = net, devices, updates
        self.shard = None if group is None else Shard(net, group, devices[0])
        part = net if self.shard is None else self.shard.part
        for layer in part.dense_layers():
            layer.bias.wd_mult = float(updates.decay_biases)
        self.trainer = gluon.Trainer(
            part.collect_params(),
            "adam",
            {"learning_rate": 0.0, "wd": updates.wd},
            kvstore=None if self.shard else "device",
            update_on_kvstore=False,  # else several devices' moments are out of reach
        )

    def network_weights(self) -> dict[str, np.ndarray]:
        """Copy the weights, named as in `d2l_autorec.models.network.Network`."""
        return get_weights(self.net)

    @property
    def step(self) -> int:
        """Updates made."""
        return int(self.trainer.optimizer.num_update)

    def update(self, batch: sparse.csr_matrix) -> list[Any]:
        """Make the update of a batch; return each device's sum of squared errors."""
        self.trainer.set_learning_rate(self.updates.rates(self.step, 1)[0])
        divisor = batch.shape[0] * self.updates.divisor(batch.shape[1])
        if self.shard is not None:
            return self.shard.step(batch, partial(self.trainer.step, divisor))
        losses = squared_errors(self.net, batch, self.devices)
        self.trainer.step(divisor)
        return losses

    def weights(self) -> dict[str, np.ndarray]:
        """Copy the weights, which are whole on all workers between two epochs."""
        parameters = self.net.collect_params().values()
        return {f"{i}": p.list_data()[0].asnumpy() for i, p in enumerate(parameters)}

    def set_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Restore copied weights."""
        for i, parameter in enumerate(self.net.collect_params().values()):
            parameter.set_data(mx.np.array(weights[f"{i}"]))
            if self.shard is not None:
                own = self.shard.own(i, weights[f"{i}"])
                self.shard.parameters[i].set_data(mx.np.array(own))

    def arrays(self) -> dict[str, np.ndarray]:
        """Copy weights and moments, whole, for a checkpoint; all workers call it."""
        named = self.weights()
        for i, place in enumerate(self._places()):
            moments = self.trainer._updaters[0].states[place]
            for name, moment in zip(("mean", "var"), moments):
                values = moment.asnumpy()
                named[f"{i}_{name}"] = self.shard.whole(i, values) if self.shard else values
        return named

    def load(self, arrays: dict[str, np.ndarray], step: int) -> None:
        """Restore what `arrays` returned, of the same shapes; call it before the first step."""
        self.set_weights(arrays)
        optimizer = self.trainer.optimizer
        optimizer.begin_num_update = optimizer.num_update = step
        for updater, device in zip(self.trainer._updaters, self.devices):
            for i, place in enumerate(self._places()):
                own = [arrays[f"{i}_{name}"] for name in ("mean", "var")]
                if self.shard is not None:
                    own = [self.shard.own(i, values) for values in own]
                updater.states[place] = tuple(mx.nd.array(values, ctx=device) for values in own)
                updater.states_synced[place] = True

    def forget_moments(self) -> None:
        """Give the memory of Adam's moments back, after the last step."""
        for updater in self.trainer._updaters:
            updater.states.clear()

    def _places(self) -> list[int]:
        """Return where the trainer, which sorts by name, has each of the net's parameters."""
        net = self.net if self.shard is None else self.shard.part
        return [self.trainer._param2idx[name] for name in net.collect_params()]


def squared_errors(net: AutoRec, batch: sparse.csr_matrix, devices: list[mx.Context]) -> list[Any]:
    """Compute the gradients of a batch; return each device's sum of squared errors."""
    inputs, masks = (
        gluon.utils.split_and_load(mx.np.array(part), devices) for part in ratings_and_mask(batch)
    )
    with autograd.record():
        outputs = [net(x) for x in inputs]
    losses = []
    for x, mask, y in zip(inputs, masks, outputs):
        error = (y - x) * mask  # (batch, num_inputs)
        y.backward(error)
        losses.append(mx.np.square(error).sum())
    return losses


def ratings_and_mask(batch: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Make a batch dense: its ratings, and 1 where there is one; (batch, num_inputs) each."""
    ones = np.ones_like(batch.data)
    rated = sparse.csr_matrix((ones, batch.indices, batch.indptr), batch.shape)
    return batch.toarray(), rated.toarray()


class Shard:
    """One worker's columns of a dense net, ``lo`` to ``hi``; all start from worker 0's weights.

    The first layer's sum over the columns is cut in two: what the worker's own columns add to it,
    and the rest of the net behind the sum. The layers between the first and the last are small;
    every worker has them whole, adds up their gradients with the others and makes the same update.
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
