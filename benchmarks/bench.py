"""Measure the engines side by side: `python -m benchmarks.bench`, or `make bench`.

Cases are run in turn, round after round, each in a process of its own with two threads on two
cores, and only while nothing else takes the cores. Of what `benchmark.json` holds, only the parts
measured are replaced.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import parts, quiet, report
from d2l_autorec.errors import InputError

OUT = parts.ROOT / "results" / "benchmark"
PARTS = "startup,whole,limits,train,distributed,recommend"
SIZES = "ml-100k,ml-1m,ml-10m"
PACKAGES = ("d2l-autorec", "mxnet", "d2l", "numpy", "scipy", "pandas", "numba")


def versions(torch: str) -> dict[str, str]:
    """Versions of what is measured."""
    found = {name: metadata.version(name) for name in PACKAGES}
    code = "from importlib import metadata; print(metadata.version('torch'))"
    asked = subprocess.run([torch, "-c", code], capture_output=True, text=True)
    if asked.returncode == 0:
        found["torch"] = asked.stdout.strip()
    return {"python": platform.python_version(), **found}


def measure(name: str, size: str, rounds: int, plan: parts.Plan) -> dict[str, Any]:
    """Measure a part: all its cases in turn, every second round backwards."""
    label = f"{name} {size}".strip()
    print(f"{label}: preparing", file=sys.stderr)
    part = parts.make(name, size, plan)
    idle = quiet.wait_for_idle(plan.anyway)
    readings, start = [], time.perf_counter()
    for round_ in range(rounds):
        order = list(part.cases)[:: -1 if round_ % 2 else 1]
        for case in order:
            for reading in part.cases[case](round_):
                readings.append({"round": round_, **reading})
                text = f"{reading['case']} {reading['value']:.4g} {reading['unit']}"
                print(f"{label}, round {round_ + 1} of {rounds}: {text}", file=sys.stderr)
    return {
        "part": name,
        "size": size,
        "rounds": rounds,
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.perf_counter() - start, 1),
        "threads": parts.THREADS,
        "load_before": round(idle, 4),
        "anyway": plan.anyway,
        "machine": quiet.machine(),
        "versions": versions(plan.torch),
        **part.facts,
        "skipped": part.skipped,
        "readings": readings,
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--parts", help=f"of {PARTS}; all if left out")
    parser.add_argument(
        "--sizes", help=f"of {SIZES},ml-20m,netflix (20m will do); the first if left out"
    )
    parser.add_argument("--rounds", type=int, help="5 if left out")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    parser.add_argument("--torch", default=sys.executable, help="Python that has PyTorch")
    parser.add_argument("--anyway", action="store_true", help="also if the machine is not idle")
    parser.add_argument("--quick", action="store_true", help="toy size, to try the script")
    parser.add_argument("--report", action="store_true", help="write table and figure anew only")
    return parser.parse_args()


def main() -> None:
    """Measure what is asked for, and write the report after each part."""
    chosen = arguments()
    names = (chosen.parts or ("startup,limits,train" if chosen.quick else PARTS)).split(",")
    sizes = (chosen.sizes or ("toy" if chosen.quick else SIZES)).split(",")
    sizes = [f"ml-{size}" if size[:1].isdigit() else size for size in sizes]
    rounds = (1 if chosen.quick else 5) if chosen.rounds is None else chosen.rounds
    if rounds < 1:
        raise InputError(f"--rounds is {rounds}; give at least 1.")
    plan = parts.Plan(chosen.anyway, chosen.torch, chosen.quick)
    parts.check(names, sizes)
    chosen.out.mkdir(parents=True, exist_ok=True)
    file = chosen.out / "benchmark.json"
    record = json.loads(file.read_text()) if file.exists() else {"parts": {}}
    if chosen.report:
        report.write_all(chosen.out, record)
        return
    quiet.keep_cores(parts.THREADS)
    for name in names:
        for size in parts.SIZES_OF[name]:
            if size in sizes or not size:
                key = f"{name}:{size}" if size else name
                record["parts"][key] = measure(name, size, rounds, plan)
                report.write_all(chosen.out, record)
    print((chosen.out / "table.md").read_text())


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"{error}")
