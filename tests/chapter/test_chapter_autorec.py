"""The chapter's network, loss and evaluator against work by hand and against NumPy."""

import math

import mxnet as mx
import numpy
import pytest
from mxnet import autograd, gluon, np

from d2l_autorec.chapter.autorec import AutoRec, evaluator, train_autorec
from d2l_autorec.runtime import seed_everything

CPU = [mx.cpu()]

# Two items rated by two users; 0 is "not rated".
TOY = [[1.0, 0.0], [0.0, 3.0]]


def toy_net():
    """One hidden unit, so that everything fits on a line.

    Item 0: z = 0,    g = 1/2, h = (2 * 1/2 + 1, 4 * 1/2 - 1) = (2, 1).
    Item 1: z = ln 3, g = 3/4, h = (2 * 3/4 + 1, 4 * 3/4 - 1) = (2.5, 2).
    """
    net = AutoRec(num_hidden=1, num_users=2, dropout_rate=0)
    net.initialize()
    net(np.array(TOY))
    net.encoder.weight.set_data(np.array([[0.0, math.log(3) / 3]]))
    net.encoder.bias.set_data(np.array([0.0]))
    net.decoder.weight.set_data(np.array([[2.0], [4.0]]))
    net.decoder.bias.set_data(np.array([1.0, -1.0]))
    return net


def numpy_parameters(net):
    return [
        layer_part.data().asnumpy().astype("float64")
        for layer_part in (
            net.encoder.weight,
            net.encoder.bias,
            net.decoder.weight,
            net.decoder.bias,
        )
    ]


def test_forward_by_hand():
    prediction = toy_net()(np.array(TOY)).asnumpy()
    numpy.testing.assert_allclose(prediction, [[2, 1], [2.5, 2]], rtol=1e-6)


def test_training_hides_what_is_not_rated():
    net = toy_net()
    with autograd.record():
        prediction = net(np.array(TOY))
    numpy.testing.assert_allclose(prediction.asnumpy(), [[2, 0], [0, 2]], rtol=1e-6)


def test_loss_and_gradients_by_hand():
    net = toy_net()
    row = np.array(TOY[:1])
    with autograd.record():
        loss = gluon.loss.L2Loss()(net(row), row)
    loss.backward()
    # error 1 on one of two columns: 1/2 * 1^2 / 2
    assert loss.item() == pytest.approx(0.25)
    # dL/dh = (1/2, 0); dL/dz = 1/2 * W_0 * g (1 - g) = 1/2 * 2 * 1/4
    numpy.testing.assert_allclose(net.decoder.weight.grad().asnumpy(), [[0.25], [0]], rtol=1e-6)
    numpy.testing.assert_allclose(net.decoder.bias.grad().asnumpy(), [0.5, 0], rtol=1e-6)
    numpy.testing.assert_allclose(net.encoder.weight.grad().asnumpy(), [[0.25, 0]], rtol=1e-6)
    numpy.testing.assert_allclose(net.encoder.bias.grad().asnumpy(), [0.25], rtol=1e-6)


def test_evaluator_by_hand():
    held_out = np.array([[0.0, 3.0], [2.0, 0.0]])  # predicted 1 and 2.5
    score = evaluator(toy_net(), [np.array(TOY)], held_out, CPU)
    assert score == pytest.approx(math.sqrt((2**2 + 0.5**2) / 2))


def test_evaluator_does_not_depend_on_batches_or_devices():
    held_out = np.array([[0.0, 3.0], [2.0, 0.0], [5.0, 0.0]])
    rows = np.array([*TOY, [4.0, 4.0]])
    whole = evaluator(toy_net(), [rows], held_out, CPU)
    assert evaluator(toy_net(), [rows[:2], rows[2:]], held_out, CPU) == pytest.approx(whole)
    net = toy_net()
    net.collect_params().reset_ctx([mx.cpu(0), mx.cpu(1)])
    devices = [mx.cpu(0), mx.cpu(1)]
    assert evaluator(net, [rows], held_out, devices) == pytest.approx(whole)


def test_forward_loss_and_gradients_against_numpy():
    draws = numpy.random.default_rng(0)
    ratings = draws.integers(0, 6, (7, 11)).astype("float32")  # (items, users)
    mx.random.seed(0)
    net = AutoRec(num_hidden=5, num_users=11, dropout_rate=0)
    net.initialize(init=mx.init.Normal(0.5))
    batch = np.array(ratings)
    with autograd.record():
        loss = gluon.loss.L2Loss()(net(batch), batch)
    loss.backward()

    V, mu, W, b = numpy_parameters(net)
    mask = ratings > 0
    code = 1 / (1 + numpy.exp(-(ratings @ V.T + mu)))  # (items, hidden)
    prediction = code @ W.T + b  # (items, users)
    numpy.testing.assert_allclose(net(batch).asnumpy(), prediction, atol=1e-5)
    error = mask * prediction - ratings
    numpy.testing.assert_allclose(loss.asnumpy(), 0.5 * (error**2).mean(axis=1), rtol=1e-5)
    d_prediction = mask * error / ratings.shape[1]
    d_z = d_prediction @ W * code * (1 - code)
    for parameter, gradient in (
        (net.decoder.weight, d_prediction.T @ code),
        (net.decoder.bias, d_prediction.sum(axis=0)),
        (net.encoder.weight, d_z.T @ ratings),
        (net.encoder.bias, d_z.sum(axis=0)),
    ):
        numpy.testing.assert_allclose(parameter.grad().asnumpy(), gradient, rtol=1e-4, atol=1e-6)


def toy_ratings(seed=0, num_items=64, num_users=20):
    """Draw a matrix in which taste has rank 1, and hold out every fifth rating."""
    draws = numpy.random.default_rng(seed)
    taste = 3 + draws.normal(size=(num_items, 1)) * draws.normal(size=(1, num_users))
    full = numpy.clip(numpy.round(taste), 1, 5)
    full[draws.random(full.shape) < 0.5] = 0
    held_out = draws.random(full.shape) < 0.2
    return tuple(np.array(part, dtype="float32") for part in (full * ~held_out, full * held_out))


def short_run(train, test, devices=None, dropout_rate=0.05, num_epochs=3):
    seed_everything(0)
    return train_autorec(
        train,
        test,
        devices,
        num_hidden=8,
        dropout_rate=dropout_rate,
        num_epochs=num_epochs,
        batch_size=16,
        quiet=True,
    )


def test_training_learns_and_repeats():
    train, test = toy_ratings()
    _, first = short_run(train, test, num_epochs=30)
    _, second = short_run(train, test, num_epochs=30)
    assert first.test_rmse == second.test_rmse and first.train_loss == second.train_loss
    assert first.test_rmse[-1] < first.test_rmse[0]
    assert len(first.test_rmse) == 30


def test_held_out_ratings_cannot_reach_training():
    train, test = toy_ratings()
    net, _ = short_run(train, test)
    before = net(train).asnumpy()
    net, _ = short_run(train, (6 - test) * np.sign(test))
    numpy.testing.assert_array_equal(net(train).asnumpy(), before)


def test_two_devices_learn_what_one_learns():
    train, test = toy_ratings()
    one, _ = short_run(train, test, CPU, dropout_rate=0)
    two, _ = short_run(train, test, [mx.cpu(0), mx.cpu(1)], dropout_rate=0)
    for a, b in zip(one.collect_params().values(), two.collect_params().values()):
        for copy in b.list_data():
            numpy.testing.assert_allclose(copy.asnumpy(), a.data().asnumpy(), atol=1e-5)
