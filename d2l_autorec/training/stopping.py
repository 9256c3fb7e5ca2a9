"""Choosing the epoch on validation ratings, and stopping where training diverges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.training.history import Epoch

Arrays = dict[str, np.ndarray]


class BestEpoch:
    """Follow the validation RMSE of each epoch, and keep the weights of the best.

    Training is over after ``patience`` epochs without a better one. An earlier process may have
    been through some epochs; then ``rmses`` are theirs, and ``weights`` those of the best of them.

    Attributes
    ----------
    best : int
        The number of the best epoch, from 1; 0 before the first.
    """

    def __init__(
        self, patience: int | None, rmses: Sequence[float] = (), weights: Arrays | None = None
    ) -> None:
        self.patience, self.rmses, self.weights = patience, list(rmses), weights or {}
        self.best = 1 + int(np.argmin(self.rmses)) if self.rmses else 0

    def add(self, rmse: float, weights: Callable[[], Arrays]) -> None:
        """Add the RMSE of the next epoch. Of equal ones the first is the best."""
        self.rmses.append(rmse)
        if not self.best or rmse < self.rmses[self.best - 1]:
            self.best, self.weights = len(self.rmses), {}  # not beside the new ones
            self.weights = weights()

    @property
    def is_over(self) -> bool:
        """Whether the patience is used up."""
        return self.patience is not None and len(self.rmses) - self.best >= self.patience


def check_finite(epoch: Epoch) -> None:
    """Raise an InputError if an epoch's loss or RMSE is not finite."""
    if not np.isfinite([epoch.train_loss, epoch.rmse or 0.0]).all():
        raise InputError(
            f"Training diverged: in epoch {epoch.epoch} loss or RMSE is not finite; train with a "
            "lower learning rate (--lr)."
        )
