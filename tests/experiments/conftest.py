import numpy
import pandas as pd
import pytest

from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments.experiment import Experiment


@pytest.fixture
def experiment(tmp_path):
    """An experiment of one process, without a progress bar."""
    return Experiment(tmp_path, quiet=True, processes=1)


@pytest.fixture
def smoke_run(tmp_path):
    return Experiment(tmp_path, quiet=True, quick=True, processes=1)


@pytest.fixture(scope="session")
def toy_ratings():
    """1800 ratings of 1 to 5: 20 users, 300 items, which is more than a batch holds."""
    draws = numpy.random.default_rng(0)
    users, items = numpy.divmod(draws.permutation(6000)[:1800], 300)
    liked = draws.normal(size=20)[users] + draws.normal(size=300)[items]
    table = pd.DataFrame(
        {
            "user": users.astype("int64"),
            "item": items.astype("int64"),
            "rating": numpy.clip(numpy.round(3.5 + liked), 1, 5).astype("float32"),
            "timestamp": draws.permutation(1800),
        }
    )
    return Ratings(table, numpy.arange(20), numpy.arange(300), None, "toy", "0" * 64)
