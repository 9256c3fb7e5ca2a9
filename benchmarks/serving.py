"""Measure the HTTP service: `python -m benchmarks.serving`, or `make bench-serving`.

Clients are connections that stay open, each asking again when its answer has come. One process
holds them all, with asyncio's streams and requests made beforehand: it reads an answer by its
length and does not parse it. It shares the cores with the service; the table says what both took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pandas as pd

from benchmarks import data, quiet
from benchmarks.parts import ROOT
from benchmarks.sizes import SIZES, title
from d2l_autorec.errors import InputError
from d2l_autorec.experiments.stored import save_results
from d2l_autorec.runs import write

OUT = ROOT / "results" / "serving"
SHARES = {"recommend": 50, "predict": 20, "similar": 10, "explain": 10, "new-user": 10}
"""Of a hundred questions, how many are of a kind."""
PAIRS, RATINGS, VARIANTS = 10, 20, 500
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
SETTING = (
    f"Of a hundred questions {', '.join(f'{n} are {kind}' for kind, n in SHARES.items())}: ten "
    f"rows, {PAIRS} pairs in predict, {RATINGS} ratings in new-user, users and items at random. "
    "The models are item-based with 500 hidden units, trained for one epoch: their speed does not "
    "depend on their weights."
)


def model_folder(size: str) -> Path:
    """Train a model, unless it is in the cache."""
    data.prepare(size, 0, csv=size != "ml-100k")
    folder = data.cached(size, 0).with_name(f"served-{size}")
    if not (folder / "model").exists():
        shutil.rmtree(folder, ignore_errors=True)
        words = ["--recipe", "chapter", "--engine", "sparse", "--epochs", "1", "--quiet"]
        if size != "ml-100k":
            words += ["--data", str(data.csv_file(size))]
        command = [sys.executable, "-m", "d2l_autorec", "train", "--save", "--out", str(folder)]
        quiet.run_unwatched([*command, *words], ENVIRONMENT)
    return folder


def requests(folder: Path) -> dict[str, list[bytes]]:
    """Make requests of each kind about a model's users and items."""
    ids = json.loads((folder / "model" / "ids.json").read_text(encoding="utf-8"))
    draws = random.Random(0)

    def user() -> str:
        return str(draws.choice(ids["user_ids"]))

    def item() -> str:
        return str(draws.choice(ids["item_ids"]))

    makers = {
        "recommend": lambda: _get(f"/recommend?user={user()}"),
        "predict": lambda: _post(
            "/predict", pairs=[{"user": user(), "item": item()} for _ in range(PAIRS)]
        ),
        "similar": lambda: _get(f"/similar?item={item()}"),
        "explain": lambda: _get(f"/explain?user={user()}&item={item()}"),
        "new-user": lambda: _post(
            "/new-user",
            ratings=[{"item": item(), "rating": draws.randint(1, 5)} for _ in range(RATINGS)],
        ),
    }
    return {kind: [make() for _ in range(VARIANTS)] for kind, make in makers.items()}


