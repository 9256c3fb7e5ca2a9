"""The chapter's numbers, written once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chapter:
    """Settings of the section "AutoRec" of *Dive into Deep Learning*, and what it prints."""

    num_hidden: int = 500  # hidden units
    dropout_rate: float = 0.05  # share of the hidden code that is dropped in training
    sigma: float = 0.01  # standard deviation of the normal distribution the weights start from
    lr: float = 0.002  # Adam's learning rate
    wd: float = 1e-5  # its weight decay
    batch_size: int = 256  # rows (items) in a batch of training
    eval_batch_size: int = 1024
    num_epochs: int = 25  # passes over the items
    test_ratio: float = 0.1  # share of the ratings that is held out
    test_rmse: str = "0.901"  # the result as the book prints it
    train_loss: str = "0.000"


CHAPTER = Chapter()
