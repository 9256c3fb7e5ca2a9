"""What the tests let workers do: train on a toy, then leave the result or misbehave."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import d2l_autorec  # noqa: F401  # its import hook, before MXNet

# isort: split
import mxnet as mx
import numpy
import pandas as pd
from scipy import sparse

from d2l_autorec.data.formats import Ratings
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.runtime import num_threads, seed_everything
from d2l_autorec.training import checkpoint, dense, run
from d2l_autorec.training.distributed.group import group_from_environment
from d2l_autorec.training.sparse import train_sparse
from d2l_autorec.training.sparse.columns import share_out
from d2l_autorec.training.sparse.state import SparseState

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
    net = AutoRec(COLS, Architecture(**{"hidden": (7,), "dropout": 0.0, **shape}))
    net.initialize(mx.init.Normal(0.3))
    seed_everything(4)
    settings = {"num_epochs": epochs, "batch_size": BATCH, "lr": LR, "wd": WD, "group": group}
    engine, _, uneven = engine.partition("-")
    if uneven:
        settings["batches"] = uneven_batches()
    result = {}
    if engine == "fast":
        history = list(dense.train_fast(net, ratings, test, **settings))
    else:
        state = SparseState.from_net(net)
        history = list(train_sparse(net, ratings, test, state=state, num_threads=2, **settings))
        if group is not None:
            state.gather(share_out(ratings, group), moments=True)
        result = dict(state.arrays())
    return result | learned(net, history)


def learned(net, history):
    parameters = enumerate(net.collect_params().values())
    result = {f"parameter{i}": parameter.data().asnumpy() for i, parameter in parameters}
    return result | errors(history)


def errors(history):
    return {
        "losses": numpy.array([epoch.train_loss for epoch in history]),
        "rmse": numpy.array([epoch.rmse for epoch in history]),
    }


def uneven_batches():
    """Give all rows in each epoch; the batch that ends it, the sixth, is short."""
    draws = numpy.random.default_rng(0)
    while True:
        yield numpy.split(draws.permutation(ROWS), range(BATCH, ROWS, BATCH))


def run_train(engine, group=None, folder=None):
    """Make a whole run; where there is a folder, in two halves with a checkpoint between them."""
    ratings = toy()[0].tocoo()
    columns = {"user": ratings.col, "item": ratings.row, "rating": ratings.data, "timestamp": 0}
    users, items = numpy.arange(COLS), numpy.arange(ROWS)
    data = Ratings(pd.DataFrame(columns), users, items, None, "toy", "0" * 64)
    recipe = RECIPES["chapter"].but(
        hidden=(7,), dropout=0.3, batch_size=9, num_epochs=6, lr=LR, wd=WD, val_ratio=0.2
    )
    plan = run.Plan(recipe, engine, checkpoint_every=10)
    keep = None
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(exist_ok=True)
        asked = iter([False, False, True])
        keep = checkpoint.Keep(folder, stopping=lambda: next(asked))
        with contextlib.suppress(KeyboardInterrupt):
            run.train(data, plan, group=group, keep=keep)
        group.total(0)  # comes back once worker 0 has written
        former = checkpoint.load(folder)
        assert len(former.history) == 3
        keep = checkpoint.Keep(folder, former=former)
    model, _, history = run.train(data, plan, group=group, keep=keep)
    return {**model.networks[0].weights, **errors(history)}


def main():
    wanted = json.loads(sys.argv[1])
    group = group_from_environment()
    print("pid", os.getpid(), flush=True)
    print("threads", num_threads(), file=sys.stderr)
    ratings, _ = toy()
    net = AutoRec(COLS, Architecture(hidden=(7,)))
    net.initialize()
    group.agree("The seed", str(group.rank if wanted.get("disagree") else 0))
    if "misbehave" in wanted:
        epochs = dense.train_fast(net, ratings, num_epochs=10**6, batch_size=BATCH, group=group)
        for epoch in epochs:
            if epoch.epoch == 3 and group.rank == group.num_workers - 1:
                misbehave(wanted["misbehave"], wanted.get("call"))
    for name, (engine, shape) in wanted["runs"].items():
        if engine == "run":
            result = run_train(shape, group)
        elif engine == "halves":
            result = run_train(shape, group, f"{wanted['out']}/{name}")
        else:
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
