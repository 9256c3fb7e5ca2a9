"""From readings to `benchmark.json`, `rounds.csv`, `table.md` and the figure."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from benchmarks import figure, quiet, ratios
from benchmarks.sizes import title
from d2l_autorec.experiments.stored import save_results
from d2l_autorec.runs import write

_OF_PROCESS = ("peak_bytes", "process_seconds", "others")
COLUMNS = ("part", "size", "case", "round", "value", "unit", "seed", "rmse", *_OF_PROCESS)
HEADINGS = {
    "startup": "Starting",
    "whole": "Whole processes, imports included: the chapter's 25 epochs",
    "limits": "The machine's limits",
    "train": "Training alone, seconds of an epoch",
    "recommend": "All users' ten best items, after the model is read",
    "distributed": "Two processes through dist_sync beside one, seconds of an epoch",
}


def write_all(folder: Path, record: dict[str, Any]) -> None:
    """Write everything that follows from the record, and the record itself."""
    write(folder / "benchmark.json", json.dumps(record, indent=1) + "\n")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for part in record["parts"].values():
        writer.writerows({**part, **reading} for reading in part["readings"])
    write(folder / "rounds.csv", text.getvalue())
    write(folder / "table.md", table(record))
    lines = [line for line in ratios.ratios(record) if line.value is not None]
    aims = [line for line in lines if line.limit is not None]
    not_met = [line for line in aims if "not" in line.verdict]
    missed = [f"{line.what} ({line.shown}, {line.target})" for line in not_met]
    answer = [f"Of {len(aims)} marks, {len(aims) - len(missed)} are met."]
    if missed:
        answer.append(f"Not met: {'; '.join(missed)}.")
    shown = [(line.what, line.shown, line.target, line.verdict.strip("*")) for line in lines]
    drawn = figure.cost(record)
    save_results(
        folder,
        "make bench",
        "What does an epoch cost, and a whole run, beside other loops and the machine's limits?",
        answer,
        {"machine and versions, by part": _setting(record["parts"])},
        {"ratios": pd.DataFrame(shown, columns=["ratio", "measured", "to reach", "verdict"])},
        {"cost": drawn} if drawn else {},
    )


def table(record: dict[str, Any]) -> str:
    """The medians, and the ratios beside what they are to reach."""
    parts = record["parts"]
    lines = ["# Benchmark", "", *_setting(parts), "", "## Ratios", ""]
    lines += ["| | measured | to reach | |", "| --- | ---: | ---: | --- |"]
    for ratio in ratios.ratios(record):
        if ratio.value is None:
            lines.append(f"| {ratio.what} | not measured | {ratio.target} | |")
        else:
            lines.append(f"| {ratio.what} | {ratio.shown} | {ratio.target} | {ratio.verdict} |")
    for name, heading in HEADINGS.items():
        chosen = [part for part in parts.values() if part["part"] == name]
        if chosen:
            lines += ["", f"## {heading}", ""]
            lines += ["| | | median | min to max | rounds | RMSE | peak memory |"]
            lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
            for part in sorted(chosen, key=lambda part: part.get("cells", 0)):
                lines += _rows(part)
    return "\n".join(lines) + "\n"


def _setting(parts: dict[str, Any]) -> list[str]:
    """Say on what it was measured, and when; parts may be of different days."""
    lines = []
    settings: dict[str, list[str]] = {}
    for key, part in parts.items():
        others = [r["others"] for r in part["readings"] if r["others"] is not None]
        versions = ", ".join(f"{name} {v}" for name, v in part["versions"].items())
        said = f"{quiet.described(part['machine'])}; {versions}; {part['date']}"
        busy = f"{max(others):.0%}" if others else "unknown"
        note = " and the machine was NOT required to be idle" if part["anyway"] else ""
        settings.setdefault(said, []).append(f"{key} (others took at most {busy}{note})")
    for said, keys in settings.items():
        lines.append(f"{said}: {', '.join(keys)}.")
    lines.append(
        "Cases were run in turn, every second round backwards, each in a process of its own with "
        "two threads. Epochs are those of the chapter's settings (500 hidden units, batches of "
        "256, Adam, dropout 0.05), after a batch to warm up; evaluation and loading are left out."
    )
    return lines


def _rows(part: dict[str, Any]) -> list[str]:
    name = title(part["size"]) if part["size"] else ""
    cases = list(dict.fromkeys(reading["case"] for reading in part["readings"]))
    lines = []
    for case in sorted(cases):
        found = [reading for reading in part["readings"] if reading["case"] == case]
        values, unit = [reading["value"] for reading in found], found[0]["unit"]
        scores = [reading["rmse"] for reading in found if reading.get("rmse")]
        peaks = [reading["peak_bytes"] for reading in found if "peak_bytes" in reading]
        label = case
        if part.get("dense_batches") and not case.startswith("sparse"):
            label += f" (from {part['dense_batches']} batches)"
        score = f"{sum(scores) / len(scores):.4f}" if scores else ""
        peak = f"{median(peaks) / 1e9:.2f} GB" if peaks else ""
        spread = f"{min(values):.4g} to {max(values):.4g}"
        lines.append(
            f"| {name} | {label} | {median(values):.4g} {unit} | {spread} | {len(values)} "
            f"| {score} | {peak} |"
        )
    for case, why in part["skipped"].items():
        lines.append(f"| {name} | {case} | skipped: {why} | | | | |")
    return lines
