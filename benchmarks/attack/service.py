"""Attacks on the command line and on the HTTP service, in processes of their own."""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.attack.files import kept_models, ratings_file, toy_ratings
from benchmarks.attack.frame import TEXTS, VALUES, Area, Draws, one_of, require, snapshot
from d2l_autorec.serving.folder import save_model

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SETTINGS = {
    "--lr": ("1e300", "1e-45", "nan", "-1", "0", "1e30", "x"),
    "--wd": ("1e39", "inf", "-0.1"),
    "--dropout": ("1e-300", "1", "0.9999999999"),
    "--hidden": ("0", "1e3", "9,", "30000000"),
    "--seed": ("-1", "4294967296", "99999999999999999999"),
    "--epochs": ("0", "-3", "1.5"),
    "--batch-size": ("0", "100000"),
    "--val-ratio": ("1", "-0.1", "nan"),
    "--by": ("x", "Item"),
    "--engine": ("x", "SPARSE", ""),
    "--split": ("x", "time", "/etc/passwd", "u1"),
    "--test-ratio": ("0", "1", "nan"),
    "--columns": ("user=a", "x", "user=1,item=1,rating=2"),
    "--sep": ("", "a", ".", "\n"),
    "--encoding": ("x", "utf-16", "zip"),
    "--decimal": ("x", ";"),
    "--rating-range": ("5,1", "1,1e39", "nan,5", "1"),
    "--devices": ("gpu:99", "cpu:0", "x"),
    "--recipe": ("x", "/etc/passwd", "../..", ""),
    "--patience": ("0", "x"),
    "--folds": ("0", "1"),
    "--out": ("own.csv", "/dev/full/x", "/proc/x", "x" * 300, "a\udc80"),
    "--data": ("nothing", "/dev/zero", ".", "x" * 300, "pipe"),
    "--titles": ("nothing", "pipe"),
    "--resume": ("nothing", "own.csv", "."),
    "--tensorboard": ("own.csv/x", "/proc/x"),
    "--checkpoint-every": ("-1", "x"),
    "--not-rated": ("x", "nan"),
    "--test": ("nothing", "pipe"),
}
"""Hostile values of train's options."""
VARIABLES = {
    "OMP_NUM_THREADS": ("0", "x", "2,1", "999999999999"),
    "D2L_AUTOREC_DATA": ("/proc/x", "~y/z"),
    "D2L_AUTOREC_STEP_TIMEOUT": ("x", "inf", "-1"),
    "D2L_AUTOREC_RANK": ("x", "-1"),
    "HOME": ("/nonexistent", ""),
    "NUMBA_CACHE_DIR": ("/proc/x", "own.csv", "cache"),
    "DMLC_ROLE": ("x", "server"),
    "LC_ALL": ("C", "xx_YY"),
    "MPLCONFIGDIR": ("/proc/x",),
    "PYTHONIOENCODING": ("ascii", "latin-1"),
    "TMPDIR": ("/nonexistent",),
}
HEADERS = (
    "Transfer-Encoding: chunked",
    "X: " + "y" * 9000,
    ": x",
    "Expect: 100-continue",
    "Host: z",
    "Range: bytes=0-",
)
QUESTION = b"GET /recommend?user=1&n=3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
QUESTIONS = ("/recommend", "/predict", "/similar", "/explain", "/new-user")
PATHS = (*QUESTIONS, "/health", "/metrics", "/", "/../x", "/recommend/")
WEIGHTS = ("--npz", "--safetensors")
ASKED = ("recommend", "similar", "explain", "predict", "evaluate", "inspect", "export", "new-user")


