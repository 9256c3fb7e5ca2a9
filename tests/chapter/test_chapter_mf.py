import math

import mxnet as mx
import numpy
import pytest
from mxnet import np

from d2l_autorec.chapter.mf import MF, evaluator, train_mf
from d2l_autorec.runtime import seed_everything


def toy_net():
    net = MF(num_factors=2, num_users=2, num_items=3)
    net.initialize()
    net.P.weight.set_data(np.array([[1.0, 2.0], [0.0, 1.0]]))
    net.Q.weight.set_data(np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]]))
    net.user_bias.weight.set_data(np.array([[0.5], [0.0]]))
    net.item_bias.weight.set_data(np.array([[0.0], [1.0], [2.0]]))
    return net


def test_forward_by_hand():
    prediction = toy_net()(np.array([0, 0, 1]), np.array([0, 1, 2])).asnumpy()
    numpy.testing.assert_allclose(prediction, [3 + 0.5, 2 + 0.5 + 1, 2])


def test_evaluator_averages_running_readings():
    # errors 0 in the first batch, 2 in the second
    batches = [
        (np.array([0]), np.array([0]), np.array([3.5])),
        (np.array([1]), np.array([2]), np.array([4.0])),
    ]
    pooled = math.sqrt((0 + 2**2) / 2)
    # MXNet's own RMSE metric averages the batches' RMSE: readings 0 and (0 + 2) / 2
    score = evaluator(toy_net(), batches, [mx.cpu()])
    assert score == pytest.approx((0 + 1) / 2)
    assert score < pooled


def test_short_run():
    draws = numpy.random.default_rng(0)
    users, items = numpy.divmod(draws.permutation(120), 10)
    ratings = draws.integers(1, 6, 120).astype("float32")
    seed_everything(0)
    train = tuple(part[:100] for part in (users, items, ratings))
    test = tuple(part[100:] for part in (users, items, ratings))
    _, training = train_mf(train, test, 12, 10, num_epochs=3, batch_size=20, quiet=True)
    assert len(training.test_rmse) == 3
    assert training.train_loss[2] < training.train_loss[0]
