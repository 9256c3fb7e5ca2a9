import numpy
import pytest

from d2l_autorec.errors import InputError
from d2l_autorec.experiments.reproduce import check, reproduce


@pytest.mark.parametrize("seed, printed", [(0, "0.900"), (1, "0.884"), (2, "0.906")])
def test_ends_where_the_book_s_own_code_ends(ml100k, seed, printed):
    """The code printed in the book, run verbatim with these seeds, prints these RMSEs."""
    result, training = reproduce(ml100k, seed=seed, quiet=True)
    assert f"{result.test_rmse:.3f}" == printed
    assert f"test RMSE {printed}" in training.printed
    assert result.printed_train_loss == "0.000" and result.train_loss > 0.01


def test_ratings_of_zero_are_refused(ml100k):
    from dataclasses import replace

    import mxnet as mx

    table = ml100k.table.assign(rating=numpy.float32(0))
    with pytest.raises(InputError, match="above zero"):
        check(replace(ml100k, table=table), [mx.cpu()])
