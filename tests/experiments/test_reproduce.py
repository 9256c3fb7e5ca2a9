import json

import numpy
import pytest
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.errors import InputError
from d2l_autorec.experiments.reproduce import check, parse_engines, reproduce


@pytest.mark.parametrize("seed, rmse", [(0, "0.8996"), (1, "0.8841"), (2, "0.9061")])
def test_ends_where_the_book_s_own_code_ends(ml100k, seed, rmse):
    """The code printed in the book, run verbatim with these seeds, ends here on every Python."""
    result, training = reproduce(ml100k, seed=seed, quiet=True)
    assert f"{result.test_rmse:.4f}" == rmse
    assert f"test RMSE {float(rmse):.3f}" in training.printed
    assert result.printed_train_loss == "0.000" and result.train_loss > 0.01


def test_ratings_of_zero_are_refused(ml100k):
    from dataclasses import replace

    import mxnet as mx

    table = ml100k.table.assign(rating=numpy.float32(0))
    with pytest.raises(InputError, match="above zero"):
        check(replace(ml100k, table=table), [mx.cpu()])


def test_the_engines_side_by_side(ml100k, tmp_path):
    given = ["--engine", "book,fast,sparse", "--epochs", "2", "--quiet"]
    done = CliRunner().invoke(app, ["reproduce", *given, "--json", "--out", str(tmp_path / "run")])
    printed = json.loads(done.stdout)
    book, *others = printed["results"].values()
    assert [other["engine"] for other in others] == ["fast", "sparse"]
    for other in others:
        assert other["split_digest"] == book["split_digest"]
        assert other["test_rmse"] == pytest.approx(book["test_rmse"], rel=1e-4)
        assert other["train_loss"] == pytest.approx(book["train_loss"], rel=1e-4)
        assert other["cells_per_second"] == pytest.approx(943 * other["rows_per_second"])
        assert other["printed_train_loss"] == ""
    for name, result in printed["results"].items():
        recorded = json.loads((tmp_path / "run" / name / "run.json").read_text())
        assert recorded["result"] == result
    given = ["--engine", "sparse", "--epochs", "1", "--out", str(tmp_path / "one")]
    lines = CliRunner().invoke(app, ["reproduce", *given]).stdout.splitlines()
    assert next(line for line in lines if line.strip()).split() == ["the", "book", "sparse"]
    assert (tmp_path / "one" / "run.json").exists()


@pytest.mark.parametrize("text", ["slow", "", "book,book", "fast,"])
def test_engines_that_are_none(text):
    with pytest.raises(InputError, match="--engine"):
        parse_engines(text)


def test_devices_that_an_engine_cannot_use(ml100k):
    import mxnet as mx

    with pytest.raises(InputError, match="--devices"):
        check(ml100k, [mx.cpu(0), mx.cpu(1)], ["book", "sparse"])
