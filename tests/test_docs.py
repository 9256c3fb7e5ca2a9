"""What the documentation says is what stands in results/."""

import json
from pathlib import Path

import pandas as pd

from d2l_autorec.experiments import exercises, fidelity
from d2l_autorec.experiments.fidelity_ledger import ledger

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"


def _answer(name):
    return json.loads((RESULTS / name / "experiment.json").read_text(encoding="utf-8"))["answer"]


def test_the_ledger_is_made_from_its_summary():
    summary = pd.read_csv(RESULTS / "fidelity" / "summary.csv")
    assert (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8") == ledger(summary)
    assert _answer("fidelity") == fidelity.answer(summary)


def test_the_ledger_s_summary_is_made_from_its_runs():
    runs = pd.read_csv(RESULTS / "fidelity" / "runs.csv", float_precision="round_trip")
    summary = pd.read_csv(RESULTS / "fidelity" / "summary.csv")
    pd.testing.assert_frame_equal(fidelity.summarize(runs), summary, rtol=1e-6, atol=2e-8)


def test_the_exercises_answers_are_made_from_their_tables():
    folder = RESULTS / "exercises"
    runs = pd.read_csv(folder / "runs.csv", float_precision="round_trip")
    tables = {
        name: pd.read_csv(folder / f"{name}.csv", dtype={"hidden": str})
        for name in exercises.networks()
    }
    assert _answer("exercises") == exercises.answer(tables, runs["rmse_of_ones"].mean())
