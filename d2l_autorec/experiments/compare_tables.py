"""Table, sentences and figure of the comparison."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.contenders import BEST, CHAPTER_AUTOREC, PRINTED_MF, TUNED_MF
from d2l_autorec.experiments.plots import tidy
from d2l_autorec.experiments.stats import interval, paired

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

RANDOM, SEQ_AWARE = "random", "seq-aware"
COLUMNS = ("model", "random RMSE", "less AutoRec", "p", "seq-aware RMSE", "unclipped", "fit, s")


def _scores(runs: pd.DataFrame, split: str, column: str = "test_rmse") -> dict[str, np.ndarray]:
    """By model, in the order of the seeds; the best mean on the random splits first."""
    parts = {
        str(name): part.sort_values("seed")[column].to_numpy()
        for name, part in runs[runs["split"] == split].groupby("model", sort=False)
    }
    if split == RANDOM and column == "test_rmse":
        return dict(sorted(parts.items(), key=lambda pair: pair[1].mean()))
    return parts


def summary(runs: pd.DataFrame, timings: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the models, the best first; differences are from the chapter's AutoRec."""
    import pandas as pd

    found, raw = _scores(runs, RANDOM), _scores(runs, RANDOM, "unclipped")
    seconds = timings.groupby("model")["seconds"].median()
    later, rows = _scores(runs, SEQ_AWARE), []
    for name, values in found.items():
        less, p = "", ""
        if name != CHAPTER_AUTOREC:
            test = paired(values, found[CHAPTER_AUTOREC])
            half = test.difference.half_width
            less, p = f"{test.difference.mean:+.4f} ± {half:.4f}", f"{test.p_value:.3f}"
        rows.append(
            (
                name, str(interval(values)), less, p, f"{later[name][0]:.4f}",
                f"{raw[name].mean():.4f}", f"{seconds[name]:.2g}",
            )
        )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def tuning(tuned: pd.DataFrame) -> pd.DataFrame:
    """Show what every tuned model could choose from, its choice first."""
    table = tuned.assign(order=tuned["model"].map({m: i for i, m in enumerate(tuned["model"])}))
    table = table.sort_values(["order", "val_rmse"], kind="stable")
    said = table["setting"].map(lambda text: _words(json.loads(text)))
    epochs = table["num_epochs"].map(lambda count: str(count) if count else "")
    return table.assign(setting=said, num_epochs=epochs, val_rmse=table["val_rmse"].round(4))[
        ["model", "setting", "num_epochs", "val_rmse"]
    ].rename(columns={"val_rmse": "validation RMSE", "num_epochs": "best epoch"})


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "its defaults"


def answer(runs: pd.DataFrame) -> list[str]:
    """Say whether the chapter's claim holds like for like, and who is ahead of whom."""
    found, later = _scores(runs, RANDOM), _scores(runs, SEQ_AWARE)
    own = found[CHAPTER_AUTOREC]
    told = []
    if PRINTED_MF in found:
        test = paired(own, found[PRINTED_MF])
        after = later[CHAPTER_AUTOREC][0] - later[PRINTED_MF][0]
        holds = test.difference.high < 0 and after < 0
        told.append(
            f"Like for like, the chapter's claim {'holds' if holds else 'does not hold'} against "
            f"the book's own matrix factorization: AutoRec {interval(own)}, matrix factorization "
            f"{interval(found[PRINTED_MF])}, a difference of {test.difference} (p = "
            f"{test.p_value:.3f}) on the random splits and of {after:+.4f} on the seq-aware one, "
            "where the chapter sets 0.901 against about 1.05."
        )
    if TUNED_MF in found:
        test = paired(own, found[TUNED_MF])
        told.append(
            "Tuned on validation ratings, that matrix factorization comes to "
            f"{interval(found[TUNED_MF])}; the chapter's AutoRec, which is not tuned, less it: "
            f"{test.difference}."
        )
    ahead: list[str] = []
    behind: list[str] = []
    close: list[str] = []
    for name, values in found.items():
        if name == CHAPTER_AUTOREC:
            continue
        difference = paired(values, own).difference
        side = ahead if difference.high < 0 else behind if difference.low > 0 else close
        side.append(f"{name} {values.mean():.4f}")
    for names, text in (
        (ahead, "Ahead of the chapter's AutoRec by more than the interval of the difference"),
        (close, "Not to be told from it"),
        (behind, "Behind it"),
    ):
        if names:
            told.append(f"{text}: {'; '.join(names)}.")
    if BEST in found:
        told.append(
            f"{BEST}: {interval(found[BEST])}; its recipes were searched for longer than the five "
            "settings that every tuned model has (see the experiment best)."
        )
    return told


def figure(runs: pd.DataFrame) -> Figure:
    """Draw all models with their intervals, the seq-aware split beside the random ones."""
    from matplotlib.figure import Figure

    found, later = _scores(runs, RANDOM), _scores(runs, SEQ_AWARE)
    names = [name for name in found if name != "global mean"]  # which is off the scale
    drawn = Figure(figsize=(9.6, 0.34 * len(names) + 1.6), layout="constrained")
    panels = drawn.subplots(1, 2, sharey=True)
    count = len(next(iter(found.values())))
    titles = (f"{count} random splits, 95% intervals", "seq-aware split")
    for axes, scores, title in zip(panels, (found, later), titles):
        for place, name in enumerate(names):
            center = interval(scores[name])
            own = name.startswith("AutoRec")
            axes.errorbar(
                center.mean, place, xerr=np.nan_to_num(center.half_width),
                fmt="o", capsize=3, color="tab:orange" if own else "tab:blue",
            )  # fmt: skip
            axes.annotate(
                f"{center.mean:.3f}", (center.mean, place), xytext=(0, 5),
                textcoords="offset points", ha="center", fontsize=8,
                bbox={"fc": "white", "lw": 0, "pad": 0.5},
            )  # fmt: skip
        axes.set(title=title, xlabel="test RMSE")
        axes.axvline(scores[CHAPTER_AUTOREC].mean(), color="tab:orange", lw=1, alpha=0.6)
        tidy(axes)
        axes.margins(x=0.08, y=0.06)
    book = CHAPTER.test_rmse
    panels[0].axvline(float(book), color="black", ls="--", lw=1, label=f"the book: {book}")
    panels[0].legend(frameon=False, loc="lower right")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    return drawn
