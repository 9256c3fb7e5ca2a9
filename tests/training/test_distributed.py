"""Several processes against one: the same weights, whatever the engine and the shares."""

import json
import sys
from pathlib import Path

import group_worker
import numpy
import pytest

from d2l_autorec.errors import InputError
from d2l_autorec.training.distributed.group import Group, group_from_environment
from d2l_autorec.training.distributed.launch import run_group

WORKER = Path(group_worker.__file__)
RUNS = {
    "fast": ("fast", {}),
    "fast-deep": ("fast", {"hidden": (6, 3, 6), "decoder": "selu", "encoder": "elu"}),
    "fast-dropout": ("fast", {"dropout": 0.3, "input_dropout": 0.2}),
    "fast-uneven": ("fast-uneven", {"dropout": 0.3}),
    "sparse": ("sparse", {}),
    "sparse-deep": ("sparse", {"hidden": (6, 3, 6), "decoder": "tanh"}),
    "sparse-dropout": ("sparse", {"dropout": 0.3, "input_dropout": 0.2}),
    "sparse-uneven": ("sparse-uneven", {"dropout": 0.3}),
}
RESUMED = {
    f"{engine}-{how}": (how, engine) for engine in ("fast", "sparse") for how in ("run", "halves")
}


@pytest.fixture(scope="module", params=[(2, 1), (3, 2)], ids=["2 workers", "3 workers"])
def folder(request, tmp_path_factory):
    """Let a group make all the runs, and give the folder and the number of workers."""
    workers, servers = request.param
    out = tmp_path_factory.mktemp("group")
    wanted = json.dumps({"out": str(out), "runs": {**RUNS, **RESUMED}})
    code = run_group([sys.executable, str(WORKER), wanted], workers, servers, step_timeout=30)
    assert code == 0
    return out, workers


@pytest.mark.parametrize("name", RUNS)
def test_equals_one_process_after_20_steps(folder, name):
    out, workers = folder
    engine, shape = RUNS[name]
    expected = group_worker.train(engine, **shape)
    start = group_worker.train(engine, epochs=0, **shape)
    ranks = [numpy.load(out / f"{name}-{rank}.npz") for rank in range(workers)]
    assert set(ranks[0]) == set(expected)
    for key, values in expected.items():
        if key.startswith("parameter"):
            assert abs(values - start[key]).max() > 1e-3  # it has learned
        numpy.testing.assert_allclose(ranks[0][key], values, rtol=0, atol=1e-6, err_msg=key)
        for other in ranks[1:]:
            numpy.testing.assert_array_equal(other[key], ranks[0][key], err_msg=key)


@pytest.mark.parametrize("engine", ["fast", "sparse"])
def test_a_resumed_run_ends_as_one_in_one_go(folder, engine):
    out, workers = folder
    expected = group_worker.run_train(engine)
    for rank in range(workers):
        whole, halves = (
            numpy.load(out / f"{engine}-{how}-{rank}.npz") for how in ("run", "halves")
        )
        assert set(whole) == set(halves) == set(expected)
        for key, values in expected.items():
            numpy.testing.assert_allclose(whole[key], values, rtol=0, atol=1e-6, err_msg=key)
            # the server adds three workers up as they come
            tolerance = 0 if workers == 2 else 1e-6
            numpy.testing.assert_allclose(halves[key], whole[key], rtol=0, atol=tolerance)


def spans(work, workers):
    group = object.__new__(Group)
    group.num_workers = workers
    found = []
    for group.rank in range(workers):
        found.append(group.span(numpy.array(work)))
    return found


def test_the_columns_are_shared_out_by_their_work():
    assert spans([1] * 7, 2) == [(0, 3), (3, 7)]
    assert spans([6, 1, 1, 1, 1, 1, 1], 2) == [(0, 1), (1, 7)]
    assert spans([0, 0, 0, 9], 3) == [(0, 2), (2, 3), (3, 4)]
    assert spans([9, 0, 0], 3) == [(0, 1), (1, 2), (2, 3)]
    with pytest.raises(InputError, match="--workers is 4"):
        spans([1, 1, 1], 4)


def test_a_process_by_itself_has_no_group(monkeypatch):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    assert group_from_environment() is None
    monkeypatch.setenv("DMLC_ROLE", "server")
    with pytest.raises(InputError, match="DMLC_ROLE"):
        group_from_environment()


@pytest.mark.parametrize(
    "name, value",
    [
        ("D2L_AUTOREC_STEP_TIMEOUT", "soon"),
        ("D2L_AUTOREC_STEP_TIMEOUT", "inf"),
        ("D2L_AUTOREC_STEP_TIMEOUT", "-1"),
        ("D2L_AUTOREC_RANK", "first"),
        ("D2L_AUTOREC_RANK", "²"),
    ],
)
def test_variables_that_cannot_be(monkeypatch, name, value):
    monkeypatch.setenv("DMLC_ROLE", "worker")
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"^{name} is .*{value}.*; give a "):
        group_from_environment()
