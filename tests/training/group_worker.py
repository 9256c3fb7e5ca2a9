"""What the tests let workers do: train on a toy, then leave the result or misbehave."""

import json
import os
import subprocess
import sys
import time

import mxnet as mx
import numpy
from mxnet import gluon
from scipy import sparse

from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training import fast
from d2l_autorec.training._shard import Shard
from d2l_autorec.training._state import SparseState, own_columns
from d2l_autorec.training.distributed import group_from_environment
from d2l_autorec.training.sparse import train_sparse

ROWS, COLS, BATCH, LR, WD = 41, 23, 8, 0.002, 0.01  # 5 batches an epoch, the columns are odd


def toy(cols=COLS):
    """Skewed ratings, signed, some of them zero; column 0 has none."""
    draws = numpy.random.default_rng(0)
    rated = draws.random((ROWS, cols)) < numpy.linspace(0, 1, cols)
    rows, columns = numpy.nonzero(rated)
    held_out = draws.random(len(rows)) < 0.2
    ratings = draws.integers(-2, 3, len(rows)).astype("float32")
    return [
        sparse.csr_matrix((ratings[part], (rows[part], columns[part])), (ROWS, cols))
        for part in (~held_out, held_out)
    ]


def train(engine, group=None, epochs=4, **shape):
    """Train on the toy; return what is to be equal in one process and in several."""
    ratings, test = toy()
    seed_everything(3 if group is None else 3 + group.rank)  # the weights are worker 0's
    net = AutoRec(COLS, **{"hidden": (7,), "dropout": 0.0, **shape})
    net.initialize(mx.init.Normal(0.3))
    seed_everything(4)
    settings = {"num_epochs": epochs, "batch_size": BATCH, "lr": LR, "wd": WD, "group": group}
    result = {}
    if engine == "fast":
        history = list(fast.train_fast(net, ratings, test, **settings))
    elif engine == "sparse":
        state = SparseState.from_net(net)
        history = list(train_sparse(net, ratings, test, state=state, num_threads=2, **settings))
        if group is not None:
            state.gather(group, own_columns(group, ratings), moments=True)
        result = dict(state.arrays())
    else:
        history = []
        uneven_steps(net, ratings, group)
    for i, parameter in enumerate(net.collect_params().values()):
        result[f"parameter{i}"] = parameter.data().asnumpy()
    result["losses"] = numpy.array([epoch.train_loss for epoch in history])
    result["rmse"] = numpy.array([epoch.test_rmse for epoch in history])
    return result


def uneven_steps(net, ratings, group):
    """Take 20 steps; every sixth batch is the short one that ends an epoch without rollover."""
    if group is None:
        trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": LR, "wd": WD})
    else:
        shard = Shard(net, group, mx.cpu(), LR, WD)
    draws = numpy.random.default_rng(0)
    rows = numpy.concatenate([draws.permutation(ROWS) for _ in range(4)])
    for step in range(20):
        epoch, i = divmod(step, 6)
        batch = rows[
            epoch * ROWS + i * BATCH : min(epoch * ROWS + (i + 1) * BATCH, ROWS * (epoch + 1))
        ]
        if group is None:
            fast._step(net, ratings[batch], [mx.cpu()])
            trainer.step(len(batch) * COLS)
        else:
            shard.step(ratings[batch])
    if group is not None:
        shard.write_to(net)


def main():
    wanted = json.loads(sys.argv[1])
    group = group_from_environment()
    print("pid", os.getpid(), flush=True)
    print("threads", group.threads, file=sys.stderr)
    ratings, _ = toy()
    net = AutoRec(COLS, hidden=(7,))
    net.initialize()
    group.agree("The seed", str(group.rank if wanted.get("disagree") else 0))
    if "misbehave" in wanted:
        epochs = fast.train_fast(net, ratings, num_epochs=10**6, batch_size=BATCH, group=group)
        for epoch in epochs:
            if epoch.epoch == 3 and group.rank == group.num_workers - 1:
                misbehave(wanted["misbehave"], wanted.get("call"))
    for name, (engine, shape) in wanted["runs"].items():
        result = train(engine, group, **shape)
        numpy.savez(f"{wanted['out']}/{name}-{group.rank}.npz", **result)
    group.close()


def misbehave(how, command):
    print("these are its last words", file=sys.stderr, flush=True)
    if how == "die":
        os.kill(os.getpid(), 9)
    elif how == "raise":
        raise RuntimeError("a fault of the worker's own")
    elif how == "hang":
        time.sleep(60)
    elif how == "call":
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
