"""models.AutoRec against the chapter's own class, and against arithmetic done by hand."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, npx

from d2l_autorec.chapter.autorec import AutoRec as ChapterAutoRec
from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.autorec import AutoRec

npx.set_np()

RATINGS = np.array([[5, 0, 3, 0, 1, 0], [0, 4, 0, 0, 2, 5], [1, 0, 0, 2, 0, 0]], np.float32)

BY_HAND = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: 1.05070098 * np.where(z > 0, z, 1.67326324 * np.expm1(z)),
}


def ratings():
    return mx.np.array(RATINGS)


def parameters(net):
    return [p.data().asnumpy() for p in net.collect_params().values()]


def one_step(net, train):
    """Initialise, and give the first training step's output and gradients."""
    mx.random.seed(7)
    net.initialize(mx.init.Normal(0.01), force_reinit=True)
    with autograd.record():
        pred = train(net)
        loss = gluon.loss.L2Loss()(pred, ratings())
    loss.backward()
    return pred.asnumpy(), [p.grad().asnumpy() for p in net.collect_params().values()]


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_one_seed_gives_the_chapters_weights_dropout_and_gradients(dropout):
    chapter = ChapterAutoRec(4, 6, dropout_rate=dropout)
    ours = AutoRec(6, Architecture(hidden=(4,), dropout=dropout))
    pred, grads = one_step(chapter, lambda net: net(ratings()))
    our_pred, our_grads = one_step(ours, lambda net: net(ratings(), mx.np.sign(ratings())))
    for theirs, mine in zip(parameters(chapter), parameters(ours)):
        np.testing.assert_array_equal(theirs, mine)
    np.testing.assert_array_equal(pred, our_pred)
    for theirs, mine in zip(grads, our_grads):
        np.testing.assert_allclose(theirs, mine, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(chapter(ratings()).asnumpy(), ours(ratings()).asnumpy(), rtol=1e-6)


@pytest.mark.parametrize("encoder", ACTIVATIONS)
@pytest.mark.parametrize("decoder", ACTIVATIONS)
def test_any_stack_of_activations_is_what_its_formula_says(encoder, decoder):
    net = AutoRec(6, Architecture(hidden=(5, 2, 5), encoder=encoder, decoder=decoder))
    net.initialize(mx.init.Normal(0.5))
    expected = RATINGS
    for i, layer in enumerate(net.dense_layers()):
        z = expected @ layer.weight.data().asnumpy().T + layer.bias.data().asnumpy()
        expected = BY_HAND[decoder if i == 3 else encoder](z)
    np.testing.assert_allclose(net(ratings()).asnumpy(), expected, rtol=2e-5, atol=1e-6)
    net.hybridize()
    np.testing.assert_allclose(net(ratings()).asnumpy(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_of_every_activation_is_that_of_its_curve(name):
    net = AutoRec(1, Architecture(hidden=(1,), encoder=name, decoder="identity", dropout=0.0))
    net.initialize(mx.init.One())
    for at in (-2.0, -0.4, 0.3, 1.5):
        x = mx.np.array([[at]])
        x.attach_grad()
        with autograd.record():
            y = net(x)
        y.backward()
        slope = (BY_HAND[name](at + 1e-5) - BY_HAND[name](at - 1e-5)) / 2e-5
        assert float(x.grad[0, 0]) == pytest.approx(slope, rel=1e-4)


def test_the_mask_is_explicit():
    net = AutoRec(6, Architecture(hidden=(3,)))
    net.initialize(mx.init.Normal(0.5))
    mask = mx.np.array(RATINGS != 0).astype("float32")
    full, masked = net(ratings()).asnumpy(), net(ratings(), mask).asnumpy()
    assert (full != 0).all()
    np.testing.assert_array_equal(masked, full * (RATINGS != 0))


@pytest.mark.parametrize("where", ["dropout", "input_dropout"])
def test_dropout_acts_in_training_only(where):
    net = AutoRec(6, Architecture(hidden=(40, 20, 40), **{"dropout": 0.0, where: 0.5}))
    net.initialize(mx.init.Normal(0.5))
    np.testing.assert_array_equal(net(ratings()).asnumpy(), net(ratings()).asnumpy())
    with autograd.train_mode():
        assert (net(ratings()).asnumpy() != net(ratings()).asnumpy()).any()


def test_saved_parameters_load_into_a_net_of_the_same_shape(tmp_path):
    net, other = (AutoRec(6, Architecture(hidden=(5, 2), decoder="elu")) for _ in range(2))
    net.initialize(mx.init.Normal(0.5))
    net.save_parameters(str(tmp_path / "net.params"))
    other.load_parameters(str(tmp_path / "net.params"))
    np.testing.assert_array_equal(net(ratings()).asnumpy(), other(ratings()).asnumpy())


@pytest.mark.parametrize("size", [0, 2.5])
def test_an_unusable_size_is_named(size):
    with pytest.raises(InputError, match=f"num_inputs is {size}; give a whole number"):
        AutoRec(size)
