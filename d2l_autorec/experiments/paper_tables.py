"""Tables, figures and sentences of the paper's questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from d2l_autorec.experiments.paper_variants import ACTIVATIONS, DEPTH, HIDDEN, REACH, TRIED
from d2l_autorec.experiments.plots import tidy
from d2l_autorec.experiments.stats import interval, paired

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    Measured = Mapping[str, Mapping[str, pd.DataFrame]]

ML1M = "MovieLens 1M"
PRINTED = {"I-AutoRec": 0.831, "U-AutoRec": 0.874}
PRINTED_ACTIVATIONS = dict(zip(ACTIVATIONS, (0.872, 0.852, 0.831, 0.836)))
PRINTED_DEEP = 0.827
GLOCAL_K = 0.8227  # Han et al. (2021), the same data and protocol


def _final(measured: Mapping[str, pd.DataFrame], part: str, name: str) -> pd.DataFrame:
    runs = measured["protocol"]
    chosen = (runs["part"] == part) & (runs["variant"] == name) & (runs["scored_on"] == "test")
    return runs[chosen].sort_values("split")


def _lams(runs: pd.DataFrame) -> str:
    return ", ".join(f"{lam:g}" for lam in sorted(set(runs["lam"])))


def _named(measured: Measured) -> tuple[str, Mapping[str, pd.DataFrame]] | None:
    """Return the data that was asked everything."""
    return next(((name, found) for name, found in measured.items() if "reach" in found), None)


def tables(measured: Measured) -> dict[str, pd.DataFrame]:
    """Make the tables from what was measured, by data and then by ``protocol`` and the like."""
    import pandas as pd

    rows = []
    for name, found in measured.items():
        for kind in PRINTED:
            runs = _final(found, "protocol", kind)
            printed = f"{PRINTED[kind]}" if ML1M in name else ""
            rows.append((name, kind, str(interval(runs["rmse"])), printed, _lams(runs)))
    columns = ["data", "model", "test RMSE", "the paper", "λ chosen"]
    made = {"summary": pd.DataFrame(rows, columns=columns)}
    named = _named(measured)
    if named is None:
        return made
    name, found = named
    in_paper = ML1M in name

    def row(part: str, key: str, printed: float | None) -> tuple[str, str, str, str]:
        runs = _final(found, part, key)
        said = f"{printed}" if printed and in_paper else ""
        return key, str(interval(runs["rmse"])), said, _lams(runs)

    rest = ["test RMSE", "the paper", "λ chosen on the first split"]
    made["activations"] = pd.DataFrame(
        [row("activations", *pair) for pair in PRINTED_ACTIVATIONS.items()],
        columns=["activations", *rest],
    )
    sizes = [row("hidden", str(size), None) for size in HIDDEN]
    own = _final(found, "protocol", "I-AutoRec")
    sizes.append(("500, λ of each split's own", str(interval(own["rmse"])), "", _lams(own)))
    made["hidden"] = pd.DataFrame(sizes, columns=["hidden units", *rest]).drop(columns="the paper")
    made["depth"] = pd.DataFrame(
        [row("depth", key, PRINTED_DEEP if key == "500, 100, 500" else None) for key in DEPTH],
        columns=["hidden layers", *rest],
    )
    reach = found["reach"]
    made["reach"] = pd.DataFrame(
        [
            *(
                (key, str(interval(reach[key])), str(interval(reach[f"weight: {key}"])))
                for key in REACH
            ),
            ("blend of these", str(interval(reach["blend"])), ""),
        ],
        columns=["I-AutoRec with, or", "test RMSE", "weight in the blend"],
    )
    tried = found["tried"].set_index("recipe").loc[list(TRIED)].reset_index()
    made["tried"] = (
        tried[["recipe", "rmse", "epoch"]]
        .round(4)
        .rename(columns={"recipe": "tried on the first split", "rmse": "validation RMSE"})
    )
    return made


def answer(measured: Measured) -> list[str]:
    """Say what came out."""
    told = []
    for name, found in measured.items():
        both = [f"{kind} {interval(_final(found, 'protocol', kind)['rmse'])}" for kind in PRINTED]
        said = " (the paper: 0.831 and 0.874)" if ML1M in name else ""
        told.append(f"{name}: {' and '.join(both)}{said}.")
    named = _named(measured)
    if named is None:
        return told
    name, found = named
    pairs = {key: interval(_final(found, "activations", key)["rmse"]).mean for key in ACTIVATIONS}
    order = sorted(pairs, key=lambda key: pairs[key])
    told.append("From best to worst: " + "; ".join(f"{k} ({pairs[k]:.4f})" for k in order) + ".")
    deep = [f"{key}: {interval(_final(found, 'depth', key)['rmse'])}" for key in DEPTH]
    told.append(
        f"Deeper, and not pre-trained layer by layer as in the paper (500, 100, 500: "
        f"{PRINTED_DEEP}): {'; '.join(deep)}."
    )
    reach = found["reach"]
    alone = min(REACH, key=lambda key: reach[key].mean())
    gain = paired(reach["blend"], reach[alone]).difference
    told.append(
        f"Further: the best alone ({alone}) gets {interval(reach[alone])}, a blend of "
        f"{len(REACH)} {interval(reach['blend'])}: a difference of {gain} (GLocal-K on MovieLens "
        f"1M: {GLOCAL_K})."
    )
    return told


def figures(measured: Measured) -> dict[str, Figure]:
    """Draw the curve over hidden units and the activations."""
    from matplotlib.figure import Figure

    named = _named(measured)
    if named is None:
        return {}
    name, found = named
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    curve = [interval(_final(found, "hidden", str(size))["rmse"]) for size in HIDDEN]
    curve.append(interval(_final(found, "protocol", "I-AutoRec")["rmse"]))
    axes.errorbar(
        [*HIDDEN, 500], [i.mean for i in curve], [_half(i.half_width) for i in curve],
        marker="o", capsize=3, label="measured",
    )  # fmt: skip
    if ML1M in name:
        axes.plot([500], [PRINTED["I-AutoRec"]], "k*", ms=10, label="the paper: 0.831")
    axes.set(xlabel="hidden units", ylabel=f"test RMSE, {name}", title="I-AutoRec")
    axes.legend(frameon=False)
    tidy(axes)
    pairs = Figure(figsize=(6.4, 3), layout="constrained")
    axes = pairs.subplots()
    for place, key in enumerate(ACTIVATIONS):
        i = interval(_final(found, "activations", key)["rmse"])
        axes.errorbar(
            i.mean, place, xerr=_half(i.half_width), fmt="o", color="tab:blue", capsize=3,
            label="measured" if not place else None,
        )  # fmt: skip
        if ML1M in name:
            label = "the paper" if not place else None
            axes.plot(PRINTED_ACTIVATIONS[key], place, "k*", ms=9, label=label)
    axes.set_yticks(range(len(ACTIVATIONS)), list(ACTIVATIONS))
    axes.set(xlabel=f"test RMSE, {name}", title="Output f and hidden layer g")
    axes.margins(y=0.15)
    axes.invert_yaxis()
    axes.legend(frameon=False)
    tidy(axes)
    return {"hidden": figure, "activations": pairs}


def _half(width: float) -> float:
    return 0.0 if width != width else width  # nan: a single run has no interval
