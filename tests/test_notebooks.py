"""The notebooks run from top to bottom, and what is stored is what their text says."""

from pathlib import Path

import jupytext
import nbclient
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
TEXTS = sorted(FOLDER.glob("*.py"))
TIMED = {"autorec"}  # the book's loop prints its speed


def stem(path):
    return path.stem


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


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
    assert any("test RMSE" in output.get("text", "") for output in outputs(notebook))


def test_says_what_is_stored(ran):
    text, notebook = ran
    if text.stem in TIMED:
        pytest.skip("it prints timings")
    assert words(notebook) == words(jupytext.read(text.with_suffix(".ipynb")))


def test_a_notebook_defines_nothing_the_package_has():
    for text in TEXTS:
        assert "\nclass " not in text.read_text() and "\ndef " not in text.read_text()
