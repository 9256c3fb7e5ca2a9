import pandas as pd
import pytest

from d2l_autorec.experiments import draws
from d2l_autorec.models.recipe import Recipe


def test_both_draws_on_the_same_splits(toy_ratings, experiment, tmp_path):
    recipe = Recipe().but(hidden=(3,), num_epochs=2)
    told = draws.draws(experiment, toy_ratings, 2, recipe)
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert runs[["draws", "seed"]].values.tolist() == [
        [name, seed] for seed in (0, 1) for name in ("mxnet", "numpy")
    ]
    assert runs["test_rmse"].nunique() == 4
    assert "With MXNet's draws" in told[0]


@pytest.mark.parametrize("shift, words", [(0.0, "includes zero"), (0.3, "does not include zero")])
def test_the_difference_is_numpys_less_mxnets(shift, words):
    rmses = [0.90, 0.91 + shift, 0.92, 0.91 + shift]
    runs = pd.DataFrame({"draws": ["mxnet", "numpy"] * 2, "seed": [0, 0, 1, 1]})
    table, told = draws.summary(runs.assign(test_rmse=rmses))
    assert words in told[1]
    assert float(table.iloc[2, 1].split()[0]) == pytest.approx(shift, abs=1e-9)
