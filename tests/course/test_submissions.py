"""Right submissions get all points; each mistake gets its own message and no other."""

import re
import threading

import numpy as np
import pytest
from submitted import UNUSUAL, load_right

from d2l_autorec.course import check, check_file
from d2l_autorec.course.mistakes import MISTAKES, RIGHT, shuffled, source
from d2l_autorec.course.report import CHECKS
from d2l_autorec.errors import InputError

POINTS = {
    "no_mask": 70,
    "mask_in_prediction": 85,
    "sigmoid_output": 80,
    "mean_over_all_entries": 85,
    "softmax": 80,
    "fed_test_ratings": 80,
    "matrix_transposed": 80,
    "dropout_always_on": 85,
}
MESSAGES = {
    "no_mask": r"100% of the outputs for unknown ratings are not 0",
    "mask_in_prediction": r"In prediction, 100% of the outputs for unknown ratings are 0",
    "sigmoid_output": r"between 0 and 1 \(largest 0\.\d{3}\)",
    "mean_over_all_entries": r"divided by all 77 entries",
    "softmax": r"add up to 1\.00",
    "fed_test_ratings": r"showed the network \d+ rows with held-out ratings",
    "matrix_transposed": r"shape \(7, 11\), where a row has 7 numbers",
    "dropout_always_on": r"predicted 3 times, gives answers up to \S+ apart",
}


@pytest.mark.parametrize("path", [RIGHT, UNUSUAL], ids=["right", "unusual"])
def test_right_ones_get_all_points(path):
    report = check_file(path)
    assert report.passed and report.points == report.total == 100, str(report)
    assert {finding.state for finding in report.findings} == {"right"}
    assert report.refused == []


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_its_own_message_and_no_other(name):
    report = check_file(source(name))
    wrong = [finding for finding in report.findings if finding.state == "wrong"]
    assert [finding.check for finding in wrong] == [MISTAKES[name].check], str(report)
    assert re.search(MESSAGES[name], wrong[0].message)
    assert report.points == POINTS[name] and not report.passed
    lost = {MISTAKES[name].check}
    for finding in report.findings:  # what is not reached needs what is wrong
        if finding.state == "not reached":
            assert lost & set(CHECKS[finding.check].needs)
            lost.add(finding.check)


def test_each_mistake_has_a_message_of_its_own_and_is_a_whole_file():
    assert len(MISTAKES) == 8 and set(MISTAKES) == set(MESSAGES) == set(POINTS)
    for name, mistake in MISTAKES.items():
        code = source(name).read_text(encoding="utf-8")
        assert code.startswith(f'"""{mistake.about}"""\n\nfrom')
        assert all(RIGHT.read_text().count(right) == 1 for right in mistake.changes)
        assert "class AutoRec" in code and all(new in code for new in mistake.changes.values())


def test_the_letters_stand_for_all_eight():
    modules = shuffled(np.random.default_rng(0))
    names = [module.__name__.rpartition(".")[2] for module in modules.values()]
    assert list(modules) == list("ABCDEFGH") and sorted(names) == sorted(MISTAKES) != names
    assert all(module.AutoRec(3, 4) and module.evaluator for module in modules.values())


def test_a_class_from_a_notebook_is_checked_with_what_it_uses():
    pytest.importorskip("cloudpickle")
    notebook = load_right()

    class Wrong(notebook.AutoRec):
        def forward(self, x):
            return abs(super().forward(x))

    assert check(notebook.AutoRec, notebook.evaluator).points == 100
    report = check(Wrong, notebook.evaluator)
    assert [f.check for f in report.findings if f.state == "wrong"] == ["activation"]


def test_what_cannot_be_sent_is_said():
    pytest.importorskip("cloudpickle")
    lock = threading.Lock()
    with pytest.raises(InputError, match="cannot be sent to another process"):
        check(object, lambda *_: lock)
