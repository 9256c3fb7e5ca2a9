"""Each number in the documentation is the number in its cell of results/."""

import json
import re

import pandas as pd
import pytest
from doc_pins import ALLOWED, NUMBER, PINS, ROOT, Duration, stored

from d2l_autorec.experiments import (
    best,
    canonical_tables,
    compare_tables,
    exercises,
    fidelity,
    nested,
    own_data,
    report,
    study,
)
from d2l_autorec.experiments.fidelity_ledger import ledger
from d2l_autorec.experiments.headline import markdown, short
from d2l_autorec.experiments.runner import read_runs

RESULTS = ROOT / "results"
TEXTS = {
    path.name: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if path.name != "fidelity.md"  # made from its table as a whole
}
FLOWING = " ".join("\n".join(TEXTS.values()).split())  # where lines break does not count


def _answer(name):
    return json.loads((RESULTS / name / "experiment.json").read_text(encoding="utf-8"))["answer"]


def _runs(name):
    return read_runs(RESULTS / name / "runs.csv")


def _assert_is_stored(made, name):
    shown = pd.read_csv(RESULTS / f"{name}.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(made.astype(str), shown)


def test_the_ledger_is_made_from_its_summary():
    summary = pd.read_csv(RESULTS / "fidelity" / "summary.csv")
    assert (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8") == ledger(summary)
    assert _answer("fidelity") == fidelity.answer(summary)
    made = fidelity.summarize(_runs("fidelity"))
    pd.testing.assert_frame_equal(made, summary, rtol=1e-6, atol=2e-8)


def test_the_exercises_answers_are_made_from_their_tables():
    tables = {
        name: pd.read_csv(RESULTS / "exercises" / f"{name}.csv", dtype={"hidden": str})
        for name in exercises.networks()
    }
    told = exercises.answer(tables, _runs("exercises")["rmse_of_ones"].mean())
    assert _answer("exercises") == told


def test_the_study_s_answer_is_made_from_its_runs():
    assert _answer("study") == study.answer(_runs("study")["test_rmse"])


def test_the_comparison_is_made_from_its_runs():
    runs, users, timings = map(_runs, ("compare", "compare/users", "compare/timing"))
    _assert_is_stored(compare_tables.summary(runs, users, timings), "compare/summary")
    assert _answer("compare") == compare_tables.answer(runs, users)


def test_the_best_answer_is_made_from_its_runs_and_says_what_its_search_saw():
    runs, inside = map(_runs, ("best", "best/nested"))
    told = best._answer(runs, inside)
    assert _answer("best") == told and nested.answer(inside) in told[0]
    assert "ratings that are tested here took part in the choice" in told[2]
    assert "that search used ratings that are tested here" in _answer("compare")[-1]
    assert "found by a search that had seen ratings tested here" in FLOWING


def test_the_canonical_tables_are_made_from_their_runs():
    runs, inside = map(_runs, ("canonical", "canonical/nested"))
    assert _answer("canonical") == canonical_tables.answer(runs, inside)
    _assert_is_stored(canonical_tables.beside_published(runs, inside), "canonical/u1")
    _assert_is_stored(canonical_tables.summary(runs, inside).fillna(""), "canonical/summary")


def test_the_answer_on_own_data_is_made_from_its_runs():
    folder = RESULTS / "own-data"
    names = pd.read_csv(folder / "sets.csv")["set"]
    parts = [_runs(f"own-data/{name}").assign(set=name) for name in names]
    runs = pd.concat(parts, ignore_index=True)
    summary = pd.read_csv(folder / "summary.csv")
    pd.testing.assert_frame_equal(own_data.summary(runs), summary, check_dtype=False)
    assert _answer("own-data") == own_data.answer(runs)


def test_one_run_gives_one_number_wherever_it_is_reported():
    """The chapter's run on a split: in the study, among the compared and in the ledger."""
    studied = _runs("study").set_index("seed")["test_rmse"]
    compared, priced = _runs("compare"), _runs("fidelity")
    own = (compared["split"] == "random") & (compared["model"] == compare_tables.CHAPTER_AUTOREC)
    compared = compared[own].set_index("seed")["unclipped"]
    priced = priced[priced["run"] == "printed"].set_index("seed")["test_rmse"]
    for found in (compared, priced):
        assert len(found) >= 10
        assert (found - studied[found.index]).abs().max() < 5e-4


def test_the_readme_has_the_results_in_six_rows_and_at_most_900_words():
    rows = short(RESULTS)
    assert len(rows) == 6
    assert markdown(rows) in TEXTS["README.md"]
    assert len(TEXTS["README.md"].split()) <= 900


def test_the_costs_are_those_of_the_benchmark():
    table = (RESULTS / "benchmark" / "table.md").read_text(encoding="utf-8")
    ratios = table.split("## Ratios\n\n")[1].split("\n\n")[0]
    assert ratios in TEXTS["cost.md"]


def test_the_machines_in_the_documents_are_those_tried_and_none_failed():
    table = (RESULTS / "fresh" / "table.md").read_text(encoding="utf-8")
    assert table in TEXTS["install.md"]
    rows = pd.read_csv(RESULTS / "fresh" / "table.csv")
    assert not rows["result"].str.contains("FAILED").any()
    reproduced, tested = (
        rows[rows["command"] == command].set_index("machine")
        for command in ("make reproduce", "make test")
    )
    assert set(reproduced["result"]) == {"test RMSE 0.900"}
    of = [f"debian{number}" for number in (11, 12, 13)]
    passed = tested["result"].str.extract(r"^(\d+) passed, ")[0]
    for said, values in (
        ("`make reproduce`, seconds", reproduced.loc[of, "seconds"]),
        ("`make test`, passed", passed[of]),
    ):
        assert f"| {said} | {' | '.join(map(str, values))} |\n" in TEXTS["README.md"]


def test_each_pin_stands_in_the_documents_once():
    for pin in PINS:
        assert FLOWING.count(pin.text(stored)) == 1, pin.text(stored)


def _pinned():
    """Return the places of the digits that a pin has taken from a source."""
    spans = [span for pin in PINS for span in pin.spans(FLOWING, stored)]
    return {i for low, high in spans for i in range(low, high) if FLOWING[i].isdigit()}


def test_each_number_of_the_documents_is_pinned_or_allowed_with_a_reason():
    allowed = set()
    for pattern, reason in ALLOWED.items():
        matches = list(re.finditer(pattern, FLOWING))
        assert matches and reason, f"nothing in the documents is {pattern}"
        allowed |= {i for match in matches for i in range(*match.span())}
    pinned = _pinned()
    for match in NUMBER.finditer(FLOWING):
        digits = {i for i in range(*match.span()) if FLOWING[i].isdigit()}
        around = FLOWING[max(0, match.start() - 40) : match.end() + 20]
        assert digits <= pinned or digits <= allowed, f"no pin for {match[0]} in: {around}"


def test_changing_any_pinned_digit_of_the_documents_is_noticed():
    texts = [pin.text(stored) for pin in PINS]
    pinned = _pinned()
    assert len(pinned) > 250
    for place in pinned:
        digit = str((int(FLOWING[place]) + 1) % 10)
        changed = FLOWING[:place] + digit + FLOWING[place + 1 :]
        assert not all(text in changed for text in texts), changed[place - 30 : place + 20]


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: pin.words[:40])
def test_changing_a_cell_is_noticed(pin):
    for source in pin.sources:
        if isinstance(source, Duration):
            continue
        raw, shown, seen = source.raw(stored), source.text(stored), 0
        for place in [i for i, letter in enumerate(raw) if letter.isdigit()]:
            changed = raw[:place] + str((int(raw[place]) + 1) % 10) + raw[place + 1 :]
            if source.shown(changed) == shown:
                continue  # beyond the digits that are shown
            seen += 1
            text = pin.words.format(
                *(
                    source.shown(changed) if one is source else one.text(stored)
                    for one in pin.sources
                )
            )
            assert text not in FLOWING, text
        assert seen or not re.search(r"\d", raw), f"{source} does not depend on its cell"


def test_every_number_of_the_ledger_follows_its_summary_but_for_these():
    """Multiply all measured values: what stays is no measurement."""
    summary = pd.read_csv(RESULTS / "fidelity" / "summary.csv")
    changed = summary.copy()
    columns = summary.columns.drop("key")
    changed[columns] = summary[columns] * 2.37
    before, after = (NUMBER.findall(ledger(table)) for table in (summary, changed))
    assert len(before) == len(after)
    constant = {old for old, new in zip(before, after) if old == new}
    assert constant == {
        "95",  # % interval
        "25", "100",  # epochs
        "0.901", "1.05", "0.000",  # printed in the book
        "943", "0.05",  # of the chapter's settings and data
        "15.9", "31.7",  # λ, from wd
        "1", "2", "3", "5", "10",  # ratings, splits, list items, share held out
        "10,000",  # about the number of test ratings
        "0.0", "0.0000",  # measured, and too small to show
    }  # fmt: skip


def test_each_page_of_results_is_made_from_its_tables():
    pages = {path.parent for path in RESULTS.glob("*/README.md")}
    folders = {path for path in RESULTS.iterdir() if path.is_dir()}
    assert folders - pages == {RESULTS / "fresh"}  # no experiment: what `make fresh` wrote
    for folder in pages:
        assert (folder / "README.md").read_text(encoding="utf-8") == report.page(folder), folder


def test_links_and_pictures_are_there():
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for file in [*documents, *RESULTS.rglob("README.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name}: {target}"
