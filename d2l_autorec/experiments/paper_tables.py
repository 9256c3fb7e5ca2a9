"""The tables, figures and sentences of the experiment ``paper``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from d2l_autorec import plots
from d2l_autorec.experiments.experiment import frame
from d2l_autorec.experiments.paper_variants import (
    ACTIVATIONS,
    DEPTH,
    HIDDEN,
    OTHERS,
    PRETRAINED,
    REACH,
    STACKED,
    TRIED,
)
from d2l_autorec.experiments.stats import Interval, interval, less

Measured = Mapping[str, Mapping[str, pd.DataFrame]]

ML1M = "MovieLens 1M"
PRINTED = {"I-AutoRec": 0.831, "U-AutoRec": 0.874}
PRINTED_ACTIVATIONS = dict(zip(ACTIVATIONS, (0.872, 0.852, 0.831, 0.836)))
PRINTED_DEEP = 0.827
STACK = f"stack of {len(STACKED)}"
MARK = 0.8140  # test RMSE to reach on MovieLens 1M
GLOCAL_K = 0.8227  # Han et al. (2021), the same data and protocol


def _final(measured: Mapping[str, pd.DataFrame], part: str, name: str) -> pd.DataFrame:
    runs = measured["protocol"]
    chosen = (runs["part"] == part) & (runs["variant"] == name) & (runs["scored_on"] == "test")
    return runs[chosen].sort_values("split")


def _lams(runs: pd.DataFrame) -> str:
    return ", ".join(f"{lam:g}" for lam in sorted(set(runs["lam"])))


def _named(measured: Measured) -> tuple[str, Mapping[str, pd.DataFrame]] | None:
    """Return the data set for which all questions were asked."""
    return next(((name, found) for name, found in measured.items() if "reach" in found), None)


def tables(measured: Measured) -> dict[str, pd.DataFrame]:
    """Return the tables. `measured` is by data set, then ``protocol``, ``tried`` or ``reach``."""
    rows = []
    for name, found in measured.items():
        for kind in PRINTED:
            runs = _final(found, "protocol", kind)
            printed = f"{PRINTED[kind]}" if ML1M in name else ""
            rows.append((name, kind, interval(runs["rmse"]), printed, _lams(runs)))
    made = {"summary": frame(["data", "model", "test RMSE", "the paper", "λ chosen"], rows)}
    named = _named(measured)
    if named is None:
        return made
    name, found = named

    def row(part: str, key: str, printed: float | None = None) -> tuple[Any, ...]:
        runs = _final(found, part, key)
        said = f"{printed}" if printed and ML1M in name else ""
        return key, interval(runs["rmse"]), said, _lams(runs)

    rest = ["test RMSE", "the paper", "λ chosen on the first split"]
    pairs = [row("activations", *pair) for pair in PRINTED_ACTIVATIONS.items()]
    made["activations"] = frame(["activations", *rest], pairs)
    sizes = [row("hidden", str(size)) for size in HIDDEN]
    sizes.append(("500, λ of each split's own", *row("protocol", "I-AutoRec")[1:]))
    made["hidden"] = frame(["hidden units", *rest], sizes).drop(columns="the paper")
    deep = [*(row("depth", key) for key in DEPTH), row("depth", PRETRAINED.name, PRINTED_DEEP)]
    made["depth"] = frame(["hidden layers", *rest], deep)
    reach = found["reach"]
    made["reach"] = frame(
        ["I-AutoRec with, or", "test RMSE", "weight in the blend"],
        [
            *((key, interval(reach[key]), interval(reach[f"weight: {key}"])) for key in REACH),
            ("blend of these", interval(reach["blend"]), ""),
            (STACK, interval(found["stack"]["stack"]), ""),
        ],
    )
    if len(found["others"]):
        made["others"] = frame(
            ["other models", "test RMSE", "the stack less this model"],
            [(name, interval(own["rmse"]), gain) for name, own, gain in _others(found)],
        )
    tried = found["tried"].set_index("recipe").loc[list(TRIED), ["rmse", "epoch"]].round(4)
    made["tried"] = tried.reset_index().rename(
        columns={"recipe": "tried on the first split", "rmse": "validation RMSE"}
    )
    return made


def answer(measured: Measured) -> list[str]:
    """Return the answer."""
    told = []
    for name, found in reversed(list(measured.items())):
        both = [f"{kind} {interval(_final(found, 'protocol', kind)['rmse'])}" for kind in PRINTED]
        said = " (the paper: 0.831 and 0.874)" if ML1M in name else ""
        told.append(f"{name}: {' and '.join(both)}{said}.")
    named = _named(measured)
    if named is None:
        return told
    name, found = named
    pairs = {key: interval(_final(found, "activations", key)["rmse"]).mean for key in ACTIVATIONS}
    order = sorted(pairs, key=lambda key: pairs[key])
    told.append(
        "Activations from best to worst (f: output, g: hidden layer): "
        + "; ".join(f"{k} ({pairs[k]:.4f})" for k in order)
        + "."
    )
    deep = {key: _final(found, "depth", key)["rmse"] for key in (*DEPTH, PRETRAINED.name)}
    shown = "; ".join(f"{key}: {interval(deep[key])}" for key in DEPTH)
    layered, flat = deep[PRETRAINED.name], _final(found, "protocol", "I-AutoRec")["rmse"]
    told.append(
        f"Deeper networks without layer-wise pre-training: {shown}. With the paper's greedy "
        f"pre-training 500, 100, 500 has {interval(layered)}, less than I-AutoRec with one hidden "
        f"layer by {less(flat[: len(layered)], layered)}."
        + (_verdict(layered, PRINTED_DEEP, "The paper's figure") if ML1M in name else "")
    )
    reach, stack = found["reach"], found["stack"]["stack"]
    alone = min(REACH, key=lambda key: reach[key].mean())
    gain = less(reach["blend"], reach[alone])
    told.append(
        f"Beyond the paper: the best single network ({alone}) has {interval(reach[alone])}, a "
        f"blend of {len(REACH)} {interval(reach['blend'])}, a difference of {gain}. GLocal-K, "
        f"which chooses its epoch on test ratings, reports {GLOCAL_K} on MovieLens 1M."
    )
    fixed = found["stack"]["fixed weights"]
    told.append(
        f"A stack of {len(STACKED)} networks, whose weights depend on the number, mean and spread "
        f"of the user's and the item's ratings, has {interval(stack)}: less than the blend of "
        f"{len(REACH)} by {less(reach['blend'], stack)}, and less than the same "
        f"networks with fixed weights by {less(fixed, stack)}. Which networks and "
        "side values it has was chosen on validation ratings of the first split, some of which "
        "are test ratings of the others."
        + (_verdict(stack, MARK, "The mark set for it") if ML1M in name else "")
    )
    if len(found["others"]):
        told.append(
            "Without side information and dates, on the same splits: "
            + "; ".join(
                f"{name} {interval(own['rmse'])}, from which the stack differs by {gain}"
                for name, own, gain in _others(found)
            )
            + ". Below zero the stack is better."
        )
    return told


def _verdict(rmses: pd.Series, mark: float, what: str) -> str:
    """Say whether a mean RMSE is at most what was to be reached."""
    met = "met" if rmses.mean() <= mark else "missed"
    return f" {what}, {mark:.4g}, is {met}."


def _others(found: Mapping[str, pd.DataFrame]) -> list[tuple[str, pd.DataFrame, Interval]]:
    """Return each other library's model, its runs, and by how much the stack differs from it."""
    others, stack = found["others"], found["stack"].set_index("split")["stack"]
    runs = [others[others["model"] == name] for name in OTHERS]
    return [
        (name, own, less(stack[own["split"]], own["rmse"]))
        for name, own in zip(OTHERS, runs)
        if len(own)
    ]


