"""What every training loop reports after an epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows.

    Attributes
    ----------
    epoch : int
        Its number, from 1.
    train_loss : float
        Mean over its batches of the batch's mean loss.
    test_rmse : float or None
        Pooled RMSE over the held-out ratings after the epoch, where there are some.
    seconds : float
        Time spent in training, without evaluation.
    """

    epoch: int
    train_loss: float
    test_rmse: float | None
    seconds: float
