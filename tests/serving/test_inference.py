"""The network in NumPy against the same network in MXNet."""

import mxnet as mx
import numpy as np
import pytest
from toy_models import toy_model

from d2l_autorec.models.autorec import ACTIVATIONS
from d2l_autorec.serving.folder import to_net
from d2l_autorec.serving.inference import num_ratings, reconstruct, score_pairs, score_users


@pytest.mark.parametrize("by", ["item", "user"])
@pytest.mark.parametrize("hidden", [(3,), (4, 2), (4, 2, 4)])
@pytest.mark.parametrize("encoder", ACTIVATIONS)
@pytest.mark.parametrize("decoder", ACTIVATIONS)
def test_predictions_are_mxnets(by, hidden, encoder, decoder):
    model = toy_model(by, hidden, encoder, decoder)
    expected = to_net(model)(mx.np.array(model.ratings.toarray())).asnumpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(reconstruct(model, model.ratings), expected, atol=1e-6 * scale)
    table = expected if by == "user" else expected.T  # (users, items)
    users = np.array([3, 0, 3])
    np.testing.assert_allclose(score_users(model, users), table[users], atol=1e-6 * scale)
    items = np.array([5, 0, 2])
    pairs = score_pairs(model, users, items)
    np.testing.assert_allclose(pairs, table[users, items], atol=1e-6 * scale)


def test_ratings_are_counted_from_either_side():
    for what in ("user", "item"):
        counts = [num_ratings(toy_model(by), what).tolist() for by in ("item", "user")]
        assert counts[0] == counts[1] and counts[0][-1] == 0 and max(counts[0]) > 1
