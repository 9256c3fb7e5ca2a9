"""The chapter's numbers, written once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chapter:
    """Settings of the section "AutoRec" of *Dive into Deep Learning*, and what it prints.

    Attributes
    ----------
    num_hidden, num_epochs : int
        Hidden units, and passes over the items.
    dropout_rate, test_ratio : float
        Share of the hidden code that is dropped in training, and of the ratings that is held out.
    sigma : float
        Standard deviation of the normal distribution the weights start from.
    lr, wd : float
        Adam's learning rate and weight decay.
    batch_size, eval_batch_size : int
        Rows (items) in a batch, in training and in evaluation.
    test_rmse, train_loss : str
        The result as the book prints it.
    """

    num_hidden: int = 500
    dropout_rate: float = 0.05
    sigma: float = 0.01
    lr: float = 0.002
    wd: float = 1e-5
    batch_size: int = 256
    eval_batch_size: int = 1024
    num_epochs: int = 25
    test_ratio: float = 0.1
    test_rmse: str = "0.901"
    train_loss: str = "0.000"


CHAPTER = Chapter()
