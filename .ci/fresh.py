"""Try the README's two commands on stock Debians: `make fresh`, as root on Linux.

Each machine is a bare Debian root with python3, python3-venv, make and git and nothing else. A
user without rights runs the commands in a clean clone of HEAD.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from roots import CLONE, MACHINES, bare_root, cache, require_root

COLUMNS = ("machine", "Python", "command", "seconds", "result")
STOCK = ("debian11", "debian12", "debian13")


def outcome(log: str, code: int) -> str:
    """Say in a few words how a command ended, from its output and its exit code."""
    tests = re.findall(r"^=+ (.*(?:passed|failed|error).*) in .*=+$", log, re.MULTILINE)
    rmse = re.findall(r"^\s*test RMSE(?:\s+\S+)?\s+(\d\.\d+)\s*$", log, re.MULTILINE)
    said = tests[-1] if tests else f"test RMSE {rmse[-1]}" if rmse else ""
    if code:
        return f"FAILED, {said or f'exit code {code}'}"
    return said or "exit code 0"


def try_machine(machine: str, commands: list[str], downloads: Path | None) -> list[dict[str, str]]:
    """Run the commands on one machine, each after the other, and return a row for each."""
    rows = []
    with bare_root(machine, downloads) as root:
        root.clone()
        python = root.run("python3 --version").stdout.split()[-1]
        for command in commands:
            log = cache() / f"{machine}-{command.replace('/', '-')}.log"
            begun = time.monotonic()
            try:
                code = root.run(f"make {command}", folder=CLONE, log=log).returncode
            except subprocess.TimeoutExpired:
                code = 124
            seconds = time.monotonic() - begun
            text = log.read_text(encoding="utf-8", errors="replace")
            result = outcome(text, code)
            row = (machine, python, f"make {command}", f"{seconds:.0f}", result)
            rows.append(dict(zip(COLUMNS, row)))
            print(f"{machine}: make {command}: {seconds:.0f} s, {result}", flush=True)
            print(f"The end of {log}:", *text.splitlines()[-(60 if code else 15) :], sep="\n")
    return rows


def markdown(rows: list[dict[str, str]]) -> str:
    """Return the table as Markdown."""
    lines = [" | ".join(row[name] for name in COLUMNS) for row in rows]
    head = [" | ".join(COLUMNS), "--- | --- | --- | ---: | ---"]
    return "".join(f"| {line} |\n" for line in [*head, *lines])


def merged(folder: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows of a stored table with new ones in the place of theirs, by machine."""
    path = folder / "table.csv"
    stored = list(csv.DictReader(io.StringIO(path.read_text("utf-8")))) if path.is_file() else []
    by = {(row["machine"], row["command"]): row for row in [*stored, *rows]}
    return [by[key] for key in sorted(by)]


def main() -> int:
    """Try the machines that were named and print the table."""
    parser = argparse.ArgumentParser(prog="make fresh", description=__doc__)
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=STOCK, metavar="NAME")
    parser.add_argument(
        "--commands", nargs="+", default=["reproduce", "test"], help="targets of make, in turn"
    )
    parser.add_argument("--jobs", type=int, default=1, help="machines at the same time")
    parser.add_argument(
        "--cold", action="store_true", help="keep nothing that pip and uv downloaded before"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of table.md and table.csv, which keep the rows of other runs",
    )
    args = parser.parse_args()
    require_root()

    downloads = None if args.cold else cache() / "downloads"
    with ThreadPoolExecutor(args.jobs) as pool:
        futures = [pool.submit(try_machine, m, args.commands, downloads) for m in args.machines]
        rows = [row for future in futures for row in future.result()]
    print(markdown(rows), end="")
    if args.out:
        stored = merged(args.out, rows)
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "table.md").write_text(markdown(stored), encoding="utf-8")
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(stored)
        (args.out / "table.csv").write_text(text.getvalue(), encoding="utf-8")
    return any(row["result"].startswith("FAILED") for row in rows)


if __name__ == "__main__":
    sys.exit(main())
