"""What a person sees of a run: the bar's label, a line an epoch, TensorBoard."""

import sys

import pytest
from tensorboardX.proto.event_pb2 import Event
from test_run import SHORT, toy_ratings

from d2l_autorec.errors import InputError
from d2l_autorec.progress import epochs_bar
from d2l_autorec.training import checkpoint, run, session, sparse
from d2l_autorec.training.asked import Prepared
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.tensorboard import tensorboard


def test_work_before_the_training_is_announced(capsys):
    worked = []
    before = ("compiling", lambda: worked.append(capsys.readouterr().err))
    with epochs_bar(4, lines=True, done=2, before=before) as advance:
        advance(0.5, 1.25)
    assert worked == ["compiling\n"]
    assert capsys.readouterr().err == "epoch 3/4: loss 0.5000, RMSE 1.2500\n"
    with epochs_bar(4, lines=True, label="training on all ratings") as advance:
        advance(0.5, None)
    said = "training on all ratings, epoch 1/4: loss 0.5000\n"
    assert capsys.readouterr().err == said
    with epochs_bar(4, quiet=True, lines=True, before=("", lambda: worked.append("quiet"))):
        assert worked[1:] == ["quiet"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "engine, cached, compiled", [("sparse", False, 1), ("sparse", True, 0), ("fast", False, 0)]
)
def test_kernels_are_compiled_under_the_bar(monkeypatch, engine, cached, compiled):
    calls = []
    monkeypatch.setattr(sparse, "kernels_are_cached", lambda: cached)
    monkeypatch.setattr(sparse, "compile_kernels", lambda: calls.append(1))
    plan = run.Plan(SHORT.but(num_epochs=1), engine)
    ready = Prepared(toy_ratings(), None, plan, [])
    session._epochs(ready, None, None, checkpoint.Keep(None), True)
    assert len(calls) == compiled


def test_tensorboard_gets_every_epoch(tmp_path):
    with tensorboard(tmp_path, 3) as log:
        log(Epoch(3, 0.5, 0.9, 2.0))
        log(Epoch(4, 0.25, 0.8, 2.0))
    [file] = tmp_path.iterdir()
    seen, content = [], file.read_bytes()
    while content:  # a record: its length, a checksum of that, itself, its checksum
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        seen += [(v.tag, round(v.simple_value, 6), event.step) for v in event.summary.value]
        content = content[16 + size :]
    assert seen == [
        *[("train_loss", 0.5, 3), ("rmse", 0.9, 3), ("seconds", 2.0, 3)],
        *[("train_loss", 0.25, 4), ("rmse", 0.8, 4), ("seconds", 2.0, 4)],
    ]


def test_without_tensorboard(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r'needs tensorboardX .*d2l-autorec\[tensorboard\]"'):
        tensorboard(tmp_path).__enter__()
    with tensorboard(None) as log:
        log(Epoch(1, 0.5, 0.9, 2.0))
