import importlib
import inspect
import re
from itertools import islice
from pathlib import Path

import mxnet as mx
import numpy
import pandas as pd
import pytest

from d2l_autorec.experiments import fidelity
from d2l_autorec.experiments.fidelity_ledger import DEPARTURES, TABLES, ledger
from d2l_autorec.experiments.fidelity_runs import CHANGES, MEASURES, OTHERS, once_an_epoch, run_one
from d2l_autorec.runtime import seed_everything

ENTRIES = [entry for part in TABLES.values() for entry in part]


@pytest.mark.parametrize("anchor", sorted({entry.anchor for entry in ENTRIES}))
def test_every_switch_is_where_the_ledger_says(anchor):
    module, name, *argument = anchor.split(":")
    found = importlib.import_module(f"d2l_autorec.{module}")
    for part in name.split("."):
        found = getattr(found, part)
    if argument:
        assert argument[0] in inspect.signature(found).parameters


def test_each_item_once_an_epoch():
    seed_everything(0)
    epochs = list(islice(once_an_epoch(10, 4), 3))
    for batches in epochs:
        assert [len(rows) for rows in batches] == [4, 4, 2]
        assert sorted(numpy.concatenate(batches)) == list(range(10))
    assert (epochs[0][0] != epochs[1][0]).any()


def _runs(**values):
    rows = []
    for name in (*CHANGES, *OTHERS):
        for seed in (0, 1):
            row = {"run": name, "seed": seed, **dict.fromkeys(MEASURES, 1.0 + seed)}
            rows.append({**row, **{k: v[seed] for k, v in values.get(name, {}).items()}})
    return pd.DataFrame(rows)


def test_differences_by_hand():
    runs = _runs(
        printed={"test_rmse": (0.9, 1.0), "clipped": (0.88, 0.99)},
        sum={"test_rmse": (0.95, 1.01)},
        chapter={
            "test_rmse": (0.9, 1.1),
            "printed_rmse": (0.9, 1.1),
            "cells_per_second": (943, 943),
        },
        mf={"test_rmse": (1.0, 1.1), "printed_rmse": (1.1, 1.3)},
        seq_aware={"test_rmse": (1.0, 1.0)},
        mf_seq_aware={"test_rmse": (1.2, 1.4)},
        centred_sign={"test_rmse": (2.0, 2.0)},
        centred_mask={"test_rmse": (1.0, 1.0)},
    )
    summary = fidelity.summarize(runs).set_index("key")
    expected = {
        "sum": 0.03,
        "clipped": -0.015,
        "mf": 0.1,
        "mf_printed": 0.15,
        "mf_seq_aware": 0.3,
        "centred_sign": 1.0,
    }
    for key, difference in expected.items():
        assert summary.loc[key, "difference"] == pytest.approx(difference), key
    assert summary.loc["printed", "value"] == 0.95 and summary.loc["printed", "high"] == 1.0
    assert summary.loc["engine_gap", "high"] == pytest.approx(0.1)
    assert summary.loc["float_gap", "high"] == 0
    assert summary.loc["rows_per_second", "value"] == 1


def test_the_whole_ledger_from_toy_runs(experiment, tmp_path, toy_ratings, monkeypatch):
    doc = tmp_path / "docs" / "ledger.md"
    arguments = (experiment, toy_ratings, doc, 2, 2)
    told = fidelity.fidelity(*arguments)
    summary = pd.read_csv(tmp_path / "summary.csv")
    table = summary.set_index("key")
    assert table.loc["engine_gap", "high"] < 1e-5  # the printed code and our engine agree
    assert table.loc["float_gap", "high"] < 1e-5
    assert table.loc["best_on_test", "high"] <= table.loc["printed", "high"]
    assert table.loc["clipped", "value"] <= table.loc["printed", "value"] + 1e-9
    assert (table["n"] == 2).all()
    text = doc.read_text(encoding="utf-8")
    assert text == ledger(summary, "../summary.png")
    assert "nan" not in text
    monkeypatch.setattr(fidelity, "run_one", lambda *_: pytest.fail("run again"))
    assert fidelity.fidelity(*arguments) == told
    assert doc.read_text(encoding="utf-8") == text


def test_the_ledger_begins_with_the_three_largest_effects():
    """What can be undone on ratings 1 to 5, and what AutoRec is compared with."""
    root = Path(__file__).parents[2]
    summary = pd.read_csv(root / "results" / "fidelity" / "summary.csv").set_index("key")
    sizes = summary.loc[[d.key for d in DEPARTURES], "difference"].abs()
    sizes = sizes.drop(["centred_sign", "best_on_test"])
    sizes["mf_seq_aware"] = summary.loc["mf_seq_aware", "value"] - summary.loc["mf", "value"]
    largest = sizes.sort_values(ascending=False).index[:3].tolist()
    assert largest == ["mf_seq_aware", "validation", "no_rollover"]
    text = ledger(summary.reset_index())
    three, rest = text.split("## What changes the test RMSE")
    places = [three.index(words) for words in ("different splits", "number of epochs", "fill a")]
    assert places == sorted(places)
    lines = [line for line in rest.split("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    shown = [float(re.findall(r"[-+]0\.\d{4}", line)[0]) for line in lines[:-1]]
    assert [abs(x) for x in shown] == sorted((abs(x) for x in shown), reverse=True)
    assert len(lines) == len(DEPARTURES) and "sign of the input" in lines[-1]


def test_every_variant_changes_something(toy_ratings):
    def rmse(name):
        return run_one(toy_ratings, {"run": name, "num_epochs": 2, "seed": 0})["test_rmse"]

    printed = rmse("printed")
    assert all(rmse(name) != printed for name in CHANGES if name != "printed")


@pytest.mark.skipif(mx.context.num_gpus() > 0, reason="speaks of machines without a GPU")
def test_the_printed_devices_fail_without_a_gpu():
    from d2l import mxnet as d2l

    with pytest.raises(ZeroDivisionError):
        mx.gluon.utils.split_and_load(mx.np.ones((2, 2)), d2l.try_all_gpus())


def test_movielens_100k_has_whole_stars_above_zero(ml100k):
    ratings = ml100k.table["rating"]
    assert (ratings % 1 == 0).all() and (ratings > 0).all()
