"""Train at Netflix's size: `python -m benchmarks.netflix`, or `make netflix`.

Three commands as a person types them: make the ratings, train with checkpoints and save the model,
and write the ten best items of all users. None of them gets more than 16 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import quiet
from benchmarks.parts import ENVIRONMENT, ROOT
from benchmarks.sizes import LARGE_BATCH, SIZES
from d2l_autorec.data.sources import cache_folder
from d2l_autorec.errors import InputError
from d2l_autorec.experiments.stored import save_results
from d2l_autorec.runs import write

OUT = ROOT / "results" / "netflix"
LIMIT = 16 * 10**9
"""Bytes of memory that a command may take."""


def commands(shape: tuple[int, int, int], epochs: int) -> dict[str, str]:
    """Return the commands by name, each with the files that it writes in the current folder."""
    users, items, ratings = shape
    batch = min(LARGE_BATCH, items)
    return {
        "synthetic": f"--users {users} --items {items} --ratings {ratings} --out ratings.npz",
        "train": f"--engine sparse --data ratings.npz --epochs {epochs} --batch-size {batch} "
        "--val-ratio 0 --no-refit --checkpoint-every 5 --save --no-all-ratings --out run",
        "recommend": "--model run --all --csv",
    }


def measure(name: str, words: str, folder: Path, anyway: bool) -> dict[str, Any]:
    """Run a command in a folder; return its row of the table."""
    print(f"d2l-autorec {name} {words}", file=sys.stderr, flush=True)
    quiet.wait_for_idle(anyway)
    before = _size(folder)
    command = [sys.executable, "-m", "d2l_autorec", name, *words.split()]
    ran = quiet.run_unwatched(command, ENVIRONMENT, folder, LIMIT)
    if name == "recommend":
        write(folder / "best.csv", ran.stdout)
    others = None if ran.others is None else round(ran.others, 3)
    row = {"command": name, "seconds": round(ran.seconds, 1), "peak_gb": round(ran.peak / 1e9, 2)}
    return {**row, "written_gb": round((_size(folder) - before) / 1e9, 2), "others": others}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Run the commands and write the report."""
    parser = argparse.ArgumentParser(prog="netflix", description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    parser.add_argument("--anyway", action="store_true", help="also if the machine is not idle")
    parser.add_argument("--quick", action="store_true", help="toy size for two epochs")
    chosen = parser.parse_args()
    shape = SIZES["toy" if chosen.quick else "netflix"].shape
    said = commands(shape, 2 if chosen.quick else chosen.epochs)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as temporary:
        folder = Path(temporary)
        rows = [measure(name, words, folder, chosen.anyway) for name, words in said.items()]
        epochs = pd.read_csv(folder / "run" / "history.csv")
        result = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))["result"]
    report(pd.DataFrame(rows), epochs, result, shape, chosen)


def report(
    steps: pd.DataFrame,
    epochs: pd.DataFrame,
    result: dict[str, Any],
    shape: tuple[int, int, int],
    chosen: argparse.Namespace,
) -> None:
    """Write the tables and the page."""
    epochs = epochs.assign(biases_rmse=result["biases_rmse"])
    epochs = epochs[["epoch", "train_loss", "test_rmse", "biases_rmse", "seconds"]]
    epochs = epochs.round({"test_rmse": 4, "biases_rmse": 4, "seconds": 2})
    of = quiet.machine()
    answer = [
        f"An epoch over {result['num_train']:,} synthetic ratings of {shape[0]:,} users and "
        f"{shape[1]:,} items takes {epochs['seconds'].median():.1f} s (median of {len(epochs)}) "
        f"on {of['cores_used']} cores ({of['cpu']}).",
        f"After {len(epochs)} epochs the test RMSE is {result['test_rmse']:.4f}; that of plain "
        f"user and item biases is {result['biases_rmse']:.4f}.",
        f"No command took more than {steps['peak_gb'].max():.1f} GB of memory: neither training, "
        "with its checkpoints, nor to write the ten best items of all users.",
    ]
    save_results(
        chosen.out,
        "make netflix" + (" --quick" if chosen.quick else ""),
        "Can ratings of Netflix's number be trained on, saved and served with 16 GB of memory?",
        answer,
        {
            "machine": f"{quiet.described(of)}; {time.strftime('%Y-%m-%d')}",
            "commands": commands(shape, len(epochs)),
            "the machine was required to be idle": not chosen.anyway,
        },
        {"steps": steps, "epochs": epochs},
        {},
    )


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"{error}")
