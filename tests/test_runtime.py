import mxnet as mx
import numpy
import pytest

from d2l_autorec import runtime
from d2l_autorec.errors import InputError
from d2l_autorec.training.sparse.columns import thread_count


def test_devices():
    assert runtime.parse_devices("cpu") == ([mx.cpu()], None)
    assert runtime.parse_devices("cpu:2") == ([mx.cpu(0), mx.cpu(1)], None)


def test_gpus(monkeypatch):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 2)
    assert runtime.parse_devices("gpu") == ([mx.gpu(0), mx.gpu(1)], None)
    assert runtime.parse_devices("gpu:1") == ([mx.gpu(1)], None)
    for wrong in ("gpu:2", "gpu:0,0"):
        with pytest.raises(InputError, match="2 GPU"):
            runtime.parse_devices(wrong)


def test_seeding_repeats_both_generators():
    def draw():
        return mx.np.random.uniform(size=3).asnumpy().tolist(), numpy.random.rand(3).tolist()  # noqa: NPY002

    runtime.seed_everything(7)
    first = draw()
    assert draw() != first
    runtime.seed_everything(7)
    assert draw() == first


@pytest.mark.parametrize(
    "text, count", [("1", 1), (" 3 ", 3), ("4,2", 4), ("2,2,1", 2), ("", runtime.num_cores())]
)
def test_threads_are_those_of_the_environment(monkeypatch, text, count):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert runtime.num_threads() == thread_count(None) == count


@pytest.mark.parametrize("text", ["0", "many", "-1", "2.5", "²", "9" * 20, ","])
def test_what_is_no_number_of_threads(monkeypatch, text):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(InputError, match=r"OMP_NUM_THREADS is '.*'; set it to a number"):
        runtime.num_threads()


def test_threads_that_compute_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MKL_NUM_THREADS", "2")  # what the user has set stands
    for name in ("OPENBLAS", "BLIS"):
        monkeypatch.delenv(f"{name}_NUM_THREADS", raising=False)
    monkeypatch.setenv("VECLIB_MAXIMUM_THREADS", "1")
    assert runtime.compute_alone() == 3
    found = [runtime.os.environ[f"{name}_NUM_THREADS"] for name in ("OPENBLAS", "MKL", "BLIS")]
    assert found == ["1", "2", "1"]
