"""One measurement in a process of its own, so that memory and generators are its own.

python -m benchmarks.worker '{"job": "train", "engine": "sparse", ...}' prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import data, quiet
from benchmarks.sizes import BATCH, LARGE, LARGE_BATCH, SIZES
from d2l_autorec.config import CHAPTER


def train(engine: str, size: str, seed: int, threads: int) -> dict[str, Any]:
    """Train with one engine; seconds of an epoch are those of a mean batch times rows / batch."""
    of = SIZES[size]
    sparse = engine in ("sparse", LARGE)
    limit = None if sparse else of.dense_batches
    batch = LARGE_BATCH if engine == LARGE else BATCH
    matrix, test = data.load(str(data.cached(size, seed)))
    epochs = data.plan(matrix.shape[0], of.epochs, limit, seed, batch)
    loop = _sparse if sparse else _fast if engine == "fast" else _torch
    score, seconds = loop(engine, matrix, test, epochs, seed, threads)
    timed = sum(map(len, epochs[1:]))
    peak = peak_bytes()  # before the scoring, which is not measured
    return {
        "value": sum(seconds[1:]) / timed * matrix.shape[0] / min(batch, matrix.shape[0]),
        "batches": timed,
        "ratings": int(matrix.nnz),
        "peak_bytes": peak,
        "rmse": None if limit else score(),
    }


def _fast(engine: str, matrix: Any, test: Any, epochs: Any, seed: int, threads: int) -> Any:
    import mxnet as mx

    from d2l_autorec.models.autorec import AutoRec
    from d2l_autorec.runtime import seed_everything
    from d2l_autorec.training.dense import evaluate_fast, train_fast

    seed_everything(seed)
    net = AutoRec(matrix.shape[1])
    net.initialize(mx.init.Normal(CHAPTER.sigma))
    loop = train_fast(net, matrix, num_epochs=len(epochs), batches=iter(epochs))
    seconds = [epoch.seconds for epoch in loop]
    return lambda: evaluate_fast(net, matrix, test), seconds


def _sparse(engine: str, matrix: Any, test: Any, epochs: Any, seed: int, threads: int) -> Any:
    from d2l_autorec.models.architecture import Architecture
    from d2l_autorec.runtime import seed_everything
    from d2l_autorec.training import sparse

    sparse.compile_kernels()
    seed_everything(seed)
    state = sparse.SparseState.from_mxnet(Architecture(), matrix.shape[1], "normal")
    given = {"num_epochs": len(epochs), "batches": iter(epochs), "num_threads": threads}
    seconds = [epoch.seconds for epoch in sparse.train_sparse(None, matrix, state=state, **given)]
    return lambda: sparse.evaluate_sparse(state, matrix, test, num_threads=threads), seconds


def _torch(engine: str, matrix: Any, test: Any, epochs: Any, seed: int, threads: int) -> Any:
    import torch

    from benchmarks import torch_loop

    torch.set_num_threads(threads)
    net, seconds = torch_loop.train(matrix, epochs, engine == "torch-fused", seed, asdict(CHAPTER))
    return lambda: torch_loop.rmse(net, matrix, test), seconds


def traffic(size: str) -> dict[str, Any]:
    """Bytes that an epoch of the sparse engine has to move."""
    from benchmarks.traffic import bytes_moved
    from d2l_autorec.training.sparse.state import padded

    matrix, _ = data.load(str(data.cached(size, 0)))
    epochs = data.plan(matrix.shape[0], SIZES[size].epochs, None, 0)[1:]
    moved = bytes_moved(matrix, epochs, 4 * padded(CHAPTER.num_hidden))
    batches = sum(map(len, epochs))
    return {"bytes": sum(moved) / batches * matrix.shape[0] / min(BATCH, matrix.shape[0])}


def recommend(size: str, by: str, threads: int) -> dict[str, Any]:
    """Name ten items to every user with a model just read; what its weights are does not count."""
    import numpy as np

    from d2l_autorec.models.biases import Scale
    from d2l_autorec.models.network import Network
    from d2l_autorec.models.recipe import Recipe
    from d2l_autorec.models.trained import TrainedModel
    from d2l_autorec.serving import recommend as asked
    from d2l_autorec.serving.model import Model

    matrix, _ = data.load(str(data.cached(size, 0)))
    ids = {"item": np.arange(matrix.shape[0]), "user": np.arange(matrix.shape[1])}
    recipe, rng = Recipe().but(by=by), np.random.default_rng(0)
    read = matrix if by == "item" else matrix.T.tocsr()
    weights = {
        name: rng.normal(0, CHAPTER.sigma, shape).astype(np.float32)
        for name, shape in recipe.architecture.weight_shapes(read.shape[1]).items()
    }
    network = Network(recipe, weights, Scale.of(read, recipe))
    trained = TrainedModel(recipe, (network,), (1.0,), matrix)
    model = Model(trained, ids["user"], ids["item"], None, 1.0, 5.0, {})
    start = time.perf_counter()
    table = asked.recommend(model, n=10)
    return {"value": time.perf_counter() - start, "rows": len(table)}


def limits(sizes: list[str], megabytes: int, threads: int) -> dict[str, Any]:
    """Measure what the machine could do at best."""
    from benchmarks.limits import matrix_products, memory

    products = {size: matrix_products(SIZES[size].shape[0]) for size in sizes}
    return {"memory": memory(megabytes, threads), "products": products}


def peak_bytes() -> int:
    """Most memory this process has had; getrusage also counts what its parent had at the fork."""
    if Path("/proc/self/status").exists():
        return quiet.held(os.getpid())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Do the job named on the command line."""
    settings = json.loads(sys.argv[1])
    jobs = {"train": train, "traffic": traffic, "limits": limits, "recommend": recommend}
    jobs["prepare"] = data.prepare
    print(json.dumps(jobs[settings.pop("job")](**settings)))


if __name__ == "__main__":
    main()
