import mxnet as mx
import numpy
import pytest

from d2l_autorec import runtime
from d2l_autorec.errors import InputError


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
