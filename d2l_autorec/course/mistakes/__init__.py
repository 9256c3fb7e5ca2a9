"""Eight wrong versions of the chapter's network and evaluator, one a module.

Each is a whole submission, and right but for what its docstring says.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

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


def shuffled(rng: np.random.Generator) -> dict[str, ModuleType]:
    """Return the mistakes' modules under the letters A to H, in an order that is drawn."""
    names = rng.permutation(sorted(MISTAKES)).tolist()
    return {
        letter: importlib.import_module(f"{__name__}.{name}")
        for letter, name in zip("ABCDEFGH", names)
    }
