"""What arrays say, on arrays whose answer is known."""

import dataclasses
import itertools

import numpy as np
import pytest

from d2l_autorec.course import anatomy, judge, questions
from d2l_autorec.course.judge_evaluator import devices, rows_shown, score
from d2l_autorec.course.report import CHECKS, Finding, Report

HIDDEN, USERS = 4, 7


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def rows(rng):
    return questions.ratings(rng, 5, USERS, 0.5)


@pytest.fixture
def weights(rng):
    return questions.values(rng, [(HIDDEN, USERS), (HIDDEN,), (USERS, HIDDEN), (USERS,)])


def test_ratings_leave_no_row_or_column_without_both(rng):
    for matrix in (questions.ratings(rng, 5, 7, 0.5) for _ in range(50)):
        assert set(np.unique(matrix)) <= set(range(6))
        for axis in (0, 1):
            assert (matrix > 0).any(axis).all() and (matrix == 0).any(axis).all()


def test_synthetic_ratings_are_of_two_kinds_and_split_in_two(rng):
    train, held_out = questions.synthetic(rng, 160, 60)
    assert ((train > 0) ^ (held_out > 0)).all()
    full = train + held_out
    assert full.min() >= 1 and full.max() <= 5
    left = np.linalg.svd(full - full.mean(), compute_uv=False)
    assert left[0] > 20 * left[1]  # one taste
    mean = np.full_like(full, train[train > 0].mean())
    assert judge.rmse(mean, held_out) == pytest.approx(1.42, abs=0.05)


def test_the_right_network_is_known_by_its_parameters_in_any_order_and_orientation(rows, weights):
    encoder, mu, decoder, b = weights
    output = sigmoid(rows @ encoder.T + mu) @ decoder.T + b
    for order in itertools.permutations([encoder.T, mu[None], decoder, b]):
        assert anatomy.activation(rows, output, order, HIDDEN) is None
    assert "up to" in anatomy.activation(rows, output * 1.01, weights, HIDDEN)


@pytest.mark.parametrize(
    ("hidden", "output", "fragment"),
    [
        ("identity", "identity", "it has no activation"),
        ("relu", "identity", "comes from relu"),
        ("tanh", "identity", "comes from tanh"),
        ("sigmoid", "sigmoid", "lies between 0 and 1"),
        ("relu", "sigmoid", "lies between 0 and 1"),
        ("sigmoid", "softmax", "add up to 1.00"),
        ("sigmoid", "relu", "passes through relu"),
        ("identity", "sigmoid", "lies between 0 and 1"),
    ],
)
def test_a_misplaced_activation_is_named(rows, weights, hidden, output, fragment):
    encoder, mu, decoder, b = weights
    g, f = anatomy.ACTIVATIONS[hidden], anatomy.ACTIVATIONS[output]
    seen = f(g(rows @ encoder.T + mu) @ decoder.T + b)
    assert fragment in anatomy.activation(rows, seen, weights, HIDDEN)


def test_missing_parts_are_named(rows, weights):
    encoder, mu, decoder, b = weights
    code = sigmoid(rows @ encoder.T + mu)
    said = anatomy.activation(rows, code @ decoder.T, [encoder, mu, decoder], HIDDEN)
    assert "The output has no bias" in said
    plain = sigmoid(rows @ encoder.T) @ decoder.T + b
    assert "hidden code has no bias" in anatomy.activation(rows, plain, weights, HIDDEN)
    cut = np.clip(code @ decoder.T + b, 1, 5)
    assert "cut to the rating range" in anatomy.activation(rows, cut, weights, HIDDEN)
    twice = sigmoid(sigmoid(code @ decoder.T + b) @ encoder.T) @ decoder.T + b
    assert "With the 4 arrays" in anatomy.activation(rows, twice, weights, HIDDEN)


def test_shape(rows):
    assert judge.shape(rows, rows) is None
    assert "changed places" in judge.shape(rows, rows.T)
    assert "one output for each user" in judge.shape(rows, rows[:, :3])
    assert "in the same place" in judge.shape(rows, rows[0])


def test_mask(rows):
    full = rows * 0 + 2.5
    masked = full * (rows > 0)
    assert judge.mask(rows, masked, full) is None
    assert "100% of the outputs for unknown" in judge.mask(rows, full, full)
    assert "keeps what it should hide" in judge.mask(rows, full * (rows == 0), full)
    assert "up to 1.2" in judge.mask(rows, masked / 2, full)


def test_prediction(rows):
    full = rows * 0 + 2.5
    assert judge.prediction(rows, full) is None
    assert "100%" in judge.prediction(rows, full * (rows > 0))
    assert judge.prediction(rows, full * (rows > 3)) is None  # not by what is unknown


def test_gradient_is_to_be_zero_to_the_last_bit():
    zero, some = np.zeros(3), np.ones(3)
    assert judge.gradient([zero, zero], [some, some]) is None
    assert "gradient of 1e-30" in judge.gradient([zero, zero + 1e-30], [some, some])
    assert "no gradient to 1 of the 2" in judge.gradient([zero, zero], [zero, some])


def test_dropout(rng):
    same, other = [np.ones((2, 2))] * 3, list(rng.random((4, 2, 2)))
    assert judge.dropout(same, other, 0.0) is None
    assert "in prediction too" in judge.dropout(other, other, 0.0)
    assert "has no effect" in judge.dropout(same, same, 0.0)
    assert "by up to 0.5" in judge.dropout(same, other, 0.5)


