"""Training whose cost grows with the ratings, and not with rows x columns; MXNet is not needed.

`loop` trains on batches of rows. It keeps weights and Adam's moments in a `state`, a row for each
column of the ratings, sorts each batch by `columns`, which the threads share, and leaves the work
to compiled `kernels` and, for the small layers between, to `hidden`. `evaluate` scores.
"""

from d2l_autorec.training.sparse.evaluate import evaluate_sparse
from d2l_autorec.training.sparse.loop import train_sparse
from d2l_autorec.training.sparse.state import SparseState
from d2l_autorec.training.sparse.warm import compile_kernels, kernels_are_cached

__all__ = [
    "SparseState",
    "compile_kernels",
    "evaluate_sparse",
    "kernels_are_cached",
    "train_sparse",
]
