"""Attacks on what processes share: a run under launch, a folder, a full disk, a first download."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attack.files import kept_models, toy_ratings
from benchmarks.attack.frame import Area, Draws, one_of, require, snapshot
from benchmarks.attack.service import ENVIRONMENT
from d2l_autorec.__main__ import main
from d2l_autorec.atomic import LOCK, is_leftover
from d2l_autorec.data import fetch, known, sources
from d2l_autorec.serving.folder import load_model, save_model
from d2l_autorec.training import checkpoint

MARK = "D2L_AUTOREC_ATTACK"
ROLES = (("worker", "0"), ("worker", "1"), ("server", ""), ("scheduler", ""))


def write_ratings(draws: Draws, folder: Path) -> None:
    toy_ratings(draws, 40, 30).table.to_csv(folder / "own.csv", index=False)


def started(folder: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    """Start a command in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "d2l_autorec", *words],
        cwd=folder,
        env={**ENVIRONMENT, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def marked(mark: str, *wanted: str) -> list[int]:
    """Return the processes with a mark and other variables in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            has = process.joinpath("environ").read_bytes().decode("utf-8", "replace").split("\0")
            line = process.joinpath("cmdline").read_bytes()  # empty for a zombie
            guards = b"distributed.guard" in line and bool(wanted)
            if line and not guards and {f"{MARK}={mark}", *wanted} <= set(has):
                found.append(int(process.name))
    return found


def attack_launch(draws: Draws, folder: Path) -> None:
    """Kill, or stop for good, one process of a run that several share."""
    write_ratings(draws, folder)
    mark, (role, rank) = uuid.uuid4().hex, one_of(draws, ROLES)
    engine = one_of(draws, ("sparse", "fast"))
    words = ["launch", "--workers", "2", "--step-timeout", "4", "--", "train"]
    words += ["--data", "own.csv", "--recipe", "chapter", "--engine", engine, "--hidden", "5"]
    words += ["--batch-size", "8", "--epochs", "4000", "--out", "run"]
    process = started(folder, *words, **{MARK: mark})
    assert process.stderr is not None
    try:
        while "epoch 2/" not in process.stderr.readline():
            require(process.poll() is None, "it ended before it was attacked")
        time.sleep(draws.uniform(0, 1))
        variables = [f"DMLC_ROLE={role}"] + ([f"D2L_AUTOREC_RANK={rank}"] if rank else [])
        [target] = marked(mark, *variables)
        stop = role != "scheduler" and draws.random() < 0.3  # without it a run goes on
        os.kill(target, signal.SIGSTOP if stop else signal.SIGKILL)
        _, errors = process.communicate()
    finally:
        for number in [] if process.poll() is not None else [process.pid, *marked(mark)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.communicate()
    name = role if role == "scheduler" else f"{role} {rank or 0}"
    said = [line for line in errors.splitlines() if line.startswith("d2l-autorec: ")]
    require(process.returncode not in (0, None), f"code {process.returncode}")
    require(any(name in line for line in said), f"{name} was lost, and not named: {said}")
    require(not marked(mark), "processes are left")
    require(not (folder / "run" / "run.json").exists(), "a run that ended badly has a result")


def attack_folder(draws: Draws, folder: Path) -> None:
    """Let several processes begin, or go on with, a run in one folder."""
    write_ratings(draws, folder)
    words = ["train", "--data", "own.csv", "--engine", "sparse", "--hidden", "4", "--quiet"]
    words += ["--epochs", "6", "--checkpoint-every", "1", "--out"]
    whole = started(folder, *words, "whole")
    require(whole.wait() == 0, "the run alone fails")
    begin = [*words, "run"]
    if draws.random() < 0.6:
        first = started(folder, *begin)
        while first.poll() is None and not (folder / "run" / checkpoint.NAME).exists():
            time.sleep(0.001)
        first.kill()
        first.wait()
        if (folder / "run" / checkpoint.NAME).exists():
            begin = ["train", "--resume", "run", "--quiet"]
    processes = []
    for _ in range(int(draws.integers(2, 4))):
        processes.append(started(folder, *begin))
        time.sleep(draws.uniform(0, 0.3))
    errors = [process.communicate()[1] for process in processes]
    codes = [process.returncode for process in processes]
    require(set(codes) <= {0, 2} and 0 in codes, f"codes {codes}: {' '.join(errors)[-300:]}")
    for code, text in zip(codes, errors):
        last = [line for line in text.splitlines() if line.startswith("d2l-autorec: ")]
        require("Traceback" not in text and (code == 0 or last), text[-300:])
    results = [json.loads((folder / name / "run.json").read_text()) for name in ("run", "whole")]
    scores = [result["result"]["test_rmse"] for result in results]
    require(scores[0] == scores[1], "another result than that of one process")
    require(not any(is_leftover(path) for path in (folder / "run").iterdir()), "something is left")


def forked(work: Callable[[], int]) -> tuple[int, Callable[[], tuple[int, str]]]:
    """Do work in a child; return its number, and what waits for its code and what it wrote."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        code = 97
        try:
            signal.alarm(0)
            os.close(ours)
            for number in (1, 2):
                os.dup2(theirs, number)
            sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
            code = work()
        except SystemExit as end:
            code = (end.code or 0) if isinstance(end.code, (int, type(None))) else 98
        except BaseException as error:
            os.write(2, f"Traceback: {error!r}".encode())
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    os.close(theirs)

    def wait() -> tuple[int, str]:
        with os.fdopen(ours, "rb") as pipe:
            text = pipe.read().decode("utf-8", "replace")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text

    return child, wait


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a small disk, where that is allowed; yield whether it is."""
    options = f"size={max(size, 4096)}"
    made = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(made, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def attack_disk(draws: Draws, folder: Path) -> None:
    """Write where there is too little room, or none."""
    model = one_of(draws, kept_models())
    save_model(folder / "model", model)
    write_ratings(draws, folder)
    table = {"user": model.user_ids[:2], "item": model.item_ids[:2], "rating": model.low}
    rows = [f"{u},{i},{table['rating']}" for u, i in zip(table["user"], table["item"])]
    (folder / "more.csv").write_text("\n".join(["user,item,rating", *rows]) + "\n")
    disk, size = folder / "disk", int(2 ** draws.uniform(0, 17))
    disk.mkdir()
    of_model = ["--model", str(folder / "model")]
    train = ["train", "--data", str(folder / "own.csv"), "--engine", "sparse", "--hidden", "9"]
    words = one_of(
        draws,
        (
            ["export", *of_model, "--npz", str(disk / "w.npz")],
            ["export", *of_model, "--safetensors", str(disk / "w.safetensors")],
            ["update", *of_model, "--ratings", str(folder / "more.csv"), "--out", str(disk / "m")],
            [*train, "--epochs", "2", "--save", "--checkpoint-every", "1", "--out", f"{disk}/m"],
        ),
    )
    before = snapshot(folder)
    with small_disk(disk, size) as mounted:

        def work() -> int:
            if not mounted:  # then no file may be larger
                hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            sys.argv = ["d2l-autorec", *words]
            main()  # which exits with its code
            return 0

        code, text = forked(work)[1]()
        require(code in (0, 2), f"{' '.join(words)}: code {code}, {text[-300:]}")
        require("Traceback" not in text, text[-300:])
        require(code == 0 or "d2l-autorec: " in text, "refused without a sentence")
        after = {name: content for name, content in snapshot(folder).items() if name in before}
        require(after == before, "overwritten")
        left = [path.name for path in disk.rglob("*") if is_leftover(path)]
        require(not left, f"something is left: {left}")
        for saved in disk.rglob("model.json"):
            load_model(saved.parent)  # whole, or not there
        if code == 2 and words[0] != "train":
            require(not any(disk.iterdir()), "refused, and something is written")


def attack_download(draws: Draws, folder: Path) -> None:
    """Let several processes fetch the data at once for the first time, and kill some of them."""
    ratings = draws.bytes(int(draws.integers(1, 200_000)))
    files = {"u.data": ratings, "u.item": draws.bytes(2000)}
    waits = draws.uniform(0, 0.1, 8).tolist()

    def work(k: int) -> int:
        import hashlib

        def give(quiet: bool) -> tuple[dict[str, bytes], list[str]]:
            time.sleep(waits[k])
            return files, []

        fetch.fetch_ml100k = give
        for name, content in files.items():
            known.DIGESTS[name] = hashlib.sha256(content).hexdigest()
        os.environ["D2L_AUTOREC_DATA"] = str(folder / "cache")
        for _ in range(2):  # the second time from the cache
            sources.ensure_cached(quiet=True)
            for name, content in files.items():
                require((folder / "cache" / "ml-100k" / name).read_bytes() == content, name)
        return 0

    if draws.random() < 0.3:  # a damaged cache
        (folder / "cache" / "ml-100k").mkdir(parents=True)
        (folder / "cache" / "ml-100k" / "u.data").write_bytes(ratings[: len(ratings) // 2])
    children = [forked(functools.partial(work, k)) for k in range(int(draws.integers(2, 7)))]
    killed = set(np.flatnonzero(draws.random(len(children)) < 0.2).tolist())
    for k in killed:
        time.sleep(draws.uniform(0, 0.02))
        os.kill(children[k][0], signal.SIGKILL)
    ends: list[Any] = [wait() for _, wait in children]
    for k, (code, text) in enumerate(ends):
        require(code == 0 or (k in killed and code == -signal.SIGKILL), f"code {code}: {text}")
    if len(killed) < len(children):
        for name, content in files.items():
            found = (folder / "cache" / "ml-100k" / name).read_bytes()
            require(found == content, "the cache holds something else")
    require(not list(folder.rglob(LOCK)), "a lock is left")


AREAS = (
    Area("launch losses", "the lost process named, none left, no result", 66, attack_launch),
    Area("two processes", "one result, that of one process; the rest refused", 30, attack_folder),
    Area("disk full", "one sentence, nothing half-written", 200, attack_disk),
    Area("first downloads", "all have the data, whole", 400, attack_download),
)
