"""Matrix factorization as the book prints it: what the AutoRec chapter compares itself with.

Source: *Dive into Deep Learning*, section "Matrix Factorization". The score it prints comes from
another split than AutoRec's (seq-aware instead of random) and from another measure: see
`evaluator`.
"""

from __future__ import annotations

from typing import Any

import mxnet as mx
from d2l import mxnet as d2l
from mxnet import gluon, np, npx
from mxnet.gluon import nn

from d2l_autorec.chapter.quiet import Training, watch

npx.set_np()


class MF(nn.Block):
    """Biased matrix factorization, without a global mean: P_u . Q_i + b_u + b_i.

    Parameters
    ----------
    num_factors : int
        Length of the latent vectors.
    num_users, num_items : int
        Size of the rating matrix.
    """

    def __init__(self, num_factors: int, num_users: int, num_items: int) -> None:
        super().__init__()
        self.P = nn.Embedding(input_dim=num_users, output_dim=num_factors)
        self.Q = nn.Embedding(input_dim=num_items, output_dim=num_factors)
        self.user_bias = nn.Embedding(num_users, 1)
        self.item_bias = nn.Embedding(num_items, 1)

    def forward(self, user_id: np.ndarray, item_id: np.ndarray) -> np.ndarray:
        """Predict the ratings of pairs.

        Parameters
        ----------
        user_id, item_id : mxnet.np.ndarray, shape (batch,)
            Numbers from 0.

        Returns
        -------
        mxnet.np.ndarray, shape (batch,)
        """
        match = (self.P(user_id) * self.Q(item_id)).sum(axis=1)  # (batch,)
        biases = np.squeeze(self.user_bias(user_id)) + np.squeeze(self.item_bias(item_id))
        return (match + biases).flatten()


def evaluator(net: gluon.Block, test_iter: Any, devices: list[mx.Context]) -> float:
    """Score as the book does: the mean over the batches of a *running* RMSE.

    Early batches count in every later reading, so this is not the RMSE over the test ratings.

    Parameters
    ----------
    net : gluon.Block
        Predicts the ratings of pairs.
    test_iter : iterable
        Batches of (users, items, ratings), each of shape (batch,).
    devices : list of mxnet.Context
        Each batch is spread over them.

    Returns
    -------
    float
    """
    rmse = mx.metric.RMSE()
    readings = []
    for batch in test_iter:
        users, items, ratings = (
            gluon.utils.split_and_load(part, devices, even_split=False) for part in batch
        )
        rmse.update(labels=ratings, preds=[net(u, i) for u, i in zip(users, items)])
        readings.append(rmse.get()[1])
    return float(np.mean(np.array(readings)))


def train_mf(
    train: tuple[Any, Any, Any],
    test: tuple[Any, Any, Any],
    num_users: int,
    num_items: int,
    devices: list[mx.Context] | None = None,
    num_factors: int = 30,
    lr: float = 0.002,
    wd: float = 1e-5,
    num_epochs: int = 20,
    batch_size: int = 512,
    quiet: bool = False,
) -> tuple[MF, Training]:
    """Train the book's matrix factorization with its own settings.

    Parameters
    ----------
    train, test : tuple of array_like, each of shape (num_ratings,)
        Users and items, numbered from 0, and ratings.
    num_users, num_items : int
        Size of the rating matrix.
    devices : list of mxnet.Context, optional
        One CPU by default.
    num_factors, lr, wd, num_epochs, batch_size
        As in the book.
    quiet : bool
        Show no progress.

    Returns
    -------
    net : MF
    training : Training
        Its ``test_rmse`` is the book's measure, see `evaluator`.
    """
    devices = devices or [mx.cpu()]
    train_iter = gluon.data.DataLoader(
        gluon.data.ArrayDataset(*(np.array(part) for part in train)),
        shuffle=True,
        last_batch="rollover",
        batch_size=batch_size,
    )
    test_iter = gluon.data.DataLoader(
        gluon.data.ArrayDataset(*(np.array(part) for part in test)), batch_size=batch_size
    )
    net = MF(num_factors, num_users, num_items)
    net.initialize(ctx=devices, force_reinit=True, init=mx.init.Normal(0.01))
    loss = gluon.loss.L2Loss()
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": lr, "wd": wd})
    with watch(num_epochs, quiet) as training:
        d2l.train_recsys_rating(
            net, train_iter, test_iter, loss, trainer, num_epochs, devices, evaluator
        )
    return net, training
