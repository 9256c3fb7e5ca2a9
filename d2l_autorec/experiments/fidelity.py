"""The effect of each difference between the printed code and the formula or the paper.

Each run uses the splits and draws of the printed code and changes one thing. The runs are in
`fidelity_runs`. The departures, and where each can be switched, are in `fidelity_departures`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec import plots
from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.fidelity_departures import DEPARTURES
from d2l_autorec.experiments.fidelity_ledger import Numbers, ledger
from d2l_autorec.experiments.fidelity_runs import CHANGES, OTHERS, run_one
from d2l_autorec.experiments.runner import run_jobs
from d2l_autorec.experiments.stats import Interval, interval, paired
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from d2l_autorec.data.formats import Ratings


def fidelity(
    folder: Path,
    ratings: Ratings,
    doc: Path | None,
    num_seeds: int = 10,
    num_epochs: int = CHAPTER.num_epochs,
    quiet: bool = False,
    quick: bool = False,
) -> list[str]:
    """Measure every departure and write the ledger.

    Parameters
    ----------
    folder, ratings, quiet, quick
        As for `d2l_autorec.experiments.study.study`.
    doc : Path or None
        The ledger, in Markdown.
    num_seeds : int
        Number of splits: the book's random one with the seeds 0, 1, ...
    num_epochs : int
        Of the chapter's run. The book's matrix factorization trains five fewer.

    Returns
    -------
    list of str
        The answer.
    """
    from d2l_autorec import runs

    command = f"d2l-autorec fidelity {'--quick' if quick else f'--seeds {num_seeds}'}"
    refuse_to_shrink(folder, command)
    names = [*CHANGES, *OTHERS]
    jobs = [
        {"run": name, "num_epochs": num_epochs, "seed": seed}
        for name in names
        for seed in range(num_seeds)
    ]
    table = run_jobs(
        folder,
        partial(run_one, ratings),
        jobs,
        data_digest=ratings.digest,
        label="fidelity",
        quiet=quiet,
    )
    summary = summarize(table)
    told = save_results(
        folder,
        command,
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
        picture = os.path.relpath(folder / "summary.png", doc.parent)
        runs.write(doc, ledger(summary, Path(picture).as_posix()))
    return told


def summarize(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of the ledger.

    Parameters
    ----------
    runs : pandas.DataFrame
        A row for each run and seed, with the seeds in the same order for all.

    Returns
    -------
    pandas.DataFrame
        ``key``; ``value``, ``value_half_width``, ``n``, ``sd``, ``low`` and ``high`` over the
        seeds; and for RMSEs the paired ``difference``, its ``difference_half_width`` and the
        ``p_value`` of Wilcoxon's test. An RMSE is compared with that of the printed code, except:
        ``centred_sign`` with ``centred_mask``, ``mf_printed`` and ``mf_seq_aware_printed`` with
        the pooled RMSE of the same runs, ``mf_seq_aware`` with ``seq_aware``.
    """
    import pandas as pd

    def column(run: str, name: str) -> np.ndarray:
        return runs.loc[runs["run"] == run, name].to_numpy(float)

    printed, centred = column("printed", "test_rmse"), column("centred_mask", "test_rmse")
    rows: list[dict[str, float | str]] = []

    def add(key: str, values: np.ndarray, base: np.ndarray | None = None) -> None:
        center = interval(values)
        row: dict[str, float | str] = {
            "key": key,
            "value": center.mean,
            "value_half_width": center.half_width,
            "n": center.n,
            "sd": center.sd,
            "low": values.min(),
            "high": values.max(),
        }
        if base is not None:
            less = paired(values, base)
            row.update(
                difference=less.difference.mean,
                difference_half_width=less.difference.half_width,
                p_value=less.p_value,
            )
        rows.append(row)

    add("printed", printed)
    for run in (
        "sum",
        "sum_balanced",
        "no_bias_decay",
        "no_decay",
        "no_dropout",
        "input_dropout",
        "no_rollover",
        "centred_mask",
        "validation",
        "mf",
    ):
        add(run, column(run, "test_rmse"), printed)
    for name in ("clipped", "defaulted", "best_on_test"):
        add(name, column("printed", name), printed)
    add("centred_sign", column("centred_sign", "test_rmse"), centred)
    seq_aware = column("seq_aware", "test_rmse")
    add("seq_aware", seq_aware)
    add("mf_seq_aware", column("mf_seq_aware", "test_rmse"), seq_aware)
    for run in ("mf", "mf_seq_aware"):
        add(f"{run}_printed", column(run, "printed_rmse"), column(run, "test_rmse"))
    add("other_draws", column("other_draws", "test_rmse"))
    for key, run, name in (
        ("best_epoch", "printed", "best_epoch"),
        ("validation_epoch", "validation", "best_epoch"),
        ("centred_sign_printed", "centred_sign", "printed_rmse"),
        ("train_rmse", "printed", "train_rmse"),
        ("num_test", "printed", "num_test"),
        ("cold_items", "printed", "num_cold_items"),
        ("cold_users", "printed", "num_cold_users"),
        ("cold_ratings", "printed", "num_cold_ratings"),
        ("printed_loss", "chapter", "printed_loss"),
        ("mean_loss", "chapter", "mean_loss"),
        ("cells_per_second", "chapter", "cells_per_second"),
        ("wall_cells_per_second", "chapter", "wall_cells_per_second"),
    ):
        add(key, column(run, name))
    add("rows_per_second", column("chapter", "cells_per_second") / 943)
    chapter = column("chapter", "test_rmse")
    add("engine_gap", np.abs(chapter - printed))
    add("float_gap", np.abs(column("chapter", "printed_rmse") - chapter))
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
