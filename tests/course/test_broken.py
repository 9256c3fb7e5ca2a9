"""Submissions that do not run, and mistakes beyond the eight: one sentence that says what."""

import pytest
from submitted import right

SIGMOID = ', activation="sigmoid"'
DROPOUT = "self.dropout = nn.Dropout(dropout)"
SPREAD = "split_and_load(values, devices, even_split=False)"
RETURN = "return float(np.sqrt((error**2).sum() / known.sum()))"

# what is replaced, by what, the one check that is wrong, and what it says
EDITS = {
    "class missing": ("class AutoRec", "class Net", "file", "no class is called AutoRec"),
    "evaluator missing": ("def evaluator", "def score", "file", "no function is called evaluator"),
    "no block": ("(nn.Block)", "", "class", "0 Gluon blocks"),
    "signature": (
        ", dropout: float = 0.05",
        "",
        "class",
        "takes 3 positional arguments but 4 were given",
    ),
    "exception": (
        "self.decoder(hidden)",
        "self.decode(hidden)",
        "shape",
        "in line 24 with AttributeError: 'AutoRec' object has no attribute 'decode'",
    ),
    "narrow": (
        "nn.Dense(num_users",
        "nn.Dense(num_hidden",
        "shape",
        "(5, 7) gave an output of shape (5, 4)",
    ),
    "linear": (SIGMOID, "", "activation", "it has no activation"),
    "relu": ("sigmoid", "relu", "activation", "The hidden code comes from relu"),
    "no bias": (
        "nn.Dense(num_users)",
        "nn.Dense(num_users, use_bias=False)",
        "activation",
        "The output has no bias",
    ),
    "cut": (
        "return pred * np",
        "return np.array(pred.asnumpy()) * np",
        "gradient",
        "reaches 0 parameters",
    ),
    "no dropout": (DROPOUT, "self.dropout = lambda code: code", "dropout", "has no effect"),
    "no number": (RETURN, "return None", "score", "an object of type NoneType"),
    "no root": (
        RETURN,
        "return float((error**2).sum() / known.sum())",
        "score",
        "mean of the squares, not its root",
    ),
    "even": (SPREAD, "split_and_load(values, devices)", "devices", "cannot be evenly split"),
    "one device": (SPREAD, "split_and_load(values, devices[:1])", "devices", "only cpu(0)"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_gets_its_message(submit, name):
    old, new, check, fragment = EDITS[name]
    assert old in right()
    _, wrong = submit(right().replace(old, new))
    assert list(wrong) == [check]
    assert fragment in wrong[check] and "\n" not in wrong[check]
    assert "See lesson 04-autorec" in wrong[check]


TEXTS = {
    "": "0 of the 2 names",
    "def evaluator(:": "Python cannot read the file: ",
    "x = 1\n\nimport nosuchlibrary": "imports nosuchlibrary in line 3, which is not there",
    "y = 0\n1 / y": "stopped in line 2 with ZeroDivisionError: division by zero",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_that_does_not_run_gets_one_sentence(submit, text):
    report, wrong = submit(text)
    assert report.points == 0 and list(wrong) == ["file"]
    assert TEXTS[text] in wrong["file"]


def test_the_network_has_its_points_without_an_evaluator(submit):
    report, _ = submit(right().replace("def evaluator", "def score"))
    assert report.points == 75
    assert report.finding("rows").state == report.finding("devices").state == "not reached"


def test_the_evaluator_has_its_points_without_a_network(submit):
    report, _ = submit(right().replace("class AutoRec", "class Net"))
    assert report.points == 15
    assert report.finding("class").state == "not reached"
