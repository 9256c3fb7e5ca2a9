"""The effect of each difference between the printed code and the formula or the paper.

Each run uses the splits and draws of the printed code and changes one thing. The runs are in
`fidelity_runs`. The departures, and where each can be switched, are in `fidelity_ledger`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from d2l_autorec import plots, runs
from d2l_autorec.config import CHAPTER
from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.experiments.fidelity_ledger import DEPARTURES, Numbers, ledger
from d2l_autorec.experiments.fidelity_runs import CHANGES, OTHERS, run_one
from d2l_autorec.experiments.stats import Interval, interval, paired

_ALONE = ("printed", "seq_aware", "other_draws")  # of the changes: not compared with "printed"
_CHANGED = [*(name for name in CHANGES if name not in _ALONE), "validation", "mf"]
_PRINTED = "printed test_rmse"
QUANTITIES = {
    "printed": (_PRINTED, ""),
    **{run: (f"{run} test_rmse", _PRINTED) for run in _CHANGED},
    **{name: (f"printed {name}", _PRINTED) for name in ("clipped", "defaulted", "best_on_test")},
    "centred_sign": ("centred_sign test_rmse", "centred_mask test_rmse"),
    "seq_aware": ("seq_aware test_rmse", ""),
    "mf_seq_aware": ("mf_seq_aware test_rmse", "seq_aware test_rmse"),
    "mf_printed": ("mf printed_rmse", "mf test_rmse"),
    "mf_seq_aware_printed": ("mf_seq_aware printed_rmse", "mf_seq_aware test_rmse"),
    "other_draws": ("other_draws test_rmse", ""),
    "best_epoch": ("printed best_epoch", ""),
    "validation_epoch": ("validation best_epoch", ""),
    "centred_sign_printed": ("centred_sign printed_rmse", ""),
    "train_rmse": ("printed train_rmse", ""),
    "num_test": ("printed num_test", ""),
    **{f"cold_{what}": (f"printed num_cold_{what}", "") for what in ("items", "users", "ratings")},
    "printed_loss": ("chapter printed_loss", ""),
    "mean_loss": ("chapter mean_loss", ""),
    "cells_per_second": ("chapter cells_per_second", ""),
    "wall_cells_per_second": ("chapter wall_cells_per_second", ""),
}
"""What the ledger shows: the run and its measure, and those that it is compared with."""


def fidelity(
    experiment: Experiment,
    ratings: Ratings,
    doc: Path | None,
    num_seeds: int = 10,
    num_epochs: int = CHAPTER.num_epochs,
) -> list[str]:
    """Measure every departure on the book's random splits 0, 1, ..., and write the ledger.

    ``doc`` is the file of the ledger, in Markdown. ``num_epochs`` are those of the chapter's run;
    the book's matrix factorization trains five fewer.
    """
    experiment.begin("fidelity", f"--seeds {num_seeds}")
    jobs = [
        {"run": name, "num_epochs": num_epochs, "seed": seed}
        for name in (*CHANGES, *OTHERS)
        for seed in range(num_seeds)
    ]
    summary = summarize(experiment.run(partial(run_one, ratings), jobs, ratings))
    told = experiment.save(
        "Where does the printed code differ from the formula and the paper, and what does each "
        "difference cost?",
        answer(summary),
        {
            "data": ratings.name,
            "splits": f"the book's random split, seeds 0 to {num_seeds - 1}",
            "epochs": num_epochs,
        },
        {"summary": summary},
        {"summary": draw(summary)},
    )
    if doc is not None:
        doc.parent.mkdir(parents=True, exist_ok=True)
        picture = os.path.relpath(experiment.folder / "summary.png", doc.parent)
        runs.write(doc, ledger(summary, Path(picture).as_posix()))
    return told


def summarize(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of the ledger, of runs with the seeds in the same order for all.

    Returns
    -------
    pandas.DataFrame
        ``key``; ``value``, ``value_half_width``, ``n``, ``sd``, ``low`` and ``high`` over the
        seeds; and for RMSEs the paired ``difference``, its ``difference_half_width`` and the
        ``p_value`` of Wilcoxon's test, from the quantity that `QUANTITIES` says.
    """

    def values(what: str) -> np.ndarray:
        run, measure = what.split()
        return runs.loc[runs["run"] == run, measure].to_numpy(float)

    chapter, printed = values("chapter test_rmse"), values("printed test_rmse")
    found = {key: values(what) for key, (what, _) in QUANTITIES.items()}
    found["rows_per_second"] = values("chapter cells_per_second") / 943
    found["engine_gap"] = np.abs(chapter - printed)
    found["float_gap"] = np.abs(values("chapter printed_rmse") - chapter)
    rows = []
    for key, own in found.items():
        center, base = interval(own), QUANTITIES.get(key, ("", ""))[1]
        row: dict[str, float | str] = {
            "key": key,
            "value": center.mean,
            "value_half_width": center.half_width,
            "n": center.n,
            "sd": center.sd,
            "low": own.min(),
            "high": own.max(),
        }
        if base:
            test = paired(own, values(base))
            row["difference"] = test.difference.mean
            row["difference_half_width"] = test.difference.half_width
            row["p_value"] = test.p_value
        rows.append(row)
    return pd.DataFrame(rows).round(8)


def answer(summary: pd.DataFrame) -> list[str]:
    """Say which departures change the test RMSE and which do not."""
    n = Numbers(summary)
    drawn = [entry for entry in DEPARTURES if entry.short]
    clear = [entry for entry in drawn if _is_clear(n.rows[entry.key])]
    clear.sort(key=lambda entry: -abs(n.rows[entry.key]["difference"]))
    told = "; ".join(f"{entry.short} {n.less(entry.key)}" for entry in clear)
    rest = "; ".join(entry.short for entry in drawn if entry not in clear)
    return [
        f"The printed code's test RMSE is {n.rmse('printed')}. Changed one at a time, these "
        f"departures move it by more than the interval of the difference: {told or 'none'}.",
        f"These do not: {rest or 'none'}.",
        "On the same ratings the pooled RMSE of the book's matrix factorization differs from "
        f"AutoRec's by {n.less('mf')} on the random splits and by {n.less('mf_seq_aware')} on the "
        "seq-aware split.",
    ]


def _is_clear(row: Mapping[str, float]) -> bool:
    """Return whether a difference shows in four decimals and its interval excludes zero."""
    size = abs(row["difference"])
    return round(size, 4) > 0 and size > row["difference_half_width"]


def draw(summary: pd.DataFrame) -> Figure:
    """Draw the differences in RMSE with their intervals, the largest gain first."""
    labels = {entry.key: entry.short for entry in DEPARTURES if entry.short}
    table = summary[summary["key"].isin(labels)].dropna(subset="difference")
    table = table.sort_values("difference")
    columns = (table[name] for name in ("difference", "difference_half_width", "n"))
    values = [Interval(round(mean, 4) + 0.0, np.nan, half, n) for mean, half, n in zip(*columns)]
    figure, (axes,) = plots.frame(0.34 * len(table) + 1.0)
    axes.axvline(0, color=plots.PRINTED, lw=1)
    plots.intervals(axes, [labels[key] for key in table["key"]], values, form="+.4f")
    axes.set(xlabel="change of test RMSE when the departure is undone (95% interval)")
    return figure
