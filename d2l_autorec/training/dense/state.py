"""All that changes while the dense engine trains: the net's weights and Adam's moments."""

from __future__ import annotations

from functools import partial
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from scipy import sparse

from d2l_autorec.models.autorec import AutoRec, get_weights
from d2l_autorec.training.checked import check_arrays
from d2l_autorec.training.dense.shard import Shard, ratings_and_mask
from d2l_autorec.training.distributed.group import Group
from d2l_autorec.training.job import Updates


class DenseState:
    """A net with its optimizer, in one process or as one worker's share.

    Parameters
    ----------
    net : AutoRec
        Initialised on `devices`.
    devices : list of mxnet.Context
        Each batch is split evenly over them.
    updates : Updates
    group : Group, optional
        The workers to share the columns with, each on its first device.
    """

    def __init__(
        self,
        net: AutoRec,
        devices: list[mx.Context],
        updates: Updates,
        group: Group | None = None,
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
        """Restore what `arrays` returned; call it before the first step."""
        shapes = {f"{i}": p.shape for i, p in enumerate(self.net.collect_params().values())}
        moments = ("mean", "var")
        all_shapes = {f"{i}_{m}": shape for i, shape in shapes.items() for m in moments}
        check_arrays(arrays, {**shapes, **all_shapes})
        self.set_weights(arrays)
        optimizer = self.trainer.optimizer
        optimizer.begin_num_update = optimizer.num_update = step
        for updater, device in zip(self.trainer._updaters, self.devices):
            for i, place in enumerate(self._places()):
                own = [arrays[f"{i}_{m}"] for m in moments]
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
