"""The notebooks run from top to bottom, and what is stored is what their text says."""

from pathlib import Path

import jupytext
import nbclient
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
TEXTS = sorted(FOLDER.glob("*.py"))


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_stored_with_outputs_and_equal_to_its_text(text):
    stored = jupytext.read(text.with_suffix(".ipynb"))
    assert cells(stored) == cells(jupytext.read(text))
    assert any(cell.get("outputs") for cell in stored.cells)


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(text, ml100k):
    notebook = jupytext.read(text)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()  # an assertion in the notebook holds the result to its range
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any(output.output_type == "error" for output in outputs)
    assert any("test RMSE" in output.get("text", "") for output in outputs)


def test_a_notebook_defines_nothing_the_package_has():
    for text in TEXTS:
        assert "\nclass " not in text.read_text() and "\ndef " not in text.read_text()
