"""The sparse engine against MXNet on dense matrices, with the same seeds."""

from __future__ import annotations

import copy
import subprocess
import sys
import time

import mxnet as mx
import numba
import numpy as np
import pytest
from mxnet import autograd, gluon, npx
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.autorec import AutoRec, initialize
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.batches import RolloverBatches
from d2l_autorec.training.job import canonical
from d2l_autorec.training.sparse import (
    SparseState,
    compile_kernels,
    evaluate_sparse,
    kernels,
    kernels_are_cached,
    train_sparse,
)
from d2l_autorec.training.sparse.columns import Threads, read_batch, share_columns
from d2l_autorec.training.sparse.jit import jit
from d2l_autorec.training.sparse.state import padded
from d2l_autorec.training.sparse.warm import KERNELS

npx.set_np()

ROWS, COLS, BATCH = 40, 23, 8


def toy(seed=0, signed=True):
    """Skewed ratings: most columns are missing from most batches, and column 0 from all."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 6, (ROWS, COLS)).astype(np.float32)
    if signed:
        values -= 3  # negative ratings, and zeros that are ratings
    popularity = np.linspace(0, 1, COLS) ** 3
    mask = rng.random((ROWS, COLS)) < popularity
    held_out = mask & (rng.random((ROWS, COLS)) < 0.2)
    return values, mask & ~held_out, held_out


def csr(values, mask):
    rows, cols = np.nonzero(mask)
    order = np.lexsort((cols, rows))
    matrix = sparse.csr_matrix((ROWS, COLS), dtype=np.float32)
    matrix.data, matrix.indices = values[rows[order], cols[order]], cols[order].astype(np.int32)
    matrix.indptr = np.r_[0, np.cumsum(mask.sum(1))].astype(np.int32)
    return matrix


def make_net(seed=0, sigma=0.3, **settings):
    mx.random.seed(seed)
    net = AutoRec(COLS, Architecture(**{"hidden": (7,), "dropout": 0.0, **settings}))
    net.initialize(mx.init.Normal(sigma))
    return net


def parameters(net):
    return [p.data().asnumpy() for p in net.collect_params().values()]


def train_dense(net, values, mask, epochs, objective="mean", lr=0.01, wd=0.01, decay_biases=True):
    """The chapter's loop with an explicit mask; a step's learning rate may differ."""
    if not decay_biases:
        net.collect_params(".*bias").setattr("wd_mult", 0.0)
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 1, "wd": wd})
    order, losses, step = RolloverBatches(ROWS, BATCH), [], 0
    for _ in range(epochs):
        for rows in next(order):
            trainer.set_learning_rate(lr(step) if callable(lr) else lr)
            x, m = mx.np.array(values[rows] * mask[rows]), mx.np.array(mask[rows]).astype("f4")
            with autograd.record():
                error = net(x, m) - x
                loss = 0.5 * mx.np.square(error).sum(axis=1)
                if objective == "mean":
                    loss = loss / COLS
            loss.backward()
            trainer.step(BATCH)
            losses.append(float(loss.mean()))
            step += 1
    return losses


def assert_equal_training(settings, epochs=3, tolerance=1e-6, **how):
    """15 steps of both engines end at the same weights."""
    values, mask, _ = toy()
    dense, ours = make_net(**settings), make_net(**settings)
    start = parameters(ours)
    seed_everything(3)
    losses = train_dense(dense, values, mask, epochs, **how)
    seed_everything(3)
    how.setdefault("lr", 0.01)
    how.setdefault("wd", 0.01)
    history = list(
        train_sparse(
            ours, csr(values, mask), num_epochs=epochs, batch_size=BATCH, num_threads=2, **how
        )
    )
    for before, expected, got in zip(start, parameters(dense), parameters(ours)):
        assert np.abs(expected - before).max() > 1e-3
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    assert np.mean([e.train_loss for e in history]) == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dropout": 0.3},
        {"hidden": (16,)},
        {"hidden": (20, 6, 20), "dropout": 0.3},
        {"hidden": (9, 5), "encoder": "tanh"},
    ],
)
def test_the_weights_are_those_of_dense_training(settings):
    assert_equal_training(settings)


@pytest.mark.parametrize("encoder", ACTIVATIONS)
@pytest.mark.parametrize("decoder", ACTIVATIONS)
def test_every_pair_of_activations_trains_as_dense(encoder, decoder):
    assert_equal_training({"encoder": encoder, "decoder": decoder, "hidden": (7, 3)})


@pytest.mark.parametrize(
    "how",
    [
        {"objective": "sum"},
        {"decay_biases": False},
        {"wd": 0.0},
        {"lr": lambda step: 0.01 / (1 + step)},
    ],
)
def test_the_papers_variants_train_as_dense(how):
    assert_equal_training({}, **how)


def test_gradients_at_observed_entries_equal_mxnets():
    values, mask, _ = toy()
    net = make_net(hidden=(6,))
    rows = np.arange(BATCH)
    x, m = mx.np.array(values[rows] * mask[rows]), mx.np.array(mask[rows]).astype("f4")
    with autograd.record():
        loss = (0.5 * mx.np.square(net(x, m) - x)).mean(axis=1)
    loss.backward()
    first, last = net.dense_layers()
    state = SparseState.from_net(net)
    train = csr(values, mask)[:BATCH]
    settings = {"num_epochs": 1, "batch_size": BATCH, "lr": 0.0, "wd": 0.0, "num_threads": 2}
    list(train_sparse(net, train, state=state, **settings))
    # After one step Adam's mean is 0.1 of the gradient, which carries 1 / batch_size.
    mean = {
        "V": (first.weight.grad().asnumpy().T, state.V.moments[:, 0, :6]),
        "W": (last.weight.grad().asnumpy(), state.W.moments[:, 0, :6]),
        "mu": (first.bias.grad().asnumpy(), state.dense[0].mean),
        "b": (last.bias.grad().asnumpy(), state.out_bias[:, 1]),
    }
    for name, (expected, got) in mean.items():
        assert np.abs(expected).max() > 1e-3, name
        np.testing.assert_allclose(got * 10 * BATCH, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_column_without_ratings_decays_as_in_dense_training():
    values, mask, _ = toy()
    assert not mask[:, 0].any()
    net = make_net()
    before = net.dense_layers()[-1].weight.data().asnumpy()[0]
    list(train_sparse(net, csr(values, mask), num_epochs=1, batch_size=BATCH, lr=0.01, wd=0.01))
    after = net.dense_layers()[-1].weight.data().asnumpy()[0]
    np.testing.assert_allclose(np.abs(after), np.abs(before) - 5 * 0.01, atol=2e-3)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_equal_seeds_and_threads_give_equal_bits(threads):
    values, mask, held_out = toy()
    settings = {"num_epochs": 3, "batch_size": BATCH, "num_threads": threads}
    runs = []
    for _ in range(2):
        net = make_net(dropout=0.2, input_dropout=0.2, hidden=(7, 3, 7))
        seed_everything(5)
        history = list(train_sparse(net, csr(values, mask), csr(values, held_out), **settings))
        runs.append(([(e.train_loss, e.rmse) for e in history], parameters(net)))
    assert runs[0][0] == runs[1][0]
    for first, second in zip(runs[0][1], runs[1][1]):
        np.testing.assert_array_equal(first, second)


def test_input_dropout_trains_on_the_rest():
    values, mask, _ = toy(signed=False)
    net = make_net(input_dropout=0.5)
    history = list(train_sparse(net, csr(values, mask), num_epochs=30, batch_size=BATCH, lr=0.02))
    assert history[-1].train_loss < 0.3 * history[0].train_loss


@pytest.mark.parametrize("clip", [None, (-1.0, 1.0)])
def test_evaluation_predicts_the_held_out_entries(clip):
    values, mask, held_out = toy()
    net = make_net(hidden=(7, 3), decoder="tanh", sigma=1.0, dropout=0.5)
    pred = net(mx.np.array(values * mask)).asnumpy()
    if clip:
        pred = pred.clip(*clip)
    expected = np.sqrt(np.square(pred - values)[held_out].mean())
    state = SparseState.from_net(net)
    for size in (1, 7, 1024):
        rmse = evaluate_sparse(
            state, csr(values, mask), csr(values, held_out), clip=clip, batch_size=size
        )
        assert rmse == pytest.approx(expected, rel=1e-5)


def test_a_state_carries_training_on():
    values, mask, _ = toy()
    train, size = csr(values, mask), 7  # leaves 5 rows to the next epoch
    settings = {"batch_size": size, "lr": 0.01, "num_threads": 2}
    whole, halves = make_net(), make_net()
    seed_everything(1)
    list(train_sparse(whole, train, num_epochs=4, **settings))
    seed_everything(1)
    state = SparseState.from_net(halves)
    batches = RolloverBatches(ROWS, size)
    list(train_sparse(halves, train, num_epochs=2, state=state, batches=batches, **settings))
    assert state.step == 11
    saved = {name: array.copy() for name, array in state.arrays().items()}
    resumed = SparseState.from_net(make_net(seed=9))
    for name, array in resumed.arrays().items():
        array[...] = saved[name]
    resumed.step = state.step
    batches = RolloverBatches(ROWS, size, batches.rest)
    list(train_sparse(halves, train, num_epochs=2, state=resumed, batches=batches, **settings))
    for expected, got in zip(parameters(whole), parameters(halves)):
        np.testing.assert_array_equal(got, expected)


def test_a_state_can_be_written_to_a_net_at_will():
    values, mask, _ = toy()
    net, other = make_net(), make_net(seed=9)
    state = SparseState.from_net(net)
    epochs = train_sparse(net, csr(values, mask), num_epochs=1, batch_size=BATCH, state=state)
    next(epochs)
    state.write_to(other)
    assert list(epochs) == []
    for expected, got in zip(parameters(other), parameters(net)):
        np.testing.assert_array_equal(got, expected)


def test_stopping_early_leaves_the_weights_of_that_moment():
    values, mask, _ = toy()
    settings = {"batch_size": BATCH, "num_threads": 1}
    whole, stopped = make_net(), make_net()
    seed_everything(1)
    list(train_sparse(whole, csr(values, mask), num_epochs=2, **settings))
    seed_everything(1)
    epochs = train_sparse(stopped, csr(values, mask), num_epochs=9, **settings)
    next(epochs), next(epochs)
    epochs.close()
    for expected, got in zip(parameters(whole), parameters(stopped)):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("init", ["normal", "xavier"])
def test_weights_drawn_by_mxnet_are_a_nets(init):
    architecture = Architecture(hidden=(7, 3))
    seed_everything(3)
    net = AutoRec(COLS, architecture)
    initialize(net, init)
    expected = SparseState.from_net(net).arrays()
    seed_everything(3)
    state = SparseState.from_mxnet(architecture, COLS, init)
    for name, values in expected.items():
        np.testing.assert_array_equal(state.arrays()[name], values)
    assert state.V.weight[:, :7].std() > 0


def test_the_net_that_mxnet_draws_for_goes_at_once():
    code = """
