import sys
from types import SimpleNamespace

import pytest
from d2l import mxnet as d2l

from d2l_autorec.chapter import quiet


def test_animator_is_put_back_whatever_happens():
    book = d2l.Animator
    with pytest.raises(RuntimeError, match="boom"), quiet.watch(3, quiet=True):
        assert d2l.Animator is not book
        raise RuntimeError("boom")
    assert d2l.Animator is book


def test_keeps_the_history_and_what_is_printed(capsys):
    with quiet.watch(2, quiet=True) as training:
        animator = d2l.Animator(xlabel="epoch", xlim=[1, 2])
        animator.add(1, (0.5, 1.1))
        animator.add(2, (0.25, 0.9))
        print("train loss 0.001, test RMSE 0.900\n1234.5 examples/sec on [cpu(0)]")
    assert training.train_loss == [0.5, 0.25]
    assert training.test_rmse == [1.1, 0.9]
    assert training.printed_train_loss() == "0.001"
    assert training.cells_per_second() == 1234.5
    assert capsys.readouterr().out == ""


def test_an_unknown_output_is_an_error():
    with pytest.raises(RuntimeError, match="train loss"):
        quiet.Training(printed="something else").printed_train_loss()


def test_in_a_notebook_the_book_draws_and_prints(monkeypatch, capsys):
    drawn = []

    class Book:
        def __init__(self, **settings):
            drawn.append(settings)

        def add(self, epoch, values):
            drawn.append((epoch, values))

    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setattr(d2l, "Animator", Book)
    with quiet.watch(1) as training:
        d2l.Animator(xlabel="epoch").add(1, (0.5, 1.0))
        print("as the book prints it")
    assert drawn == [{"xlabel": "epoch"}, (1, (0.5, 1.0))]
    assert training.test_rmse == [1.0]
    assert capsys.readouterr().out == "as the book prints it\n" == training.printed
