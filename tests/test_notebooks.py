"""The notebooks run from top to bottom, and what is stored is what their text says."""

import re
from collections import Counter
from pathlib import Path

import jupytext
import nbclient
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
TEXTS = sorted(FOLDER.glob("*.py"))
LESSONS = sorted(FOLDER.glob("[0-9][0-9]-*.py"))
# A training's arithmetic, and so its last digits, differ from processor to processor.
INEXACT = {
    "03-matrix-factorization",
    "04-autorec",
    "05-mistakes",
    "08-exercises",
    "09-recommend",
    "10-your-own",
}


def stem(path):
    return path.stem


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def words(notebook):
    """What the outputs say; of a figure, its size."""
    texts = [out.get("text") or out.get("data", {}).get("text/plain") for out in outputs(notebook)]
    return " ".join(filter(None, texts)).split()


@pytest.fixture(scope="module", params=TEXTS, ids=stem)
def ran(request, ml100k):
    notebook = jupytext.read(request.param)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()  # an assertion in the notebook holds the result to its range
    return request.param, notebook


@pytest.mark.parametrize("text", TEXTS, ids=stem)
def test_stored_with_outputs_and_equal_to_its_text(text):
    stored = jupytext.read(text.with_suffix(".ipynb"))
    assert cells(stored) == cells(jupytext.read(text))
    assert outputs(stored)
    assert all(output.get("name") != "stderr" for output in outputs(stored))


def test_runs_from_top_to_bottom(ran):
    _, notebook = ran
    assert not any(output.output_type == "error" for output in outputs(notebook))


def test_says_what_is_stored(ran):
    text, notebook = ran
    if text.stem in INEXACT:
        pytest.skip("it prints what a training computed")
    assert words(notebook) == words(jupytext.read(text.with_suffix(".ipynb")))


@pytest.mark.parametrize("text", TEXTS, ids=stem)
def test_figures_are_stored_as_png(text):
    pictures = [out["data"] for out in outputs(jupytext.read(text.with_suffix(".ipynb")))
                if any(kind.startswith("image/") for kind in out.get("data", {}))]  # fmt: skip
    assert pictures and all("image/png" in data for data in pictures)


@pytest.mark.parametrize("text", LESSONS, ids=stem)
def test_a_lesson_has_its_parts(text):
    notebook = jupytext.read(text)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    number, title = re.match(r"# (\d+) · (.+)\n", prose[0]).groups()
    assert int(number) == int(text.stem[:2]) and title
    assert re.search(r"\*\d+ minutes\. You need ", prose[0])
    assert "## Summary" in prose[-1] and "## If you have time" in prose[-1]
    assert [cell.source for cell in code(notebook)].count("STUDENT = 0") == 1


def test_the_first_cells_are_alike():
    """Three forms: without MXNet, with it, and with what the checker needs of a notebook."""
    firsts = {code(jupytext.read(text))[0].source for text in LESSONS}
    assert len(firsts) <= 3
    mxnet = {text.stem for text in LESSONS if "import mxnet" in text.read_text(encoding="utf-8")}
    for text in LESSONS:
        first = code(jupytext.read(text))[0].source
        assert text.stem not in mxnet or "install-mxnet" in first


@pytest.mark.parametrize("text", LESSONS, ids=stem)
def test_the_points_that_a_lesson_names_are_those_of_its_checks(text):
    notebook = jupytext.read(text)
    said = sum(
        int(points)
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for points in re.findall(r"\((\d+) points?\)", cell.source)
    )
    checks = [cell for cell in code(notebook) if "check" in cell.metadata]
    assert said == sum(cell.metadata["points"] for cell in checks) > 0
    tasks = Counter(cell.metadata["task"] for cell in code(notebook) if "task" in cell.metadata)
    assert set(tasks.values()) == {1} and len(tasks) >= 2
    for cell in code(notebook):
        assert ("task" in cell.metadata) == ("BEGIN SOLUTION" in cell.source)
        assert cell.source.count("### BEGIN") == cell.source.count("### END")
        assert "check" in cell.metadata or "hidden_" not in cell.source


@pytest.mark.parametrize("text", LESSONS, ids=stem)
def test_hidden_names_are_not_shared_by_cells(text):
    """A hidden check that needs another's names would fail with it."""
    for cell in code(jupytext.read(text)):
        names = set(re.findall(r"\bhidden_\w+", cell.source))
        made = set(
            re.findall(r"\b(hidden_\w+)(?:\[[^\]]*\])?(?=(?:, hidden_\w+)* \+?= )", cell.source)
        ) | set(re.findall(r"\bas (hidden_\w+)", cell.source))
        made |= {
            name
            for loop in re.findall(r"\bfor (.+?) in ", cell.source)
            for name in re.findall(r"hidden_\w+", loop)
        }
        assert names <= made, (names - made, cell.source)
