"""Eight wrong versions of the chapter's network and evaluator, one a module.

Each is a whole submission, and right but for what its docstring says.
"""

from __future__ import annotations

from pathlib import Path

# The module, and the check of `d2l_autorec.course.report` that finds it.
MISTAKES = {
    "no_mask": "mask",
    "mask_in_prediction": "prediction",
    "sigmoid_output": "activation",
    "mean_over_all_entries": "score",
    "softmax": "activation",
    "fed_test_ratings": "rows",
    "matrix_transposed": "rows",
    "dropout_always_on": "dropout",
}


def source(name: str) -> Path:
    """Return the file of a mistake."""
    return Path(__file__).with_name(f"{name}.py")