def test_trained():
    held_out = np.array([[0, 4.0], [2, 0]])
    train = np.array([[3.0, 0], [0, 3]])
    assert judge.trained(held_out + 0.74, train, held_out) is None
    said = judge.trained(held_out + 0.76, train, held_out)
    assert "RMSE is 0.76" in said and "gives 1.00" in said
    assert "no numbers" in judge.trained(held_out * np.nan, train, held_out)
    assert judge.movielens(held_out - 0.9, held_out) is None
    assert "0.860" in judge.movielens(held_out + 0.86, held_out)
    assert "0.940" in judge.movielens(held_out + 0.94, held_out)


def evaluation(rng):
    both = questions.ratings(rng, 11, USERS, 0.6)
    held = (both > 0) & (rng.random(both.shape) < 0.4)
    return both * ~held, both * held, rng.uniform(1, 5, both.shape)


def test_rows_shown(rng):
    train, test, _ = evaluation(rng)
    parts = [train[:4], train[4:8], train[8:]]
    right = [False] * 3
    assert rows_shown(parts, right, train, test) is None
    assert rows_shown([train], right, train, test) is None
    assert rows_shown([*train[:, None]], right, train, test) is None
    assert "0 calls" in rows_shown([], [], train, test)
    assert "held-out ratings in them" in rows_shown([test], right, train, test)
    assert "held-out ratings in them" in rows_shown([train + test], right, train, test)
    assert "changed places" in rows_shown([train.T], right, train, test)
    assert "rows of 7 numbers" in rows_shown([train[:, :3]], right, train, test)
    assert "none of the training" in rows_shown([train / 5], right, train, test)
    assert "8 of the 11" in rows_shown(parts[:2], right, train, test)
    assert "1 of 3 calls" in rows_shown(parts, [False, True, False], train, test)


def test_transposed_rows_are_seen_on_a_square_matrix_too(rng):
    both = questions.ratings(rng, USERS, USERS, 0.6)
    train = both * (rng.random(both.shape) < 0.7)
    assert "changed places" in rows_shown([train.T], [False], train, both - train)


def test_score(rng):
    train, test, guess = evaluation(rng)
    of = test > 0
    squares = (guess - test) ** 2
    right = np.sqrt(squares[of].mean())
    batches = [np.sqrt(squares[i : i + 4][of[i : i + 4]].mean()) for i in (0, 4, 8)]
    on_train = np.sqrt(((guess - train) ** 2)[train > 0].mean())
    told = {
        np.sqrt(np.where(of, squares, 0).mean()): "divided by all 77 entries",
        np.sqrt(squares.mean()): "compared with zero",
        on_train: "error on the training ratings",
        right**2: "not its root",
        np.sqrt(squares[of].sum()): "added up",
        np.abs(guess - test)[of].mean(): "mean absolute error",
        np.mean(batches): "mean of the batches' errors",
        right + 0.01: "It is not the root of the mean squared error",
        np.nan: "It is not the root",
    }
    assert score(right, guess, train, test, 4) is None
    for value, fragment in told.items():
        said = score(value, guess, train, test, 4)
        assert fragment in said and f"{right:.3f}" in said


def test_devices():
    one, both = np.ones((2, 2)), ["cpu(0)", "cpu(1)"]
    assert devices([one, one], both, 0.9, 0.9) is None
    assert "0.1 apart" in devices([one, one + 0.1], both, 0.9, 0.9)
    assert "only cpu(0)" in devices([one, one], both[:1], 0.9, 0.9)
    assert "0.800, on one it is 0.900" in devices([one, one], both, 0.8, 0.9)


def test_points_are_a_hundred_and_partial():
    assert sum(check.points for name, check in CHECKS.items() if name != "movielens") == 100
    findings = [
        Finding("file", "right"),
        Finding("mask", "wrong", "x"),
        Finding("rows", "not reached"),
    ]
    report = Report("me.py", findings)
    assert (report.points, report.total, report.passed) == (5, 25, False)
    assert dataclasses.replace(report, findings=findings[:1]).passed
    assert report.as_record()["checks"][1] == {
        "check": "mask",
        "title": CHECKS["mask"].title,
        "state": "wrong",
        "points": 0,
        "total": 15,
        "message": "x",
    }


def test_the_text_fits_a_terminal_and_does_not_obey_the_submission():
    findings = [Finding("file", "wrong", "word " * 60)]
    text = str(Report("a\x1b[2Jb.py", findings, ["remove /x\x1b[31m" + " y" * 60]))
    assert max(map(len, text.splitlines())) <= 80 and "\x1b" not in text


def test_what_the_system_does_not_guard_is_said():
    report = Report("me.py", [], held=["landlock", "hook", "RLIMIT_AS"])
    assert report.not_held == ["the size of files", "processes and the network, from C code"]
    assert "This system does not guard: the size of files; processes" in str(report)
    held = ["landlock", "seccomp", "RLIMIT_AS", "RLIMIT_FSIZE"]
    assert "guard" not in str(dataclasses.replace(report, held=held))


def test_what_a_submission_raised_is_one_short_sentence():
    said = judge.error({"kinds": ["ValueError"], "text": "x" * 500, "line": 3}, "forward")
    assert said.startswith("forward stopped in line 3 with ValueError: xxx") and len(said) < 210
    assert "no text" in judge.error({}, "forward")
    assert judge.error({"kinds": [1], "text": 2, "line": "x"}, "forward").startswith(
        "forward stop"
    )


@pytest.mark.parametrize(
    "text", ["std::bad_alloc", "failed to allocate CPU", "ret == 0 (12 vs. 0) : Allocation failed"]
)
def test_too_much_memory_is_named_in_whatever_words_mxnet_says_it(text):
    raised = {"kinds": ["MXNetError"], "text": text, "line": 3}
    assert judge.error(raised, "The file") == (
        "The file asked in line 3 for more memory than a submission may have."
    )