def attack_command(draws: Draws, folder: Path) -> None:
    toy_ratings(draws, 20, 15).table.to_csv(folder / "own.csv", index=False)
    os.mkfifo(folder / "pipe")
    environment, model = dict(ENVIRONMENT), folder / "model"
    if draws.random() < 0.4:
        name = one_of(draws, VARIABLES)
        environment[name] = one_of(draws, VARIABLES[name])
    if draws.random() < 0.65:
        words = ["train", "--data", "own.csv", "--engine", "sparse", "--epochs", "1"]
        words += ["--hidden", "3", "--out", "run"]
        for name in {one_of(draws, SETTINGS) for _ in range(int(draws.integers(1, 3)))}:
            words += [name, one_of(draws, SETTINGS[name])]
    else:
        save_model(model, one_of(draws, kept_models()))
        command = one_of(draws, ASKED)
        words = [command, "--model", one_of(draws, ("model", "model", "own.csv", "x" * 300, "."))]
        hostile = [text for text in TEXTS if "\0" not in text]
        extra = {
            "recommend": ["--user", one_of(draws, hostile)],
            "similar": ["--item", one_of(draws, hostile)],
            "explain": ["--user", "1", "--item", one_of(draws, hostile)],
            "predict": ["--pairs", one_of(draws, ("own.csv", "pipe", "nothing"))],
            "evaluate": ["--test", one_of(draws, ("own.csv", "pipe", "nothing"))],
            "export": [one_of(draws, pair) for pair in (WEIGHTS, ("w", "own.csv/x"))],
            "new-user": ["--ratings", one_of(draws, ("own.csv", "pipe"))],
        }
        words += extra.get(command, [])
        if command == "inspect":
            name, content = ratings_file(draws)
            (folder / name).write_bytes(content[: int(draws.integers(len(content)))])
            words = [command, one_of(draws, (name, "pipe", "nothing"))]
    before = snapshot(folder)
    full = draws.random() < 0.1
    with open("/dev/full" if full else os.devnull, "w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "d2l_autorec", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=100,
        )
    errors = done.stderr.decode("utf-8", "replace")
    said = f"{' '.join(words)[:200]}: code {done.returncode}, {errors[-300:]}"
    require(done.returncode in ((0, 1, 2) if full else (0, 2)), said)
    require("Traceback" not in errors, said)
    if done.returncode == 2 and "╭" not in errors:  # Typer's box
        last = [line for line in errors.splitlines() if line.startswith("d2l-autorec: ")]
        require(last and errors.strip(), said)
    after = snapshot(folder)
    require(all(after.get(name) == content for name, content in before.items()), "overwritten")


class _Service:
    """The HTTP service on a model, in a process that ends with this one."""

    def __init__(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        folder = Path(self.place.name) / "model"
        save_model(folder, kept_models()[0])
        words = ["serve", "--model", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "d2l_autorec", *words],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        atexit.register(self.end)
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"http://([\d.]+):(\d+)", line):
                self.address = found[1], int(found[2])
                break
        self.answer = self.ask(QUESTION)

    def ask(self, request: bytes, seconds: float = 30.0) -> bytes:
        """Send bytes; return what comes back until the other side closes, or time is over."""
        said = b""
        with socket.create_connection(self.address, timeout=seconds) as connection:
            try:
                connection.sendall(request)
                while part := connection.recv(65536):
                    said += part
            except (ConnectionResetError, BrokenPipeError, socket.timeout):
                pass
        return said

    def end(self) -> None:
        """End the process that this one has started."""
        self.process.terminate()
        self.process.wait(20)
        self.place.cleanup()


service = functools.lru_cache(maxsize=None)(_Service)


def attack_http(draws: Draws, folder: Path) -> None:
    path = one_of(draws, PATHS)
    names = ("user", "item", "n", "min_ratings", "x", "pairs", "ratings")
    names += ("candidates", "exclude", "genre", "year")
    query = "&".join(
        f"{one_of(draws, names)}={quote(one_of(draws, (*TEXTS, '1', '2')))}"
        for _ in range(int(draws.integers(0, 4)))
    )
    method = one_of(draws, ("GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "X", "get"))
    said = {one_of(draws, names): one_of(draws, VALUES) for _ in range(2)}
    said["pairs"] = [{"user": one_of(draws, VALUES), "item": one_of(draws, VALUES)}]
    body = json.dumps(one_of(draws, (said, said, one_of(draws, VALUES)))).encode()
    length: Any = len(body)
    if draws.random() < 0.15:
        length = one_of(draws, ("-1", "x", "99999999999", "²", "0", len(body) + 5))
    head = [f"{method} {path}?{query} HTTP/1.1", "Host: localhost", "Connection: close"]
    head += [f"Content-Type: {one_of(draws, ('application/json', 'text/plain', 'x'))}"]
    head += [f"Content-Length: {length}"]
    if draws.random() < 0.2:
        head.append(one_of(draws, HEADERS))
    request = "\r\n".join([*head, "", ""]).encode("utf-8") + body
    if draws.random() < 0.2:
        request = request[: int(draws.integers(1, len(request)))]
    answer = service().ask(request, 0.5)  # it may wait for the rest of a request
    statuses = re.findall(rb"^HTTP/1\.[01] (\d{3})", answer)
    require(not any(status.startswith(b"5") for status in statuses), answer[:300])
    require(b"Traceback" not in answer, answer[:300])
    require(service().process.poll() is None, "the service has ended")
    again = service().ask(QUESTION)
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in (again, service().answer)]
    require(bodies[0] == bodies[1] and bodies[0], "another answer than before")


AREAS = (
    Area("HTTP service", "no error of the server, and the same answer after", 600, attack_http),
    Area("commands", "code 0 or 2, a sentence, nothing overwritten", 60, attack_command),
)
