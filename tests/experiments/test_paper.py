import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.experiments import (
    baselines,
    contenders,
    paper,
    paper_runs,
    paper_tables,
    paper_variants,
)
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.training.fit import fit_network


def tiny(recipe):
    hidden = tuple(3 for _ in recipe.architecture.hidden)
    return recipe.but(hidden=hidden, num_epochs=1, batch_size=16)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Ratings of 30 users, and all that is trained for one epoch."""
    for name in ("SMALL", "LARGE", "QUESTIONS"):
        small = [
            dataclasses.replace(v, recipe=tiny(v.recipe), lams=v.lams[:2])
            for v in getattr(paper_variants, name)
        ]
        monkeypatch.setattr(paper_variants, name, tuple(small))
    for name in ("REACH", "STACKED", "TRIED"):
        for key, recipe in getattr(paper_variants, name).items():
            monkeypatch.setitem(getattr(paper_variants, name), key, tiny(recipe))
    rng = np.random.default_rng(0)
    pairs = [(user, item) for user in range(30) for item in rng.permutation(20)[:10]]
    lines = [f"{user},{item},{rng.integers(1, 6)}" for user, item in pairs]
    path = tmp_path / "toy.csv"
    path.write_text("user,item,rating\n" + "\n".join(lines) + "\n")
    return path


def test_all_questions_from_start_to_summary(toy, tmp_path, monkeypatch):
    out = tmp_path / "out"
    mean = contenders.Contender(baselines.global_mean)
    monkeypatch.setitem(contenders.CONTENDERS, "myFM", mean)  # where myFM is not installed too
    experiment = Experiment(out, quiet=True, processes=1)
    summary = paper.paper(experiment, toy, num_splits=2, slow_splits=1)
    assert summary["data"].tolist() == ["MovieLens 100K"] * 2 + ["toy.csv"] * 2
    assert (summary["the paper"] == "").all()  # nothing printed stands for other data
    record = json.loads((out / "experiment.json").read_text())
    assert record["tables"] == [
        "summary",
        "activations",
        "hidden",
        "depth",
        "reach",
        "others",
        "tried",
    ]
    assert all((out / f"{name}.svg").exists() for name in record["figures"])
    assert str(tmp_path) not in (out / "experiment.json").read_text()
    others = pd.read_csv(out / "named" / "others" / "runs.csv")
    assert others[others["model"] == "myFM"]["split"].tolist() == [0]
    stacks = pd.read_csv(out / "named" / "stack" / "runs.csv")
    gain = stacks["stack"][0] - others["rmse"][0]
    table = pd.read_csv(out / "others.csv")
    assert table["the stack less this model"][0] == f"{gain:.4f} (1)"
    assert record["answer"][-1].startswith("Without side information")
    runs = pd.read_csv(out / "named" / "runs.csv")
    tuned = runs[(runs["part"] == "protocol") & (runs["variant"] == "I-AutoRec")]
    deep = runs[runs["variant"] == paper_variants.PRETRAINED.name]
    assert deep[deep["scored_on"] == "test"]["split"].tolist() == [0]
    for split in (0, 1):  # the λ that is scored on test ratings is the best on validation
        own = tuned[tuned["split"] == split]
        trials = own[own["scored_on"] == "validation"]
        best = trials.loc[trials["rmse"].idxmin(), "lam"]
        assert own.loc[own["scored_on"] == "test", "lam"].tolist() == [best]
    with pytest.raises(InputError, match=r"--data toy\.csv"):  # it would drop these tables
        paper.paper(experiment, None, num_splits=2)
    written = (out / "named" / "runs.csv").read_bytes()
    paper.paper(experiment, toy, num_splits=2, slow_splits=1)
    assert (out / "named" / "runs.csv").read_bytes() == written  # nothing ran again


def test_the_three_parts_of_a_split_share_nothing(toy):
    ratings = paper_runs.load(toy)
    train, held_out, whole, test = (part.rows for part in paper_runs.split_parts(ratings, 3))
    assert sorted([*train, *held_out, *test]) == list(range(len(ratings.table)))
    assert sorted([*train, *held_out]) == whole.tolist()
    assert [len(rows) for rows in (train, held_out, test)] == [243, 27, 30]


def test_data_that_cannot_be_read_stops_before_anything_is_trained(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        paper.paper(Experiment(tmp_path / "out", quiet=True), tmp_path / "none.csv")
    assert not (tmp_path / "out").exists()


def test_pre_training_puts_the_autoencoder_of_the_codes_between_the_layers_of_an_autorec():
    rng = np.random.default_rng(0)
    ratings = sparse.csr_matrix(rng.integers(1, 6, (12, 9)).astype(np.float32))
    recipe = paper_variants.PRETRAINED.recipe.but(hidden=(6, 3, 6), lr=0.0, num_epochs=1)
    outer = fit_network(ratings, paper_variants.OUTER.but(hidden=(6,)), 5)
    codes = outer.hidden(0)[-1]
    inner = fit_network(sparse.csr_matrix(codes), paper_variants.INNER.but(hidden=(3,)), 5)
    W, b = outer.networks[0].output_layer
    expected = inner.networks[0].reconstruct(sparse.csr_matrix(codes)) @ W.T + b
    deep = fit_network(ratings, recipe, initial=paper_runs.pretrained(ratings, recipe, 5))
    np.testing.assert_allclose(deep.networks[0].reconstruct(ratings), expected, atol=1e-4)


@pytest.mark.parametrize("rmses, met", [([0.8, 0.81], "met"), ([0.81, 0.83], "missed")])
def test_a_mark_is_met_at_or_below_it(rmses, met):
    said = paper_tables._verdict(pd.Series(rmses), 0.814, "The mark")
    assert said == f" The mark, 0.814, is {met}."
