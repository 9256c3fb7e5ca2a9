"""The report of a training loop after an epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows.

    Attributes
    ----------
    epoch, network : int
        Its number, and which network of the model is trained, from 1.
    train_loss : float
        Mean over its batches of the batch's mean loss.
    rmse : float or None
        Pooled RMSE over held-out ratings after the epoch, where there are some.
    seconds : float
        Time spent in training, without evaluation.
    scored : {"test", "validation"}
        Which held-out ratings these are.
    refit : bool
        Whether it is trained on all training ratings, after the epoch has been chosen.
    """

    epoch: int
    train_loss: float
    rmse: float | None
    seconds: float
    scored: str = "test"
    network: int = 1
    refit: bool = False