def _get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def _post(path: str, **content: Any) -> bytes:
    body = json.dumps(content).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """Start the service; yield its address."""
    command = [sys.executable, "-m", "d2l_autorec", "serve", "--model", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if "http://" not in line:
            raise InputError("The service did not start.")
        yield line.split("http://")[1].split("/")[0]
    finally:
        process.terminate()
        if process.wait(30):
            raise InputError(f"The service ended with exit code {process.returncode}.")


async def drive(
    address: str, asked: dict[str, list[bytes]], clients: int, seconds: float
) -> tuple[dict[str, list[float]], int]:
    """Ask until the time is over; return the seconds of each answer, and how many failed."""
    host, port = address.split(":")
    taken: dict[str, list[float]] = defaultdict(list)
    failed = 0
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal failed
        draws = random.Random(number)
        kinds, shares = list(SHARES), list(SHARES.values())
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.perf_counter() < end:
            [kind] = draws.choices(kinds, shares)
            start = time.perf_counter()
            writer.write(draws.choice(asked[kind]))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            taken[kind].append(time.perf_counter() - start)
            failed += not head.startswith(b"http/1.1 200 ")
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    return taken, failed


def measure(size: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Drive the service on a model of this size: a row over all questions, and one of each."""
    folder = model_folder(size)
    asked = requests(folder)
    with service(folder) as address:
        asyncio.run(drive(address, asked, chosen.clients, 1.0))  # to warm up
        quiet.wait_for_idle(chosen.anyway)
        print(f"{size}: {chosen.clients} clients, {chosen.seconds:g} seconds", file=sys.stderr)
        before, own, start = _cpu(address), time.process_time(), time.perf_counter()
        taken, failed = asyncio.run(drive(address, asked, chosen.clients, chosen.seconds))
        seconds = time.perf_counter() - start
        cores = {"service": _cpu(address) - before, "client": time.process_time() - own}
    rows = []
    for kind in ("all", *SHARES):
        every = taken[kind] if kind != "all" else [t for each in taken.values() for t in each]
        p50, p99 = np.percentile(every, [50, 99]) * 1000
        row = {"size": title(size), "question": kind, "answers": len(every)}
        row |= {"per_second": round(len(every) / seconds, 1), "p50_ms": round(p50, 2)}
        row |= {"p99_ms": round(p99, 2), "max_ms": round(max(every) * 1000, 1)}
        if kind == "all":
            row["failed"] = failed
            row |= {f"{name}_cores": round(cpu / seconds, 2) for name, cpu in cores.items()}
        rows.append(row)
    return rows


def _cpu(address: str) -> float:
    """Seconds of computing that the service has taken, from its own metrics."""
    with urlopen(f"http://{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return float(next(li for li in lines if li.startswith("process_cpu_seconds_total")).split()[1])


def report(rows: list[dict[str, Any]], chosen: argparse.Namespace) -> None:
    """Write the table as CSV and Markdown, and the page of the results."""
    frame = pd.DataFrame(rows).astype({"failed": "Int64"})
    where = f"{quiet.described(quiet.machine())}; {time.strftime('%Y-%m-%d')}"
    totals = frame[frame["question"] == "all"].to_dict("records")
    answer = [
        f"{row['size']}: {row['per_second']:,.0f} answers a second to {chosen.clients} clients, "
        f"half of them within {row['p50_ms']:.0f} ms and 99 of 100 within {row['p99_ms']:.0f} ms; "
        f"{row['failed']} failed. The service took {row['service_cores']:.2f} cores and the "
        f"client, on the same machine, {row['client_cores']:.2f}."
        for row in totals
    ]
    save_results(
        chosen.out,
        "make bench-serving" + (" --quick" if chosen.quick else ""),
        f"How fast does the service answer {chosen.clients} clients at once?",
        answer,
        {
            "machine": where,
            "seconds of each size": chosen.seconds,
            "questions": SETTING,
            "the machine was required to be idle": not chosen.anyway,
        },
        {"table": frame},
        {},
    )
    lines = ["# The service under load", "", where + ".", "", *answer, "", SETTING, ""]
    lines += [f"| {' | '.join(frame.columns)} |", f"|{' --- |' * len(frame.columns)}"]
    cells = frame.astype(object).where(frame.notna(), "").to_numpy().tolist()
    lines += [f"| {' | '.join(map(str, row))} |" for row in cells]
    write(chosen.out / "table.md", "\n".join(lines) + "\n")


def main() -> None:
    """Measure each size and write the report."""
    parser = argparse.ArgumentParser(prog="serving", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="ml-100k,ml-1m")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    parser.add_argument("--anyway", action="store_true", help="also if the machine is not idle")
    parser.add_argument("--quick", action="store_true", help="toy size for two seconds")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.sizes, chosen.seconds = "toy", 2.0
    sizes = chosen.sizes.split(",")
    for size in sizes:
        if size not in SIZES:
            raise InputError(f"--sizes: {size!r} is none of {', '.join(SIZES)}.")
    rows = [row for size in sizes for row in measure(size, chosen)]
    report(rows, chosen)
    print((chosen.out / "table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"{error}")