def figures(measured: Measured) -> dict[str, Figure]:
    """Draw RMSE against hidden units, and the pairs of activations."""
    named = _named(measured)
    if named is None:
        return {}
    name, found = named
    in_paper = ML1M in name
    figure, (axes,) = plots.frame(4.2)
    values = [interval(_final(found, "hidden", str(size))["rmse"]) for size in HIDDEN]
    values.append(interval(_final(found, "protocol", "I-AutoRec")["rmse"]))
    plots.curve(axes, [*HIDDEN, 500], values, "I-AutoRec, measured")
    if in_paper:
        axes.plot([500], [PRINTED["I-AutoRec"]], "k*", ms=10, label="the paper: 0.831")
    axes.set(xlabel="hidden units", ylabel=f"test RMSE, {name}")
    plots.legend(figure, axes)
    pairs, (axes,) = plots.frame(2.8)
    values = [interval(_final(found, "activations", key)["rmse"]) for key in ACTIVATIONS]
    plots.intervals(axes, list(ACTIVATIONS), values, form=".4f")
    plots.keys(axes, {"measured": plots.OTHER})
    if in_paper:
        places = range(len(ACTIVATIONS))
        axes.plot(list(PRINTED_ACTIVATIONS.values()), places, "k*", ms=9, label="the paper")
    axes.set(xlabel=f"test RMSE, {name} (f: output, g: hidden layer)")
    plots.legend(pairs, axes)
    return {"hidden": figure, "activations": pairs}
