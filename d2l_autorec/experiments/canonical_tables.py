"""The tables, sentences and figure of the experiment ``canonical``."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from d2l_autorec import plots
from d2l_autorec.data.protocols import CANONICAL
from d2l_autorec.experiments.contenders import BEST, CHAPTER_AUTOREC, SINGLE
from d2l_autorec.experiments.experiment import frame
from d2l_autorec.experiments.nested import INSIDE, NOTE, WITH_OTHERS
from d2l_autorec.experiments.stats import interval, less

FOLDS = CANONICAL[:5]
LIBRARIES = ("cmfrec, biased MF", "Surprise SVD", "myFM", "myFM, SVD++ features")

SINGLE_INSIDE = f"AutoRec, single, {INSIDE}"
BLEND_INSIDE = f"AutoRec, blend, {INSIDE}"
OTHERS = ("myFM, SVD++ features",)
WITH_MYFM = "AutoRecs and myFM, SVD++ features, blend, searched inside"

_DEFAULTS = "fixed beforehand: the library's defaults"
_EARLIER = "recipes: a search that saw ratings tested here"
CHOSEN = {
    "global mean": "nothing to choose",
    "user and item bias": "fixed beforehand: Surprise's shrinkage",
    CHAPTER_AUTOREC: "fixed beforehand: the book's settings",
    **dict.fromkeys(LIBRARIES, _DEFAULTS),
    SINGLE: f"epoch: validation; {_EARLIER}",
    BEST: f"epochs and weights: validation; {_EARLIER}",
    SINGLE_INSIDE: "recipe and epoch: validation",
    BLEND_INSIDE: "weights and epochs: validation",
    WITH_MYFM: "weights and epochs: validation",
}
"""How each model that is run here was chosen. Validation ratings are of the training part."""

MEASURED = {
    SINGLE_INSIDE: f"single, {INSIDE}",
    BLEND_INSIDE: f"blend, {INSIDE}",
    WITH_MYFM: f"blend, {WITH_OTHERS}",
}
"""The models that `nested.search_inside` measures, and where."""

UNKNOWN = "not checked here"
_LAST = f"epoch: the last, says its code; settings: {UNKNOWN}"
_TUTORIAL = "fixed beforehand: its tutorial's settings"


class Published(NamedTuple):
    """A published test RMSE on ``u1``, as printed.

    ``side`` is what the model reads beside the ratings, and ``chosen`` how settings and epoch were
    chosen, where the source or its code says.
    """

    model: str
    rmse: str
    side: str
    chosen: str
    source: str


PRINTED = (
    Published("GC-MC", "0.910", "", UNKNOWN, "van den Berg et al. 2017"),
    Published("GC-MC", "0.905", "users' and films' features", UNKNOWN, "van den Berg et al. 2017"),
    Published("IGMC", "0.905", "", _LAST, "Zhang, Chen 2020"),
    Published(
        "GLocal-K", "0.8889", "", "epoch: the best on test, says its code", "Han et al. 2021"
    ),
    Published("GHRS", "0.887", "users' features", UNKNOWN, "Darban, Valipour 2022"),
    Published("myFM, flipped timeSVD++", "0.889", "dates", _TUTORIAL, "myFM's documentation"),
    Published(
        "myFM, ordered probit",
        "0.8808",
        "dates, users' and films' features",
        "fixed beforehand: its example's settings",
        "myFM's example ml-100k-extended",
    ),
)
"""What others report on ``u1``."""


def _scores(runs: pd.DataFrame, inside: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the test RMSE of each model by split, the best on ``u1`` first."""
    found = {
        str(model): dict(zip(part["split"], part["test_rmse"]))
        for model, part in runs.groupby("model", sort=False)
    }
    for name, measure in MEASURED.items():
        if measure in inside:
            found[name] = dict(zip(inside["split"], inside[measure]))
    return dict(sorted(found.items(), key=lambda pair: pair[1]["u1"]))


