"""The checker's side alone, against answers that no honest process gives."""

import numpy as np
import pytest

from d2l_autorec.course import judge
from d2l_autorec.course.examination import Examination
from d2l_autorec.course.report import CHECKS, Finding
from d2l_autorec.course.sandbox import Ended

CLASS = {"class": True, "block": True, "evaluator": True}


class Forger:
    """Stands for the process; what it answers is made from what it is asked."""

    seconds, memory = 60, 1 << 30

    def __init__(self, fields, arrays):
        self.fields, self.arrays = fields, arrays

    def ask(self, do, arrays=None, **_):
        if do == "load":
            return dict(CLASS), {}
        rows = (arrays or {}).get("rows", np.ones((5, 7)))
        names = [f"{letter}{i}" for letter in "op" for i in range(4)]
        forged = {name: self.arrays(rows) for name in [*names, "c0", "predictions", "value"]}
        return dict(self.fields), forged


FIELDS = [
    {},
    {"error": 5},
    {"error": {"kinds": 5, "line": "x", "text": [1], "missing": {}}},
    {"error": {"kinds": ["A" * 10**6], "text": "B" * 10**6}},
    {"shapes": 5, "devices": 5, "training": 5, "type": "C" * 10**6},
    {"shapes": [[-2, -3]], "devices": [{}], "training": [{}]},
    {"shapes": [[float("inf")]]},
    {"shapes": [[4, 7], [4], [7, 4], [7]] * 16},
    {"shapes": [[4, 7]] * 10**5},
    {"shapes": [[10**9, 10**9]]},
]
ARRAYS = [
    lambda rows: rows * 1.0,
    lambda rows: rows * np.nan,
    lambda rows: np.zeros(0),
    lambda rows: np.zeros((2, 2, 2)),
    lambda rows: np.zeros(rows.shape, np.uint8),
    lambda rows: np.float64(1),
    lambda rows: np.ones((7, 5)),
]


@pytest.mark.parametrize("fields", range(len(FIELDS)))
@pytest.mark.parametrize("arrays", range(len(ARRAYS)))
def test_a_forged_answer_neither_passes_nor_breaks_the_checker(fields, arrays):
    forger = Forger(FIELDS[fields], ARRAYS[arrays])
    examination = Examination(forger, np.random.default_rng(0), None)
    found = {f.check: f for f in examination.run(lambda sandbox: sandbox.ask("load")[0])}
    assert len(found) == 12
    for check in ("activation", "training", "score", "devices"):
        assert found[check].state != "right"
    for finding in found.values():
        assert len(finding.message) < 700 and "\n" not in finding.message


def test_a_process_that_ends_ends_the_examination():
    class Dying(Forger):
        def ask(self, do, arrays=None, **_):
            if do == "forward":
                raise Ended("died", -9)
            return super().ask(do, arrays)

    examination = Examination(Dying({}, ARRAYS[0]), np.random.default_rng(0), None)
    found = examination.run(lambda sandbox: sandbox.ask("load")[0])
    states = [finding.state for finding in found]
    assert states == ["right", "right", "wrong"] + ["not reached"] * 9
    assert "signal 9" in examination.findings["shape"].message


class Trainee:
    """Stands for the process in training; all it predicts is the error that it is to have."""

    def __init__(self, errors):
        self.errors, self.seen = iter(errors), []

    def ask(self, do, arrays=None, **_):
        if do != "train":
            return {}, {}
        self.seen.append(arrays["rows"].tobytes())
        return {}, {"predictions": np.full_like(arrays["rows"], next(self.errors))}


@pytest.mark.parametrize(
    ("errors", "state", "message"),
    [
        ([0.3], "right", ""),
        ([1.01, 0.3], "right", ""),
        ([1.01, 0.75], "wrong", "the RMSE is 0.75; it should be below 0.75"),
        ([np.nan], "wrong", "the predictions are no numbers any more"),
    ],
)
def test_an_error_that_is_too_high_is_followed_by_one_more_training(
    monkeypatch, errors, state, message
):
    monkeypatch.setattr(judge, "rmse", lambda predicted, held_out: predicted[0, 0])
    trainee = Trainee(errors)
    examination = Examination(trainee, np.random.default_rng(0), None)
    examination.findings = {need: Finding(need, "right") for need in CHECKS["training"].needs}
    found = examination.look("training")
    assert found.state == state and message in found.message
    assert len(trainee.seen) == len(set(trainee.seen)) == len(errors)  # on ratings of its own
