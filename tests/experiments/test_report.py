import re

import pandas as pd
import pytest
from matplotlib.figure import Figure

from d2l_autorec.errors import InputError
from d2l_autorec.experiments.report import write_report
from d2l_autorec.experiments.runner import save_results


@pytest.fixture
def results(tmp_path):
    figure = Figure()
    figure.subplots().plot([1, 2])
    table = pd.DataFrame({"model": ["<b>MF</b>"], "RMSE": [0.90871], "runs": [10], "p": [2e-6]})
    for name in ("another", "study"):
        save_results(
            tmp_path / name, f"d2l-autorec {name} --x '<1>'", "Is it <so>?", ["It is & stays."],
            {"seeds": [0, 1]}, {"summary": table}, {"spread": figure},
        )  # fmt: skip
    return tmp_path


def test_the_page_holds_all_and_asks_for_nothing(results):
    out = results / "pages" / "report.html"
    assert write_report(results, out) == ["study", "another"]
    page = out.read_text()
    assert page.count("data:image/png;base64,") == 2
    for text in ("Is it &lt;so&gt;?", "It is &amp; stays.", "&lt;b&gt;MF&lt;/b&gt;", "0.9087",
                 "2e-06", "d2l-autorec study --x &#x27;&lt;1&gt;&#x27;"):  # fmt: skip
        assert text in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page) and "<script" not in page


def test_what_a_table_repeats_stands_once_and_a_long_one_is_folded(tmp_path):
    table = pd.DataFrame({"size": range(30), "encoder": "tanh", "RMSE": [0.9, *[0.8] * 29]})
    save_results(tmp_path / "study", "c", "Q?", ["A."], {}, {"long": table}, {})
    write_report(tmp_path, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<summary>long.csv, encoder tanh</summary>" in page
    assert page.count("tanh") == 1 and page.count("<tr>") == 31


def test_damaged_results_are_named(results, tmp_path):
    (results / "study" / "summary.csv").unlink()
    with pytest.raises(InputError, match=r"study.experiment.json is damaged"):
        write_report(results, tmp_path / "r.html")
    with pytest.raises(InputError, match="holds no results"):
        write_report(tmp_path / "none", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
