"""Make the attack, print tried and survived by area, and write the table."""

from __future__ import annotations

import argparse
import functools
import math
import os
import sys
import time
from pathlib import Path

import pandas as pd

from benchmarks.attack import files, runs, service, shared
from benchmarks.attack.frame import Area, Outcome, attack
from benchmarks.parts import ROOT
from d2l_autorec.experiments.stored import save_results
from d2l_autorec.runs import write

OUT = ROOT / "results" / "attack"
tell = functools.partial(print, flush=True)
AREAS: tuple[Area, ...] = (*files.AREAS, *runs.AREAS, *service.AREAS, *shared.AREAS)


def table(outcomes: list[Outcome]) -> pd.DataFrame:
    """Return tried and survived by area, and their sums."""
    rows = [[o.area.name, o.area.promise, o.tried, o.survived] for o in outcomes]
    rows.append(["all", "", *(sum(row[i] for row in rows) for i in (2, 3))])
    return pd.DataFrame(rows, columns=["area", "what must hold", "tried", "survived"])


def main() -> int:
    """Attack, and return the exit code: 0 where every try survived."""
    parser = argparse.ArgumentParser(prog="attack", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of each area's tries")
    parser.add_argument("--minutes", type=float, default=math.inf, help="at most, in all")
    parser.add_argument("--areas", default="", help="some of: " + ", ".join(a.name for a in AREAS))
    parser.add_argument("--only", type=int, help="the one try of this number")
    parser.add_argument("--out", type=Path, help="folder for the table, else nothing is written")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many tries a second, and kinder
    named = [name.strip() for name in chosen.areas.split(",") if name.strip()]
    outcomes = []
    areas = [area for area in AREAS if not named or area.name in named]
    end = time.monotonic() + 60 * chosen.minutes
    for i, area in enumerate(areas):
        numbers = range(max(1, round(area.number * chosen.share)))
        if chosen.only is not None:
            numbers = range(chosen.only, chosen.only + 1)
        start = time.perf_counter()
        seconds = (end - time.monotonic()) / (len(areas) - i)
        outcome = attack(area, chosen.seed, numbers, lambda said: tell(f"  {said}"), seconds)
        outcomes.append(outcome)
        took = time.perf_counter() - start
        tell(f"{area.name}: {outcome.survived} of {outcome.tried} survived, {took:.0f} s")
    frame = table(outcomes)
    print(frame.to_string(index=False))
    if chosen.out is not None:
        store(chosen.out, frame, outcomes, chosen.seed)
    return int(any(outcome.lost for outcome in outcomes))


def not_survived(outcomes: list[Outcome]) -> list[str]:
    """Return a sentence for each thing that went wrong, with the tries in which it did."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        for said in outcome.lost:  # AREA NUMBER: WHY
            place, _, why = said.partition(": ")
            kinds.setdefault((outcome.area.name, why), []).append(place.rpartition(" ")[2])
    return [
        f"Not survived among the {area}, try {', '.join(numbers)}: {why}"
        for (area, why), numbers in kinds.items()
    ]


def store(out: Path, frame: pd.DataFrame, outcomes: list[Outcome], seed: int) -> None:
    """Write the table, the page, and what did not survive."""
    tried, survived = frame["tried"].iloc[-1], frame["survived"].iloc[-1]
    answer = [f"Of {tried:,} tries {survived:,} broke no promise."]
    answer += not_survived(outcomes)[:20]
    save_results(
        out,
        "make attack",
        "Do the promises hold under hostile input?",
        answer,
        {"seed": seed, "a try": "an input made at random by the seed, and what must hold after"},
        {"table": frame},
        {},
    )
    lines = ["# The attack", ""]
    for sentence in answer:
        lines += [sentence, ""]
    lines += [f"| {' | '.join(frame.columns)} |", "| --- | --- | ---: | ---: |"]
    lines += [f"| {row[0]} | {row[1]} | {row[2]:,} | {row[3]:,} |" for row in frame.to_numpy()]
    write(out / "table.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
