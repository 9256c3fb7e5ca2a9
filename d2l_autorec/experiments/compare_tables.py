"""The tables, sentences and figure of the comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from d2l_autorec import plots
from d2l_autorec.experiments.contenders import BEST, CHAPTER_AUTOREC, PRINTED_MF, TUNED_MF
from d2l_autorec.experiments.experiment import by_model, frame
from d2l_autorec.experiments.stats import Interval, holm, interval, less, paired

RANDOM, SEQ_AWARE = "random", "seq-aware"
LEVEL = 0.05


def _scores(runs: pd.DataFrame, split: str, column: str = "test_rmse") -> dict[str, np.ndarray]:
    """Return each model's scores by seed; on the random splits the best mean comes first."""
    parts = by_model(runs[runs["split"] == split], column)
    if split == RANDOM and column == "test_rmse":
        return dict(sorted(parts.items(), key=lambda pair: pair[1].mean()))
    return parts


def _corrected(found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the p-value of each model's differences, corrected for the number of models."""
    others = [name for name in found if name != CHAPTER_AUTOREC]
    tests = [paired(found[name], found[CHAPTER_AUTOREC]) for name in others]
    return dict(zip(others, holm([test.p_value for test in tests])))


def summary(runs: pd.DataFrame, resampled: pd.DataFrame, timings: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each model, the best first. Differences are from the chapter's AutoRec."""
    found, raw = _scores(runs, RANDOM), _scores(runs, RANDOM, "unclipped")
    seconds = timings.groupby("model")["seconds"].median()
    p_values, later = _corrected(found), _scores(runs, SEQ_AWARE)
    ends, rows = resampled.set_index("model"), []
    for name, values in found.items():
        row = {"model": name, "random RMSE": str(interval(values))}
        row.update(dict.fromkeys(("less AutoRec", "p, Holm"), ""))
        row["seq-aware RMSE"] = f"{later[name][0]:.4f}"
        row["seq-aware less AutoRec"] = ""
        if name != CHAPTER_AUTOREC:
            difference = less(values, found[CHAPTER_AUTOREC])
            gap = later[name][0] - later[CHAPTER_AUTOREC][0]
            low, high = ends.loc[name, ["less_low", "less_high"]]
            row["less AutoRec"] = f"{difference.mean:+.4f} ± {difference.half_width:.4f}"
            row["p, Holm"] = f"{p_values[name]:.3f}"
            row["seq-aware less AutoRec"] = f"{gap:+.4f} ({low:+.4f} to {high:+.4f})"
        row["unclipped"], row["fit, s"] = f"{raw[name].mean():.4f}", f"{seconds[name]:.2g}"
        rows.append(row)
    return pd.DataFrame(rows)


def tuning(tuned: pd.DataFrame) -> pd.DataFrame:
    """Return the settings that each tuned model could choose from, its choice first."""
    order = {model: place for place, model in enumerate(tuned["model"])}
    table = tuned.assign(order=tuned["model"].map(order))
    table = table.sort_values(["order", "val_rmse"], kind="stable").round(4)
    rows = [
        (
            row["model"],
            ", ".join(f"{k} {v}" for k, v in json.loads(row["setting"]).items()) or "its defaults",
            str(row["num_epochs"] or ""),
            row["val_rmse"],
        )
        for row in table.to_dict("records")
    ]
    return frame(["model", "setting", "best epoch", "validation RMSE"], rows)


def answer(runs: pd.DataFrame, resampled: pd.DataFrame) -> list[str]:
    """Say whether the chapter's claim holds on equal terms, and which models are better."""
    found, later = _scores(runs, RANDOM), _scores(runs, SEQ_AWARE)
    own = found[CHAPTER_AUTOREC]
    told = []
    if PRINTED_MF in found:
        test = paired(own, found[PRINTED_MF])
        after = later[CHAPTER_AUTOREC][0] - later[PRINTED_MF][0]
        # that of matrix factorization less AutoRec is stored: signs change, and ends swap
        ends = resampled.set_index("model").loc[PRINTED_MF]
        low, high = -ends["less_high"], -ends["less_low"]
        around = ", an interval around zero" if low < 0 < high else ""
        holds = test.difference.high < 0 and after < 0
        told.append(
            f"On the same ratings the chapter's claim {'holds' if holds else 'does not hold'} "
            f"against the book's own matrix factorization: AutoRec {interval(own)}, matrix "
            f"factorization {interval(found[PRINTED_MF])}, a difference of {test.difference} (p = "
            f"{test.p_value:.3f}) on the random splits and of {after:+.4f} ({low:+.4f} to "
            f"{high:+.4f}) on the seq-aware split{around}. The chapter itself compares 0.901 with "
            "about 1.05."
        )
    if TUNED_MF in found:
        told.append(
            "Tuned on validation ratings, that matrix factorization has "
            f"{interval(found[TUNED_MF])}; the difference of the chapter's AutoRec, which is not "
            f"tuned, is {less(own, found[TUNED_MF])}."
        )
    better, close, worse = (
        "Significantly better than the chapter's AutoRec",
        "No significant difference",
        "Significantly worse",
    )
    sides: dict[str, list[str]] = {better: [], close: [], worse: []}
    for name, p_value in _corrected(found).items():
        mean = found[name].mean()
        side = better if mean < own.mean() else worse
        sides[side if p_value < LEVEL else close].append(f"{name} {mean:.4f}")
    told += [f"{side}: {'; '.join(names)}." for side, names in sides.items() if names]
    if BEST in found:
        told.append(
            f"{BEST} has {interval(found[BEST])}. Its recipes come from a longer search than the "
            "five settings of every tuned model, and that search used ratings that are tested "
            "here (see the experiment best)."
        )
    return told


def figure(runs: pd.DataFrame, resampled: pd.DataFrame) -> Figure:
    """Draw all models with their intervals on the random splits, and on the seq-aware split."""
    half = resampled.set_index("model").eval("(high - low) / 2")
    found, later = _scores(runs, RANDOM), _scores(runs, SEQ_AWARE)
    names = [name for name in found if name != "global mean"]  # it is off the scale
    drawn, panels = plots.frame(0.3 * len(names) + 1.7, 2, sharey=True)
    colors = [plots.AUTOREC if name.startswith("AutoRec") else plots.OTHER for name in names]
    count = len(next(iter(found.values())))
    titles = (f"{count} random splits", "seq-aware split")
    values = (
        [interval(found[name]) for name in names],
        [Interval(float(later[name][0]), math.nan, float(half[name]), 1) for name in names],
    )
    for axes, scores, shown, title in zip(panels, (found, later), values, titles):
        plots.intervals(axes, names, shown, colors)
        axes.set(title=title, xlabel="test RMSE")
        own = scores[CHAPTER_AUTOREC].mean()
        axes.axvline(own, color=plots.AUTOREC, lw=1, label=CHAPTER_AUTOREC)
    plots.book_line(panels[0])
    plots.keys(panels[0], {"an AutoRec": plots.AUTOREC, "another model": plots.OTHER})
    plots.legend(drawn, panels[0], 4)
    return drawn
