"""The paper's protocol and objective, and its results beside ours.

Ratings are split 90/10 at random, with exact shares, five times. A tenth of the training ratings
chooses λ. Then the network is trained on all of them for a fixed number of epochs. Predictions are
clipped to 1..5, and users and items without training ratings are predicted as 3.
Sedhain, Menon, Sanner and Xie, "AutoRec: Autoencoders Meet Collaborative Filtering" (2015).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments import paper_variants as variants
from d2l_autorec.experiments.contenders import CONTENDERS, lacking
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.experiments.paper_runs import load, other, reach, run_one, stack, try_one
from d2l_autorec.experiments.paper_tables import answer, figures, tables
from d2l_autorec.experiments.paper_variants import Variant

ML1M = (1_000_209, 6040, 3706)  # ratings, users, items


def paper(
    experiment: Experiment,
    data: Path | None = None,
    num_splits: int = variants.NUM_SPLITS,
    slow_splits: int | None = None,
) -> pd.DataFrame:
    """Follow the paper's protocol on MovieLens 100K, and answer its questions on other data.

    Parameters
    ----------
    experiment : Experiment
    data : Path, optional
        Ratings such as ``ml-1m.zip`` or a CSV file; an InputError if they cannot be read. Without
        them only the protocol is followed, on MovieLens 100K.
    num_splits : int
    slow_splits : int, optional
        The first of the splits, beside those that are stored, on which the pre-trained network and
        other libraries' models are run; all by default. A library that is not installed is left
        out, but for stored runs.
    """
    slow = num_splits if slow_splits is None else min(slow_splits, num_splits)
    named = f" --data {data.name}" if data else ""
    experiment.begin(f"paper{named}", f"--splits {num_splits} --slow-splits {slow}")
    sets = [None] if data is None else [None, data]
    loaded = {path: load(path) for path in sets}  # bad data is refused before work starts
    measured: dict[str, dict[str, pd.DataFrame]] = {}
    for path, ratings in loaded.items():
        name, place = data_name(ratings), "ml-100k" if path is None else "named"
        go = partial(experiment.run, ratings=ratings, label=name)
        first = partial(experiment.first, ratings=ratings)
        run, trying, reaching, stacking = (
            partial(work, path, stop=experiment.stop) for work in (run_one, try_one, reach, stack)
        )
        asked = variants.protocol(len(ratings.table)) + (variants.QUESTIONS if path else ())
        trials = _trials(asked, num_splits)
        finals: list[dict[str, Any]] = []
        for variant, jobs in _finals(asked, go(run, trials, place=place), num_splits):
            finals += first(jobs, slow, place=place) if variant.pretrained else jobs
        go(run, finals, place=place)
        found = {"protocol": go(run, [*trials, *finals], place=place)}
        if path is not None:
            tried = [{"recipe": recipe} for recipe in variants.TRIED]
            found["tried"] = go(trying, tried, place=f"{place}/tried")
            splits = [{"split": split} for split in range(num_splits)]
            found["reach"] = go(reaching, splits, place=f"{place}/reach")
            found["stack"] = go(stacking, splits, place=f"{place}/stack")
            missing = lacking({name: CONTENDERS[name] for name in variants.OTHERS})
            others: list[dict[str, Any]] = []
            for model in variants.OTHERS:
                jobs = [{"model": model, **split} for split in splits]
                others += first(jobs, 0 if model in missing else slow, place=f"{place}/others")
            found["others"] = go(partial(other, path), others, place=f"{place}/others")
        measured[name] = found
    shown = tables(measured)
    experiment.save(
        "Are the paper's results reached when its objective and protocol are followed?",
        answer(measured),
        {
            "data": list(measured),
            "splits": f"holdout_split(number of ratings, 0.1, seed), seeds 0 to {num_splits - 1}",
            "λ": "chosen on a tenth of the training ratings; where a table says so, on the first "
            "split for all splits",
            "recipes": {
                f"{v.part}: {v.name}": {**asdict(v.recipe), "lam": v.lams}
                for v in (*variants.SMALL, *variants.LARGE, *variants.QUESTIONS)
            },
        },
        shown,
        figures(measured),
    )
    return shown["summary"]


def data_name(ratings: Ratings) -> str:
    """Return the name of the data. MovieLens 1M in another form is recognized by its size."""
    size = len(ratings.table), ratings.num_users, ratings.num_items
    if size == ML1M and "1M" not in ratings.name:
        return "MovieLens 1M as CSV"
    return ratings.name


def _trials(asked: Sequence[Variant], num_splits: int) -> list[dict[str, Any]]:
    """Return the jobs that choose λ on validation ratings."""
    return [
        _job(variant, "validation", lam, split)
        for variant in asked
        for split in range(num_splits if variant.own else 1)
        for lam in variant.lams
    ]


def _finals(
    asked: Sequence[Variant], tuned: pd.DataFrame, num_splits: int
) -> Iterator[tuple[Variant, list[dict[str, Any]]]]:
    """Yield each variant with its jobs on test ratings, with the λ that is chosen."""
    for variant in asked:
        own = tuned[(tuned["part"] == variant.part) & (tuned["variant"] == variant.name)]
        jobs = []
        for split in range(num_splits):
            choices = own[own["split"] == (split if variant.own else 0)]
            lam = float(choices.loc[choices["rmse"].idxmin(), "lam"])
            jobs.append(_job(variant, "test", lam, split))
        yield variant, jobs


def _job(variant: Variant, scored_on: str, lam: float, split: int) -> dict[str, Any]:
    what = {"part": variant.part, "variant": variant.name, "scored_on": scored_on}
    return {**what, "lam": lam, "split": split}
