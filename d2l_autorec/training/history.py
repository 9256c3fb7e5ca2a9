"""The report of a training loop after an epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows."""

    epoch: int  # its number, from 1
    train_loss: float  # mean over its batches of the batch's mean loss
    rmse: float | None  # pooled over held-out ratings after the epoch, where there are some
    seconds: float  # spent in training, without evaluation
    scored: str = "test"  # or "validation": which held-out ratings these are
    network: int = 1  # which network of the model is trained, from 1
    refit: bool = False  # on all training ratings, after the epoch has been chosen