def beside_published(runs: pd.DataFrame, inside: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each model and each published figure on ``u1``, the lowest first."""
    rows = [
        (name, f"{scores['u1']:.4f}", "", CHOSEN[name], "run here")
        for name, scores in _scores(runs, inside).items()
    ]
    rows += PRINTED
    columns = ["model", "test RMSE on u1", "reads also", "how was it chosen", "source"]
    return frame(columns, sorted(rows, key=lambda row: float(row[1])))


def summary(runs: pd.DataFrame, inside: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each model that was run, with all its splits, the best on ``u1`` first."""
    rows = []
    for name, scores in _scores(runs, inside).items():
        row = {"model": name, **{split: f"{rmse:.4f}" for split, rmse in scores.items()}}
        if set(FOLDS) <= set(scores):
            row["u1 to u5"] = str(interval([scores[fold] for fold in FOLDS]))
        rows.append(row)
    splits = [split for split in CANONICAL if any(split in r for r in rows)]
    return pd.DataFrame(rows, columns=["model", *splits, "u1 to u5"])


def answer(runs: pd.DataFrame, inside: pd.DataFrame) -> list[str]:
    """Say what the models reach on ``u1``, what is published, and what the folds say."""
    scores = _scores(runs, inside)
    if not {CHAPTER_AUTOREC, BEST, BLEND_INSIDE} <= set(scores):
        return []
    on_u1 = {name: found["u1"] for name, found in scores.items()}
    more = f", with myFM as one member more {on_u1[WITH_MYFM]:.4f}" if WITH_MYFM in on_u1 else ""
    told = [
        f"On u1 the chapter's AutoRec has a test RMSE of {on_u1[CHAPTER_AUTOREC]:.4f}, the best "
        f"single recipe {on_u1[SINGLE]:.4f} and the blend {on_u1[BEST]:.4f}. With the recipes "
        f"searched inside the training part a single AutoRec has {on_u1[SINGLE_INSIDE]:.4f} and a "
        f"blend {on_u1[BLEND_INSIDE]:.4f}{more}."
    ]
    lowest = min(PRINTED, key=lambda one: float(one.rmse))
    plain = min((one for one in PRINTED if not one.side), key=lambda one: float(one.rmse))
    reached = min(on_u1.values()) <= float(lowest.rmse)
    told.append(
        f"The lowest published figure on u1 is {lowest.rmse} ({lowest.model}, which also reads "
        f"{lowest.side}), {'' if reached else 'not '}reached here; from the ratings alone it is "
        f"{plain.rmse} ({plain.model}; {plain.chosen})."
    )
    if set(FOLDS) <= set(scores[BEST]):
        own, chapter = ([scores[name][fold] for fold in FOLDS] for name in (BEST, CHAPTER_AUTOREC))
        told.append(
            f"Over u1 to u5 the blend has {interval(own)} and the chapter's AutoRec "
            f"{interval(chapter)}, a difference of {less(own, chapter)}."
        )
    return [*told, NOTE]


def figure(runs: pd.DataFrame, inside: pd.DataFrame) -> Figure:
    """Draw what was measured and what is published on ``u1``."""
    table = beside_published(runs, inside)
    table = table[table["model"] != "global mean"]  # it is off the scale
    names = [" + ".join(filter(None, pair)) for pair in zip(table["model"], table["reads also"])]
    colors = (
        table["model"].str.startswith("AutoRec").map({True: plots.AUTOREC, False: plots.OTHER})
    )
    colors = colors.where(table["source"] == "run here", plots.PRINTED).tolist()
    drawn, (axes,) = plots.frame(0.34 * len(names) + 1.4)
    values = [interval([float(rmse)]) for rmse in table["test RMSE on u1"]]
    plots.intervals(axes, names, values, colors, ".4f")
    axes.set(xlabel="test RMSE on u1")
    for label, color in (
        ("an AutoRec, run here", plots.AUTOREC),
        ("another model, run here", plots.OTHER),
        ("published", plots.PRINTED),
    ):
        axes.plot([], [], "o", ms=5, color=color, label=label)
    plots.legend(drawn, axes, 3)
    return drawn