import gc
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.autorec import AutoRec
from d2l_autorec.training.sparse import SparseState
gc.disable()
SparseState.from_mxnet(Architecture(), 9, "normal")
print(sum(isinstance(thing, AutoRec) for thing in gc.get_objects()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "0\n", done.stderr


def test_an_epoch_that_is_interrupted_leaves_no_half_updated_weights(monkeypatch):
    values, mask, _ = toy()
    net = make_net()
    state, before = SparseState.from_net(net), parameters(net)
    kernel, calls = kernels.decoder_pass, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return kernel(*arguments)

    monkeypatch.setattr(kernels, "decoder_pass", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(train_sparse(net, csr(values, mask), batch_size=BATCH, state=state, num_threads=1))
    for expected, got in zip(before, parameters(net)):
        np.testing.assert_array_equal(got, expected)
    for ask in (state.arrays, state.weights, state.network_weights):
        with pytest.raises(InputError, match="interrupted half-way"):
            ask()


def test_after_one_thread_fails_the_others_are_awaited():
    ended = []

    def work(i, lo, hi):
        if i == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        ended.append(i)

    with pytest.raises(KeyboardInterrupt):
        Threads(3, (0, 9)).run(work, np.array([0, 3, 6, 9]))
    assert sorted(ended) == [1, 2]


def test_without_a_place_for_the_cache_kernels_are_compiled_anew(monkeypatch):
    def no_place(self, *_):
        raise RuntimeError("cannot cache function: no locator available for file")

    monkeypatch.setattr(numba.core.caching.FunctionCache, "__init__", no_place)
    kernel = jit(kernels.adam.py_func)
    arrays = [np.ones(2, np.float32) for _ in range(4)]
    kernel(*arrays, np.float32(0.5), np.float32(0))
    assert arrays[0][0] == pytest.approx(1 - 0.5 * 1.0 / (np.sqrt(1.0) + 1e-8), abs=1e-6)


def test_no_array_grows_with_rows_times_columns():
    import tracemalloc

    rows, cols = 30_000, 20_000  # dense, this would be 2.4 GB
    rng = np.random.default_rng(0)
    train = sparse.csr_matrix(
        (np.ones(rows, np.float32), (np.arange(rows), rng.integers(0, cols, rows))), (rows, cols)
    )
    net = AutoRec(cols, Architecture(hidden=(4,)))
    net.initialize(mx.init.Normal(0.01))
    tracemalloc.start()
    list(train_sparse(net, train, train, num_epochs=1, batch_size=10_000))
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()


def test_batches_come_in_the_order_of_gluons_loader():
    data = gluon.data.SimpleDataset(list(range(10)))
    loader = gluon.data.DataLoader(data, batch_size=4, shuffle=True, last_batch="rollover")
    seed_everything(11)
    expected = [[batch.asnumpy().tolist() for batch in loader] for _ in range(5)]
    seed_everything(11)
    batches = RolloverBatches(10, 4)
    got = [[rows.tolist() for rows in next(batches)] for _ in range(5)]
    assert got == expected
    assert [len(epoch) for epoch in got] == [2, 3, 2, 3, 2]


def test_a_batch_is_sorted_by_column():
    values, mask, _ = toy()
    matrix = csr(values, mask)
    rows = np.array([5, 0, 5, 39])  # a row may come twice where two epochs meet
    ptr, places, ratings = read_batch(canonical(matrix), rows).rated
    for c in range(COLS):
        part = slice(ptr[c], ptr[c + 1])
        assert places[part].tolist() == np.flatnonzero(mask[rows, c]).tolist()
        np.testing.assert_array_equal(ratings[part], values[rows[places[part]], c])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_shares_cover_all_columns_and_balance_the_work(threads):
    entries = np.r_[np.zeros(50), np.full(100, 3), np.zeros(50), np.full(20, 40)].astype(np.int32)
    ptr = np.r_[0, np.cumsum(entries)].astype(np.int32)
    bounds = np.empty(threads + 1, np.int64)
    share_columns(ptr, np.zeros_like(ptr), bounds)
    assert bounds[0] == 0
    assert bounds[-1] == len(entries)
    work = np.add.reduceat(np.where(entries > 0, entries + 5, 0), bounds[:-1])
    assert (np.diff(bounds) > 0).all()
    assert work.max() <= work.mean() + 45


def test_kernels_are_compiled_once_for_all_uses():
    compile_kernels()
    assert kernels_are_cached()
    values, mask, held_out = toy()
    net = make_net(hidden=(7, 3), dropout=0.1, input_dropout=0.1)
    wide = csr(values, mask)
    wide.indices, wide.data = wide.indices.astype(np.int64), wide.data.astype(np.float64)
    list(train_sparse(net, wide, csr(values, held_out), num_epochs=1, batch_size=BATCH, wd=0))
    for kernel in KERNELS:
        assert len(kernel.signatures) == 1, kernel.py_func.__name__


def test_a_sequence_of_rates_with_batches_of_one_s_own():
    values, mask, _ = toy()
    batches = iter([[np.arange(9), np.arange(9, ROWS)]] * 2)
    epochs = train_sparse(make_net(), csr(values, mask), lr=[0.1] * 3, batches=batches)
    next(epochs)
    with pytest.raises(InputError, match="lr has 3 values; give one for each of 4 steps"):
        next(epochs)


def test_padding_fills_cache_lines():
    assert [padded(width) for width in (1, 16, 17, 500)] == [16, 16, 32, 512]


def with_matrix(change):
    values, mask, _ = toy()
    matrix = copy.deepcopy(csr(values, mask))
    change(matrix)
    return matrix


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"train": np.ones((ROWS, COLS))}, "train is a ndarray"),
        ({"train": sparse.csr_matrix((COLS, ROWS), dtype=np.float32)}, "transpose"),
        ({"train": with_matrix(lambda m: m.data.__setitem__(0, np.nan))}, "not finite"),
        ({"train": with_matrix(lambda m: m.indices.__setitem__(1, m.indices[0]))}, "twice"),
        ({"train": with_matrix(lambda m: m.indices.__setitem__(0, COLS))}, "damaged"),
        ({"test": sparse.csr_matrix((ROWS + 1, COLS), dtype=np.float32)}, "test has the shape"),
        ({"state": SparseState.from_net(make_net(hidden=(8,)))}, "another shape"),
        ({"net": None}, "give a net or a state"),
        ({"batch_size": ROWS + 1}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"objective": "max"}, "objective 'max'"),
        ({"lr": [0.1, 0.1]}, "lr has 2 values"),
        ({"num_threads": 0}, "num_threads"),
        ({"net": AutoRec(COLS)}, "initialize"),
    ],
)
def test_what_does_not_fit_is_named_before_work_starts(settings, words):
    values, mask, _ = toy()
    given = {"net": make_net(), "train": csr(values, mask), "batch_size": BATCH, **settings}
    with pytest.raises(InputError, match=words):
        train_sparse(**given)
