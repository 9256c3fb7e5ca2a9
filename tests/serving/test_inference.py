"""The network in NumPy against the same network in MXNet."""

import mxnet as mx
import numpy as np
import pytest
from toy_models import inputs, network, reconstructed, toy_model

from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.models.autorec import to_net


@pytest.mark.parametrize("by", ["item", "user"])
@pytest.mark.parametrize("hidden", [(3,), (4, 2), (4, 2, 4)])
@pytest.mark.parametrize("encoder", ACTIVATIONS)
@pytest.mark.parametrize("decoder", ACTIVATIONS)
def test_predictions_are_mxnets(by, hidden, encoder, decoder):
    model = toy_model(by, hidden, encoder, decoder)
    net = to_net(network(model).recipe.architecture, network(model).weights)
    expected = net(mx.np.array(inputs(model).toarray())).asnumpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(reconstructed(model), expected, atol=1e-6 * scale)
    table = expected if by == "user" else expected.T  # (users, items)
    users = np.array([3, 0, 3])
    np.testing.assert_allclose(model.trained.score_users(users), table[users], atol=1e-6 * scale)
    items = np.array([5, 0, 2])
    pairs = model.trained.score_pairs(users, items)
    np.testing.assert_allclose(pairs, table[users, items], atol=1e-6 * scale)


def test_ratings_are_counted_from_either_side():
    for what in ("user", "item"):
        counts = [toy_model(by).trained.counts(what).tolist() for by in ("item", "user")]
        assert counts[0] == counts[1] and counts[0][-1] == 0 and max(counts[0]) > 1
