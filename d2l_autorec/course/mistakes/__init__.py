"""Eight wrong versions of the chapter's network and evaluator.

Each is `right.py` with one thing changed, and what is wrong as its docstring: a whole submission.
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

RIGHT = Path(__file__).with_name("right.py")


class Mistake(NamedTuple):
    """A mistake: the check that finds it, what it changes in the right code, what is wrong."""

    check: str  # of `d2l_autorec.course.report`
    changes: dict[str, str]
    about: str


_MASK = """if autograd.is_training():
            return pred * np.sign(x)
        return pred"""
MISTAKES = {
    "no_mask": Mistake(
        "mask",
        {_MASK: "return pred"},
        """No mask: the loss sees zeros where nobody rated.

The network returns the same in training and in prediction. The loss compares its output with the
whole row, and most of a row is the 0 that stands for "not rated". So the network learns that
almost everybody rates almost everything 0, and predicts far too low.
""",
    ),
    "mask_in_prediction": Mistake(
        "prediction",
        {_MASK: "return pred * np.sign(x)"},
        """Mask in prediction: what is asked for is hidden.

The mask is always on. It belongs to the loss: in training it keeps unknown ratings from being
learned as zeros. In prediction the unknown ratings are the question, and here the answer to each
is 0. The error on held-out ratings is that of predicting 0, however low the training loss.
""",
    ),
    "sigmoid_output": Mistake(
        "activation",
        {"nn.Dense(num_users)": 'nn.Dense(num_users, activation="sigmoid")'},
        """Sigmoid on the output: no prediction is above 1.

The activation that belongs to the hidden code is on the output, too, as in an autoencoder for
black-and-white pictures. Ratings go from 1 to 5, and a sigmoid ends at 1. The network does what
it can and predicts 1 everywhere.
""",
    ),
    "mean_over_all_entries": Mistake(
        "score",
        {"(error**2).sum() / known.sum()": "(error**2).mean()"},
        """Mean over all entries: the error is divided by too much.

The evaluator sums the squared errors of the held-out ratings, and divides by the number of all
entries of the matrix. Of MovieLens 100K's entries about one in 160 is a held-out rating, so the
score is some twelve times too good. A score that beats every published one is a reason to look at
the denominator.
""",
    ),
    "softmax": Mistake(
        "activation",
        {"self.decoder(hidden)": "npx.softmax(self.decoder(hidden))"},
        """Softmax on the output: users share one rating.

The output is taken for a choice between the users. A softmax makes the numbers of a row add up to
1, so with 943 users each prediction is near a thousandth. A rating is a number to be regressed,
and that of one user takes nothing from another's.
""",
    ),
    "fed_test_ratings": Mistake(
        "rows",
        {"in inter_matrix": "in [test_data]"},
        """Test ratings fed in: the network is shown the answers.

The evaluator passes the held-out ratings through the network and compares the output with the
same ratings. That measures how well the network copies what it sees. In use it does not see the
rating that it is asked for: it reads the training ratings, and predicts the held-out ones.
""",
    ),
    "matrix_transposed": Mistake(
        "rows",
        {"in inter_matrix": "in [np.concatenate(list(inter_matrix)).T]", "(parts)": "(parts).T"},
        """Matrix transposed: users where items should be.

The evaluator turns the matrix around, because a recommender is about users. But the network's
inputs are the ratings of one item by all users: its weights belong to users, and it has as many
inputs as there are users. Where the numbers of users and items differ, shapes do not fit; where
they agree, nothing complains, and each weight meets the wrong user.
""",
    ),
    "dropout_always_on": Mistake(
        "dropout",
        {"nn.Dropout(dropout)": 'lambda code: npx.dropout(code, p=dropout, mode="always")'},
        """Dropout always on: the same question, another answer.

Dropout is asked for in every pass, not in those of training alone. Each prediction is made with
other hidden units missing: the score changes from call to call, and is a little worse than the
network deserves.
""",
    ),
}


def text(name: str) -> str:
    """Return the code of a mistake."""
    code = RIGHT.read_text(encoding="utf-8").split('"""', 2)[2]
    for right, wrong in MISTAKES[name].changes.items():
        code = code.replace(right, wrong)
    return f'"""{MISTAKES[name].about}"""{code}'


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """The folder of the files; it is removed when Python ends."""
    return tempfile.TemporaryDirectory(prefix="d2l-autorec-mistakes-")


def source(name: str) -> Path:
    """Write the code of a mistake to a file that is there until Python ends; return its path."""
    path = Path(_folder().name, f"{name}.py")
    path.write_text(text(name), encoding="utf-8")
    return path


def shuffled(rng: np.random.Generator) -> dict[str, ModuleType]:
    """Return the mistakes as modules under the letters A to H, in an order that is drawn."""
    return dict(zip("ABCDEFGH", map(_module, rng.permutation(sorted(MISTAKES)).tolist())))


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{__name__}.{name}", source(name))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
