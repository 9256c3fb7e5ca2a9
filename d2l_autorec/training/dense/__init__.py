"""Training on dense matrices in MXNet: the book's updates without the book's overheads."""

from d2l_autorec.training.dense.loop import evaluate_fast, train_fast
from d2l_autorec.training.dense.state import DenseState

__all__ = ["DenseState", "evaluate_fast", "train_fast"]
