"""What is measured: each part is some cases, run in turn, round after round."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import data, quiet
from benchmarks.sizes import SIZES
from d2l_autorec.errors import InputError

THREADS = 2
ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {
    "OMP_NUM_THREADS": str(THREADS),
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "",  # an installation has its bytecode: start as it does
}
LIBRARIES = "mxnet, pandas, scipy.sparse, numba, matplotlib.figure, typer, rich.table"
IMPORTS = "import of the libraries of train --engine sparse"
HEAVY = ("d2l", "matplotlib", "pandas", "mxnet", "numpy", "numba")

Reading = dict[str, Any]
Measure = Callable[[int], list[Reading]]


@dataclass(frozen=True)
class Plan:
    """How to measure."""

    anyway: bool  # also on a machine that is not idle
    torch: str  # the Python that has PyTorch
    quick: bool  # small arrays for the machine's limits


@dataclass(frozen=True)
class Part:
    """Cases to be measured in turn."""

    cases: dict[str, Measure]  # which measure one in a round; it may give several readings
    facts: dict[str, Any]  # which need not be measured again and again
    skipped: dict[str, str]  # why there is no such case


def make(name: str, size: str, plan: Plan) -> Part:
    """Prepare a part: make its data, warm what is to be warm."""
    makers = {"whole": whole, "train": train, "limits": limits, "startup": startup}
    makers.update(distributed=distributed, recommend=recommend)
    return makers[name](size, plan)


def whole(size: str, plan: Plan) -> Part:
    """Whole processes on ML-100K, imports included."""
    _worker(job="prepare", size="ml-100k", seed=0)  # which also fills the cache
    with tempfile.TemporaryDirectory() as folder:
        _call(_train("sparse", 0, f"{folder}/run", "--epochs", "1"))  # compiles the kernels

    def command(name: str, seed: int) -> list[Reading]:
        engine, *more = name.split()[2:]
        with tempfile.TemporaryDirectory() as folder:
            ran = _run(_train(engine, seed, f"{folder}/run", *more), plan)
            result = json.loads(Path(folder, "run/run.json").read_text())["result"]
        return [_reading(name, ran, ran.seconds, "s", rmse=result["test_rmse"])]

    def book(seed: int) -> list[Reading]:
        ran = _run([sys.executable, "-m", "benchmarks.book", str(seed)], plan)
        score = float(ran.stdout.split("test RMSE ")[1].split()[0])
        return [_reading("book", ran, ran.seconds, "s", rmse=score)]

    return Part({"book": book, **{name: partial(command, name) for name in WHOLE}}, {}, {})


def train(size: str, plan: Plan) -> Part:
    """Training alone, each engine in a process of its own; ML-100K with a split for each round."""
    seeds = range(9) if size == "ml-100k" else [0]
    cases: dict[str, Measure] = {}
    skipped = {}

    def measure(engine: str, round_: int) -> list[Reading]:
        python = plan.torch if engine.startswith("torch") else sys.executable
        seed = seeds[round_ % len(seeds)]
        job = {"job": "train", "engine": engine, "size": size, "seed": seed}
        ran = _run(_job(python, **job, threads=THREADS), plan)
        result = json.loads(ran.stdout)
        return [_reading(engine, ran, result.pop("value"), "s/epoch", seed=seed, **result)]

    for engine in SIZES[size].engines:
        if engine.startswith("torch") and not _has_torch(plan.torch):
            skipped[engine] = "PyTorch is not installed (benchmarks/requirements.txt)"
        else:
            cases[engine] = partial(measure, engine)
    for seed in seeds:
        _worker(job="prepare", size=size, seed=seed)
    of = SIZES[size]
    facts = {"shape": of.shape, "cells": of.cells, "ratings": of.shape[2]}
    facts["traffic_bytes"] = _worker(job="traffic", size=size)["bytes"]
    if of.dense_batches:
        facts["dense_batches"] = of.dense_batches
    return Part(cases, facts, skipped)


def limits(size: str, plan: Plan) -> Part:
    """What the machine can do at best."""
    sizes = ["toy"] if plan.quick else ["ml-100k", "ml-1m", "ml-10m"]
    job = {"job": "limits", "sizes": sizes, "megabytes": 16 if plan.quick else 256}
    _worker(**job, threads=THREADS)  # compiles

    def measure(round_: int) -> list[Reading]:
        ran = _run(_job(**job, threads=THREADS), plan)
        result = json.loads(ran.stdout)
        rates = {(f"memory, {by}", "GB/s"): rate for by, rate in result["memory"].items()}
        for of, products in result["products"].items():
            for by, rate in products.items():
                rates[f"products at {of}, {by}", "GFLOP/s"] = rate
        return [_reading(case, ran, rate / 1e9, unit) for (case, unit), rate in rates.items()]

    return Part({"limits": measure}, {}, {})


def distributed(size: str, plan: Plan) -> Part:
    """Two workers of one thread against one process with two, as commands; seconds of training."""
    epochs = 3 if size == "toy" else 5
    _worker(job="prepare", size=size, seed=0, csv=True)
    rows = SIZES[size].shape[1]
    batch = min(256, rows)
    more = [
        "--epochs",
        str(epochs),
        "--data",
        str(data.csv_file(size)),
        "--batch-size",
        str(batch),
    ]

    def measure(engine: str, workers: int, name: str, round_: int) -> list[Reading]:
        with tempfile.TemporaryDirectory() as folder:
            command = _train(engine, 0, f"{folder}/run", *more)
            if workers > 1:
                at = command.index("train")
                share = ["--workers", str(workers), "--threads", str(THREADS // workers)]
                command[at:at] = ["launch", *share, "--"]
            ran = _run(command, plan)
            with Path(folder, "run/history.csv").open() as file:
                history = [float(row["seconds"]) for row in csv.DictReader(file)]
            result = json.loads(Path(folder, "run/run.json").read_text())["result"]
        # the first epoch warms up; batches roll over from one epoch to the next
        timed = rows * epochs // batch - rows // batch
        seconds = sum(history[1:]) / timed * rows / batch
        return [_reading(name, ran, seconds, "s/epoch", rmse=result["test_rmse"])]

    cases: dict[str, Measure] = {}
    for engine, workers in itertools.product(("fast", "sparse"), (1, 2)):
        name = f"{engine}, {workers} x {THREADS // workers}"
        cases[name] = partial(measure, engine, workers, name)
    return Part(cases, {}, {})


def recommend(size: str, plan: Plan) -> Part:
    """Ten items for every user, by a model that has been read."""
    _worker(job="prepare", size=size, seed=0)

    def measure(by: str, round_: int) -> list[Reading]:
        ran = _run(_job(job="recommend", size=size, by=by, threads=THREADS), plan)
        return [_reading(f"{by}-based", ran, json.loads(ran.stdout)["value"], "s")]

    return Part({f"{by}-based": partial(measure, by) for by in ("item", "user")}, {}, {})


def startup(size: str, plan: Plan) -> Part:
    """What it takes to ask for help, and what an import brings along."""
    code = f"import sys, d2l_autorec; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    commands = {
        "d2l-autorec --help": [sys.executable, "-m", "d2l_autorec", "--help"],
        "import d2l_autorec": [sys.executable, "-c", "import d2l_autorec"],
        "python alone": [sys.executable, "-c", "pass"],
        "import mxnet": [sys.executable, "-c", "import d2l_autorec, mxnet"],
        IMPORTS: [sys.executable, "-c", f"import d2l_autorec, {LIBRARIES}"],
    }

    def measure(name: str, round_: int) -> list[Reading]:
        ran = _run(commands[name], plan)
        return [_reading(name, ran, ran.seconds, "s")]

    imported = _call([sys.executable, "-c", code]).split()
    return Part({name: partial(measure, name) for name in commands}, {"imported": imported}, {})


def _train(engine: str, seed: int, out: str, *more: str) -> list[str]:
    command = [sys.executable, "-m", "d2l_autorec", "train", "--recipe", "chapter"]
    options = ["--engine", engine, "--quiet", "--seed", str(seed), "--out", out]
    return [*command, *options, *more]


def _job(python: str = sys.executable, **settings: Any) -> list[str]:
    return [python, "-m", "benchmarks.worker", json.dumps(settings)]


def _run(command: list[str], plan: Plan) -> quiet.Ran:
    return quiet.run(command, ENVIRONMENT, plan.anyway)


def _call(command: list[str]) -> str:
    """Run what is not measured."""
    return quiet.run_unwatched(command, ENVIRONMENT).stdout


def _worker(**settings: Any) -> Any:
    return json.loads(_call(_job(**settings)))


def _has_torch(python: str) -> bool:
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    return subprocess.run([python, "-c", code]).returncode == 0


def _reading(case: str, ran: quiet.Ran, value: float, unit: str, **more: Any) -> Reading:
    others = None if ran.others is None else round(ran.others, 4)
    process = {"process_seconds": ran.seconds, "others": others}
    return {"case": case, "value": value, "unit": unit, **more, **process}


def check(parts: list[str], sizes: list[str]) -> None:
    """Raise an InputError for a part or size that is not known."""
    for flag, given, known in (("--parts", parts, SIZES_OF), ("--sizes", sizes, SIZES)):
        for name in given:
            if name not in known:
                raise InputError(f"{flag}: {name!r} is unknown; use {', '.join(known)}.")


WHOLE = ("train --engine fast", "train --engine sparse --draws numpy", "train --engine sparse")
"""The commands that are measured beside the book's process."""

SIZES_OF: dict[str, tuple[str, ...]] = {
    "whole": ("ml-100k",),
    "train": tuple(SIZES),
    "limits": ("",),
    "distributed": ("ml-1m", "toy"),
    "recommend": ("ml-100k", "ml-1m", "toy"),
    "startup": ("",),
}
"""Which sizes a part can be measured at; "" where it has none."""
