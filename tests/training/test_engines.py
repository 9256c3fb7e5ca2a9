"""One test over all loops: the chapter's, the fast one and the sparse one."""

import math

import mxnet as mx
import numpy
import pytest
from mxnet import np
from scipy import sparse

from d2l_autorec.chapter.autorec import train_autorec
from d2l_autorec.data.matrices import interaction_csr
from d2l_autorec.data.split import random_split
from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.batches import RolloverBatches
from d2l_autorec.training.dense import evaluate_fast, train_fast
from d2l_autorec.training.sparse import SparseState, evaluate_sparse, train_sparse

ENGINES = {"fast": train_fast, "sparse": train_sparse}
engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())


def toy_matrices(num_items=70, num_users=30):
    draws = numpy.random.default_rng(0)
    full = draws.integers(1, 6, (num_items, num_users)).astype("float32")
    full[draws.random(full.shape) < 0.6] = 0
    held_out = draws.random(full.shape) < 0.2
    return full * ~held_out, full * held_out


def run(engine, train, test, seed=0, dropout=0.0, hidden=(6,), **settings):
    seed_everything(seed)
    net = AutoRec(train.shape[1], Architecture(hidden=hidden, dropout=dropout))
    net.initialize(mx.init.Normal(0.01))
    return net, list(engine(net, sparse.csr_matrix(train), sparse.csr_matrix(test), **settings))


def values(net):
    return [parameter.data().asnumpy() for parameter in net.collect_params().values()]


@engines
@pytest.mark.parametrize("dropout", [0, 0.3])
def test_parameters_after_25_epochs_are_the_chapter_s(engine, dropout):
    train, test = toy_matrices()
    seed_everything(1)
    book, training = train_autorec(
        np.array(train),
        np.array(test),
        num_hidden=6,
        dropout_rate=dropout,
        batch_size=16,
        quiet=True,
    )
    net, epochs = run(engine, train, test, seed=1, dropout=dropout, batch_size=16)
    for ours, theirs in zip(values(net), values(book)):
        assert numpy.linalg.norm(ours - theirs) <= 1e-4 * numpy.linalg.norm(theirs)
    rmse = [epoch.rmse for epoch in epochs]
    assert rmse == pytest.approx(training.test_rmse, rel=1e-4)
    loss = [epoch.train_loss for epoch in epochs]
    assert loss == pytest.approx(training.train_loss, rel=1e-3)


@engines
@pytest.mark.parametrize("seed, book", [(0, 0.8996), (1, 0.8841), (2, 0.9061)])
def test_ends_where_the_book_ends(ml100k, engine, seed, book):
    seed_everything(seed)
    train, test = (
        interaction_csr(ml100k.table, 943, 1682, rows=rows) for rows in random_split(ml100k.table)
    )
    net = AutoRec(943)
    net.initialize(mx.init.Normal(0.01))
    *_, last = engine(net, train, test)
    assert round(last.rmse, 4) == book


@pytest.mark.parametrize("hidden", [(6,), (7, 3, 7)])
def test_deep_nets_are_equal_too_and_unrated_columns_go_on(hidden):
    train, test = toy_matrices()
    train[:, 5] = 0  # a user without ratings: momentum and decay alone move the weights
    settings = {"hidden": hidden, "batch_size": 16, "num_epochs": 4, "wd": 0.01}
    fast, _ = run(train_fast, train, test, **settings)
    lean, _ = run(train_sparse, train, test, **settings)
    for ours, theirs in zip(values(lean), values(fast)):
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_batches_may_differ_in_size():
    train, test = toy_matrices()

    def epochs():
        draws = numpy.random.default_rng(5)
        while True:  # 16, 16, 16, 16 and 6; then one row, all the others, and one row twice
            yield numpy.split(draws.permutation(70), [16, 32, 48, 64])
            rows = draws.permutation(70)
            yield [rows[:1], rows[1:], rows[[0, 0]]]

    settings = {"dropout": 0.3, "num_epochs": 4, "wd": 0.01}
    fast, dense = run(train_fast, train, test, batches=epochs(), **settings)
    lean, found = run(train_sparse, train, test, batches=epochs(), **settings)
    for ours, theirs in zip(values(lean), values(fast)):
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    losses = [epoch.train_loss for epoch in found]
    assert losses == pytest.approx([epoch.train_loss for epoch in dense], rel=1e-5)


@engines
def test_a_stored_zero_is_a_rating(engine):
    train, _ = toy_matrices()
    matrix = sparse.csr_matrix(train)
    matrix.data -= 3  # ratings of -2 to 2, zeros stored
    seed_everything(0)
    net = AutoRec(train.shape[1], Architecture(hidden=(6,), dropout=0))
    net.initialize(mx.init.Normal(0.01))
    first, *_, last = engine(net, matrix, num_epochs=30, batch_size=16, lr=0.02)
    assert matrix.nnz == (train > 0).sum()
    assert last.train_loss < first.train_loss
    assert last.rmse is None
    # the mean over all columns of half the squared error, over rated entries alone
    before = 0.5 * (matrix.data**2).sum() / numpy.prod(train.shape)
    assert first.train_loss == pytest.approx(before, rel=0.2)


def test_two_devices_learn_what_one_learns():
    train, test = toy_matrices()
    one, _ = run(train_fast, train, test, batch_size=16, num_epochs=3)
    devices = [mx.cpu(0), mx.cpu(1)]
    seed_everything(0)
    two = AutoRec(train.shape[1], Architecture(hidden=(6,), dropout=0))
    two.initialize(mx.init.Normal(0.01), ctx=devices)
    list(train_fast(two, sparse.csr_matrix(train), batch_size=16, num_epochs=3, devices=devices))
    for a, b in zip(one.collect_params().values(), two.collect_params().values()):
        for copy in b.list_data():
            numpy.testing.assert_allclose(copy.asnumpy(), a.data().asnumpy(), atol=1e-5)


def test_batches_come_in_gluon_s_order():
    seed_everything(3)
    loader = mx.gluon.data.DataLoader(
        np.arange(10), shuffle=True, last_batch="rollover", batch_size=4
    )
    gluon = [[batch.asnumpy().astype(int).tolist() for batch in loader] for _ in range(5)]
    seed_everything(3)
    ours = RolloverBatches(10, 4)
    assert [[batch.tolist() for batch in next(ours)] for _ in range(5)] == gluon


@engines
def test_matrices_that_do_not_fit_are_named(engine):
    train, test = map(sparse.csr_matrix, toy_matrices())
    net = AutoRec(train.shape[1], Architecture(hidden=(2,)))
    net.initialize()
    with pytest.raises(InputError, match=r"train has the shape \(30, 70\).*transpose"):
        engine(net, train.T.tocsr())
    with pytest.raises(InputError, match="test has the shape"):
        engine(net, train, test[:9])
    with pytest.raises(InputError, match="train is a ndarray"):
        engine(net, train.toarray())


@pytest.mark.parametrize("evaluate", ["fast", "sparse"])
def test_nothing_to_score_is_nan(evaluate):
    train, test = map(sparse.csr_matrix, toy_matrices())
    net = AutoRec(train.shape[1], Architecture(hidden=(2,)))
    net.initialize()
    nothing = sparse.csr_matrix(test.shape, dtype="float32")
    if evaluate == "fast":
        assert math.isnan(evaluate_fast(net, train, nothing))
    else:
        assert math.isnan(evaluate_sparse(SparseState.from_net(net), train, nothing))
