"""What the documentation says is what stands in results/."""

import json
import re
from pathlib import Path

import pandas as pd

from d2l_autorec.experiments import compare_tables, exercises, fidelity, study
from d2l_autorec.experiments.fidelity_ledger import ledger
from d2l_autorec.experiments.headline import headline, markdown

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_the_study_s_answer_is_made_from_its_runs():
    runs = pd.read_csv(RESULTS / "study" / "runs.csv", float_precision="round_trip")
    assert _answer("study") == study.answer(runs["test_rmse"])


def test_the_comparison_is_made_from_its_runs():
    folder = RESULTS / "compare"
    runs = pd.read_csv(folder / "runs.csv", float_precision="round_trip")
    timings = pd.read_csv(folder / "timing" / "runs.csv")
    stored = pd.read_csv(folder / "summary.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(compare_tables.summary(runs, timings).astype(str), stored)
    assert _answer("compare") == compare_tables.answer(runs)


def test_one_run_gives_one_number_wherever_it_is_reported():
    """The chapter's run on a split: in the study, among the compared and in the ledger."""
    studied = pd.read_csv(RESULTS / "study" / "runs.csv").set_index("seed")["test_rmse"]
    compared = pd.read_csv(RESULTS / "compare" / "runs.csv")
    compared = compared[
        (compared["split"] == "random") & (compared["model"] == compare_tables.CHAPTER_AUTOREC)
    ].set_index("seed")["unclipped"]
    priced = pd.read_csv(RESULTS / "fidelity" / "runs.csv")
    priced = priced[priced["run"] == "printed"].set_index("seed")["test_rmse"]
    for found in (compared, priced):
        assert len(found) >= 10
        assert (found - studied[found.index]).abs().max() < 5e-4


def test_the_readme_begins_with_the_results():
    assert markdown(headline(RESULTS)) in README
    table = (RESULTS / "benchmark" / "table.md").read_text(encoding="utf-8")
    ratios = table.split("## Ratios\n\n")[1].split("\n\n")[0]
    assert ratios in README


def test_the_machines_in_the_readme_are_those_tried_and_none_failed():
    table = (RESULTS / "fresh" / "table.md").read_text(encoding="utf-8")
    assert table in README
    rows = pd.read_csv(RESULTS / "fresh" / "table.csv")
    assert {"debian11", "debian12", "debian13"} <= set(rows["machine"])
    assert not rows["result"].str.contains("FAILED").any()
    reproduced = rows[rows["command"] == "make reproduce"]
    assert set(reproduced["result"]) == {"test RMSE 0.900"}


def test_the_readme_s_run_is_the_one_kept():
    result = json.loads((RESULTS / "reproduce" / "run.json").read_text())["result"]
    for shown in (
        f"  test RMSE                        0.901          {result['test_rmse']:.3f}\n",
        f"{result['train_loss']:.4f}\n",
        f"{result['cells_per_second'] / 1e6:.1f} million\n",
        f"{result['seconds']:.1f}\n",
    ):
        assert shown in README


def test_every_rmse_in_the_readme_stands_in_the_results():
    texts = [
        p.read_text(encoding="utf-8")
        for p in RESULTS.rglob("*.*")
        if p.suffix in (".csv", ".json", ".md")
    ]
    said = set(re.findall(r"(?<![\d.])[01]\.\d{4}(?!\d)", README))
    known = set(re.findall(r"(?<![\d.])[01]\.\d{4}(?!\d)", "\n".join(texts)))
    assert said and said <= known


def test_links_and_pictures_are_there():
    for file in (ROOT / "README.md", ROOT / "docs" / "fidelity.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name}: {target}"
