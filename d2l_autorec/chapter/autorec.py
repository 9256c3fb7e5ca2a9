"""AutoRec as the chapter prints it: the network, the evaluator and the training run.

The network reads a row of the item x user matrix, that is all users' ratings of one item with 0
for "not rated", and reconstructs it:

    h(r) = f(W g(V r + mu) + b)    with g the sigmoid and f the identity.

Source: *Dive into Deep Learning*, section "AutoRec: Rating Prediction with Autoencoders", after
Sedhain et al., "AutoRec: Autoencoders Meet Collaborative Filtering", WWW 2015.
"""

from __future__ import annotations

from typing import Any

import mxnet as mx
from d2l import mxnet as d2l
from mxnet import autograd, gluon, np, npx
from mxnet.gluon import nn

from d2l_autorec.chapter.quiet import Training, watch
from d2l_autorec.config import CHAPTER

npx.set_np()


class AutoRec(nn.Block):
    """Item-based AutoRec.

    Parameters
    ----------
    num_hidden : int
        Width of the hidden code.
    num_users : int
        Length of a row of the matrix.
    dropout_rate : float
        Share of the hidden code that is dropped while training.
    """

    def __init__(self, num_hidden: int, num_users: int, dropout_rate: float = 0.05) -> None:
        super().__init__()
        self.encoder = nn.Dense(num_hidden, activation="sigmoid", use_bias=True)
        self.decoder = nn.Dense(num_users, use_bias=True)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Reconstruct a batch of rows.

        Parameters
        ----------
        input : mxnet.np.ndarray, shape (batch, num_users)
            Ratings, 0 where there is none.

        Returns
        -------
        mxnet.np.ndarray, shape (batch, num_users)
            The predicted ratings. While training, those of unknown ratings are 0, so that neither
            loss nor gradient comes from them.
        """
        hidden = self.dropout(self.encoder(input))  # (batch, num_hidden)
        pred = self.decoder(hidden)  # (batch, num_users)
        if autograd.is_training():
            return pred * np.sign(input)
        return pred


def evaluator(
    network: gluon.Block, inter_matrix: Any, test_data: np.ndarray, devices: list[mx.Context]
) -> float:
    """Compute the RMSE over the held-out ratings.

    Parameters
    ----------
    network : gluon.Block
        Reconstructs rows.
    inter_matrix : iterable of mxnet.np.ndarray, shape (batch, num_users)
        The training matrix in batches, in the order of the items.
    test_data : mxnet.np.ndarray, shape (num_items, num_users)
        The held-out ratings, 0 elsewhere.
    devices : list of mxnet.Context
        Each batch is spread over them.

    Returns
    -------
    float
        Root of the mean squared error over the entries of `test_data` that are not 0.
    """
    parts: list[Any] = []
    for values in inter_matrix:
        feat = gluon.utils.split_and_load(values, devices, even_split=False)
        parts.extend(network(part).asnumpy() for part in feat)
    recons = np.concatenate([np.array(part) for part in parts])  # (num_items, num_users)
    error = test_data - np.sign(test_data) * recons
    return float(np.sqrt(np.sum(np.square(error)) / np.sum(np.sign(test_data))))


def train_autorec(
    train_inter_mat: np.ndarray,
    test_inter_mat: np.ndarray,
    devices: list[mx.Context] | None = None,
    num_hidden: int = CHAPTER.num_hidden,
    dropout_rate: float = CHAPTER.dropout_rate,
    lr: float = CHAPTER.lr,
    wd: float = CHAPTER.wd,
    num_epochs: int = CHAPTER.num_epochs,
    batch_size: int = CHAPTER.batch_size,
    quiet: bool = False,
) -> tuple[AutoRec, Training]:
    """Train the chapter's network with its own settings, through ``d2l.train_recsys_rating``.

    Draws from MXNet's generator (weights, dropout) and NumPy's (the order of the items): seed
    both before the split for a run that can be repeated.

    Parameters
    ----------
    train_inter_mat, test_inter_mat : mxnet.np.ndarray, shape (num_items, num_users)
        Ratings to learn from and ratings to score against, 0 where there is none.
    devices : list of mxnet.Context, optional
        Each batch is split evenly over them, so their number must divide `batch_size`. One CPU
        by default: ``d2l.try_all_gpus`` finds none without a GPU.
    num_hidden, dropout_rate, lr, wd, num_epochs, batch_size
        As in the chapter.
    quiet : bool
        Show no progress.

    Returns
    -------
    net : AutoRec
        The trained network.
    training : Training
        Loss and RMSE of every epoch and what d2l printed.
    """
    devices = devices or [mx.cpu()]
    train_iter = gluon.data.DataLoader(
        train_inter_mat, shuffle=True, last_batch="rollover", batch_size=batch_size
    )
    test_iter = gluon.data.DataLoader(
        train_inter_mat, shuffle=False, last_batch="keep", batch_size=CHAPTER.eval_batch_size
    )
    net = AutoRec(num_hidden, train_inter_mat.shape[1], dropout_rate)
    net.initialize(ctx=devices, force_reinit=True, init=mx.init.Normal(CHAPTER.sigma))
    loss = gluon.loss.L2Loss()
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": lr, "wd": wd})
    with watch(num_epochs, quiet) as training:
        d2l.train_recsys_rating(
            net,
            train_iter,
            test_iter,
            loss,
            trainer,
            num_epochs,
            devices,
            evaluator,
            inter_mat=test_inter_mat,
        )
    return net, training
