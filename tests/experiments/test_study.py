import json

import numpy
import pandas as pd
import pytest

from d2l_autorec.data.split import load_split, split_digest
from d2l_autorec.errors import InputError
from d2l_autorec.experiments import study
from d2l_autorec.experiments.stored import SMOKE


@pytest.fixture
def done(experiment, tmp_path, toy_ratings):
    told = study.study(experiment, toy_ratings, 2, num_epochs=1, splits=tmp_path / "rows")
    return tmp_path, told


def test_from_start_to_figure(done):
    folder, told = done
    assert len(told) == 2 and "(2)" in told[0] and "0.901" in told[1]
    assert "is a run.](histogram.png)" in (folder / "README.md").read_text("utf-8")
    assert (folder / "histogram.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(folder / "summary.csv")) == 7


def test_a_kept_split_is_the_one_that_was_run(done, toy_ratings):
    folder, _ = done
    table = pd.read_csv(folder / "splits.csv")
    for seed, digest in zip(table["seed"], table["split_digest"]):
        train_rows, test_rows = load_split(folder / "rows" / f"seed-{seed}.npz", toy_ratings)
        assert split_digest(test_rows) == digest
        both = numpy.concatenate([train_rows, test_rows])
        assert sorted(both) == list(range(len(toy_ratings.table)))
    assert table["split_digest"].nunique() == 2


def test_the_answer_by_hand():
    """Mean 0.9, deviation 0.01: the book's 0.901 lies 0.1 of that above."""
    told = study.answer([0.89, 0.9, 0.91])
    assert "0.9000 ± 0.0248 (3)" in told[0]
    assert "0.1 standard deviations above the mean, and 67% of the runs" in told[1]
    assert "is a typical result" in told[1]
    assert "is not a typical result" in study.answer([0.8, 0.801, 0.802])[1]


def test_a_smoke_run_draws_no_conclusion(smoke_run, tmp_path, toy_ratings):
    told = study.study(smoke_run, toy_ratings, 2, num_epochs=1)
    assert told == [SMOKE]
    assert json.loads((tmp_path / "experiment.json").read_text())["answer"] == [SMOKE]
    page = (tmp_path / "README.md").read_text("utf-8")
    assert "typical" not in page
    assert page.startswith("# Is 0.901 right?")  # whatever the folder is called


def test_a_smaller_study_does_not_replace_a_larger_one(done, experiment, smoke_run, toy_ratings):
    folder, _ = done
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(InputError, match="give --seeds 2 or more"):
        study.study(experiment, toy_ratings, num_seeds=1, num_epochs=1)
    with pytest.raises(InputError, match="study --quick"):
        study.study(smoke_run, toy_ratings, num_seeds=2, num_epochs=1)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before
