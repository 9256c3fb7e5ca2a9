import re

import pandas as pd
import pytest
from matplotlib.figure import Figure

from d2l_autorec.errors import InputError
from d2l_autorec.experiments.report import write_pages, write_report
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results


@pytest.fixture
def results(tmp_path):
    figure = Figure()
    figure.subplots().plot([1, 2])
    table = pd.DataFrame({"model": ["<b>MF</b>"], "RMSE": [0.90871], "runs": [10], "p": [2e-6]})
    for name in ("another", "study"):
        save_results(
            tmp_path / name,
            f"d2l-autorec {name} --x '<1>'",
            "Is it <so>?",
            ["It is & stays."],
            {"seeds": [0, 1]},
            {"summary": table},
            {"spread": figure},
        )
    return tmp_path


def test_the_page_holds_all_and_asks_for_nothing(results):
    out = results / "pages" / "report.html"
    assert write_report(results, out) == ["study", "another"]
    page = out.read_text()
    assert page.count("data:image/png;base64,") == 2
    for text in (
        "Is it &lt;so&gt;?",
        "It is &amp; stays.",
        "&lt;b&gt;MF&lt;/b&gt;",
        "0.9087",
        "2e-06",
        "d2l-autorec study --x &#39;&lt;1&gt;&#39;",
    ):
        assert text in page
    # on a phone each row of a table of three or more columns becomes a list with its headings
    assert page.count('<table class="wide">') == 2
    assert page.count('data-label="RMSE">0.9087') == 2
    assert not re.search(r'(?:src|href)="(?!data:|#)', page) and "<script" not in page


def test_what_a_table_repeats_stands_once_and_a_long_one_is_folded(tmp_path):
    table = pd.DataFrame({"size": range(30), "encoder": "tanh", "RMSE": [0.9, *[0.8] * 29]})
    save_results(tmp_path / "study", "c", "Q?", ["A."], {}, {"long": table}, {})
    write_report(tmp_path, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<summary>long. In all rows: encoder tanh.</summary>" in page
    assert page.count("tanh") == 1 and page.count("<tr>") == 31
    assert ">0.8<" in page and ">0.9<" in page


def test_a_mean_and_its_half_width_are_one_column_with_a_readable_name(tmp_path):
    table = pd.DataFrame(
        {
            "hidden": [1, 2],
            "val_rmse": [0.9, 0.8888],
            "less_first": [0.0, -0.0101],
            "less_first_half_width": [0.0, 0.0025],
            "epoch": [3.0, 4.0],
        }
    )
    save_results(tmp_path / "exercises", "a b", "Q?", ["A."], {}, {"hidden_size": table}, {})
    page = (tmp_path / "exercises" / "README.md").read_text("utf-8")
    assert "| hidden units | validation RMSE | difference from the first row | epoch |" in page
    assert "| 1 | 0.9000 | 0.0000 ± 0.0000 | 3 |" in page
    assert "| 2 | 0.8888 | -0.0101 ± 0.0025 | 4 |" in page


def test_pages_are_made_from_what_is_stored(results):
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    pages = write_pages(results)
    assert {page.parent.name for page in pages} == {"study", "another", results.name}
    assert all(path.read_bytes() == content for path, content in before.items())
    page = (results / "study" / "README.md").read_text("utf-8")
    assert page.startswith("# Is 0.901 right?\n\n*Is it <so>?*\n\nIt is & stays.\n")
    for text in (
        "![spread.](spread.png)\n\n*spread.*\n",
        "| <b>MF</b> | 0.9087 | 10 | 2e-06 |",
        "$ d2l-autorec study --x '<1>'",
        "- **RMSE**: Root of",
    ):
        assert text in page
    index = (results / "README.md").read_text("utf-8")
    assert "| [Is 0.901 right?](study/README.md) | It is & stays. |" in index


def test_what_is_used_is_defined_and_nothing_else(results):
    page = (results / "study" / "README.md").read_text("utf-8")
    assert "**p**" in page and "seq-aware" not in page and "**clipped**" not in page


def test_a_stored_table_never_shrinks(tmp_path):
    def save(rows, command="d2l-autorec study --seeds 3", names=("a",)):
        tables = {name: pd.DataFrame({"x": range(rows)}) for name in names}
        save_results(tmp_path / "s", command, "Q?", ["A."], {}, tables, {})

    save(3, names=("a", "b"))
    before = {path: path.read_bytes() for path in (tmp_path / "s").iterdir()}
    with pytest.raises(InputError, match=r"a\.csv has 3 rows and would be left with 2"):
        save(2, names=("a", "b"))
    with pytest.raises(InputError, match=r"b\.csv has 3 rows and would be left with 0"):
        save(3)
    assert {path: path.read_bytes() for path in (tmp_path / "s").iterdir()} == before
    for command in ("study --seeds 2", "study --quick", "best --seeds 3"):
        with pytest.raises(InputError, match="would replace by less"):
            refuse_to_shrink(tmp_path / "s", f"d2l-autorec {command}")
    with pytest.raises(InputError, match="would be left with 2"):
        refuse_to_shrink(tmp_path / "s", "d2l-autorec study --seeds 3", a=2)
    refuse_to_shrink(tmp_path / "s", "d2l-autorec study --seeds 4", a=3)
    refuse_to_shrink(tmp_path / "none", "d2l-autorec study --seeds 1")


def test_damaged_results_are_named(results, tmp_path):
    (results / "study" / "summary.csv").unlink()
    with pytest.raises(InputError, match=r"study.experiment.json is damaged"):
        write_report(results, tmp_path / "r.html")
    with pytest.raises(InputError, match="holds no results"):
        write_report(tmp_path / "none", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
