import numpy
import pytest
from mxnet import np
from scipy import sparse

from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.sparse import SparseState


@pytest.mark.parametrize("hidden", [(5,), (7, 3, 4)])
@pytest.mark.parametrize("decoder", ["identity", "selu"])
def test_entries_are_those_of_the_whole_reconstruction(hidden, decoder):
    seed_everything(0)
    net = AutoRec(9, Architecture(hidden=hidden, encoder="tanh", decoder=decoder))
    net.initialize()
    draws = numpy.random.default_rng(0)
    train = draws.integers(1, 6, (12, 9)).astype("float32") * (draws.random((12, 9)) < 0.4)
    recons = net(np.array(train)).asnumpy()
    rows, cols = draws.integers(0, 12, 6000), draws.integers(0, 9, 6000)
    state = SparseState.from_net(net)
    matrix, recipe = sparse.csr_matrix(train), Recipe(net.architecture)
    network = Network(recipe, state.network_weights(), Scale.of(matrix, recipe))
    ours = network.pairs(matrix, rows, cols)
    numpy.testing.assert_allclose(ours, recons[rows, cols], atol=1e-5)
