"""The chapter in one script, with d2l's own functions, as a reader would run it.

Two lines differ: the data comes from the cache, and nothing is drawn (which is in the book's
favour). `python -m benchmarks.book SEED`
"""

import os
import sys

import numpy
from d2l import mxnet as d2l
from mxnet import autograd, gluon, init, np, npx, random
from mxnet import cpu as cpu_context
from mxnet.gluon import nn

from d2l_autorec.data.sources import cache_folder

npx.set_np()


class AutoRec(nn.Block):
    def __init__(self, num_hidden, num_users, dropout_rate=0.05):
        super().__init__()
        self.encoder = nn.Dense(num_hidden, activation="sigmoid", use_bias=True)
        self.decoder = nn.Dense(num_users, use_bias=True)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, input):
        hidden = self.dropout(self.encoder(input))
        pred = self.decoder(hidden)
        if autograd.is_training():  # Mask the gradient during training
            return pred * np.sign(input)
        else:
            return pred


def evaluator(network, inter_matrix, test_data, devices):
    scores = []
    for values in inter_matrix:
        feat = gluon.utils.split_and_load(values, devices, even_split=False)
        scores.extend([network(i).asnumpy() for i in feat])
    recons = np.array([item for sublist in scores for item in sublist])
    # Calculate the test RMSE
    rmse = np.sqrt(
        np.sum(np.square(test_data - np.sign(test_data) * recons)) / np.sum(np.sign(test_data))
    )
    return float(rmse)


class NotDrawn:
    def __init__(self, **settings):
        pass

    def add(self, x, y):
        pass


d2l.download_extract = lambda name: os.fspath(cache_folder() / name)
d2l.Animator = NotDrawn
seed = int(sys.argv[1])
random.seed(seed)
numpy.random.seed(seed)  # noqa: NPY002

devices = [cpu_context()]  # d2l.try_all_gpus() finds none, not even this one
df, num_users, num_items = d2l.read_data_ml100k()
train_data, test_data = d2l.split_data_ml100k(df, num_users, num_items)
_, _, _, train_inter_mat = d2l.load_data_ml100k(train_data, num_users, num_items)
_, _, _, test_inter_mat = d2l.load_data_ml100k(test_data, num_users, num_items)
train_iter = gluon.data.DataLoader(
    train_inter_mat, shuffle=True, last_batch="rollover", batch_size=256
)
test_iter = gluon.data.DataLoader(
    np.array(train_inter_mat), shuffle=False, last_batch="keep", batch_size=1024
)
net = AutoRec(500, num_users)
net.initialize(ctx=devices, force_reinit=True, init=init.Normal(0.01))
lr, num_epochs, wd, optimizer = 0.002, 25, 1e-5, "adam"
loss = gluon.loss.L2Loss()
trainer = gluon.Trainer(net.collect_params(), optimizer, {"learning_rate": lr, "wd": wd})
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
