"""The paper's protocol and objective, and its results beside ours.

Ratings are split 90/10 at random, with exact shares, five times. A tenth of the training ratings
chooses λ. Then the network is trained on all of them for a fixed number of epochs. Predictions are
clipped to 1..5, and users and items without training ratings are predicted as 3.
Sedhain, Menon, Sanner and Xie, "AutoRec: Autoencoders Meet Collaborative Filtering" (2015).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2l_autorec.experiments import paper_variants as variants
from d2l_autorec.experiments.contenders import CONTENDERS, lacking
from d2l_autorec.experiments.paper_runs import load, other, reach, run_one, stack, try_one
from d2l_autorec.experiments.paper_tables import answer, figures, tables
from d2l_autorec.experiments.paper_variants import NUM_LARGE, Variant
from d2l_autorec.experiments.runner import first_jobs, run_jobs
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings

ML1M = (1_000_209, 6040, 3706)  # ratings, users, items


def paper(
    folder: Path,
    data: Path | None = None,
    num_splits: int = variants.NUM_SPLITS,
    quiet: bool = False,
    processes: int | None = None,
    quick: bool = False,
    slow_splits: int | None = None,
) -> pd.DataFrame:
    """Follow the paper's protocol on MovieLens 100K, and answer its questions on other data.

    Parameters
    ----------
    folder : Path
        Folder of the results. Runs that are stored there are not repeated.
    data : Path, optional
        Ratings such as ``ml-1m.zip`` or a CSV file. Without it only the protocol is followed, on
        MovieLens 100K.
    num_splits : int
    quiet : bool
    processes : int, optional
        One for each core by default.
    quick : bool
        A smoke run, which draws no conclusion.
    slow_splits : int, optional
        The first of the splits, beside those that are stored, on which the pre-trained network and
        other libraries' models are run; all by default. A library that is not installed is left
        out, but for stored runs.

    Returns
    -------
    pandas.DataFrame
        A row for each data set and kind of AutoRec.

    Raises
    ------
    InputError
        If the data cannot be read.
    """
    command = f"d2l-autorec paper{f' --data {data.name}' if data else ''} "
    slow = num_splits if slow_splits is None else min(slow_splits, num_splits)
    command += "--quick" if quick else f"--splits {num_splits} --slow-splits {slow}"
    stop = 1 if quick else None
    refuse_to_shrink(folder, command)
    sets = [None] if data is None else [None, data]
    loaded = {path: load(path) for path in sets}  # bad data is refused before work starts
    measured: dict[str, dict[str, pd.DataFrame]] = {}
    for path, ratings in loaded.items():
        name = data_name(ratings)
        go = partial(
            run_jobs,
            data_digest=ratings.digest,
            label=f"paper: {name}",
            quiet=quiet,
            processes=processes,
        )
        place = folder / ("ml-100k" if path is None else "named")
        large = len(ratings.table) >= NUM_LARGE
        asked = [*(variants.LARGE if large else variants.SMALL)]
        if path is not None:
            asked += variants.QUESTIONS
        work = partial(run_one, path, stop=stop)
        fewer = partial(first_jobs, count=slow, folder=place, data_digest=ratings.digest)
        found = {"protocol": _tuned(go, place, work, asked, num_splits, fewer)}
        if path is not None:
            tried = [{"recipe": recipe} for recipe in variants.TRIED]
            found["tried"] = go(place / "tried", partial(try_one, path, stop=stop), tried)
            splits = [{"split": split} for split in range(num_splits)]
            found["reach"] = go(place / "reach", partial(reach, path, stop=stop), splits)
            found["stack"] = go(place / "stack", partial(stack, path, stop=stop), splits)
            missing = lacking({name: CONTENDERS[name] for name in variants.OTHERS})
            found["others"] = go(
                place / "others",
                partial(other, path),
                [
                    job
                    for model in variants.OTHERS
                    for job in first_jobs(
                        [{"model": model, **split} for split in splits],
                        0 if model in missing else slow,
                        place / "others",
                        ratings.digest,
                    )
                ],
            )
        measured[name] = found
    shown = tables(measured)
    save_results(
        folder,
        command,
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


def _tuned(
    go: Callable[..., pd.DataFrame],
    place: Path,
    work: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    asked: Sequence[Variant],
    num_splits: int,
    fewer: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
) -> pd.DataFrame:
    """Choose λ on validation ratings, then score on test ratings."""
    trials = [
        _job(variant, "validation", lam, split)
        for variant in asked
        for split in range(num_splits if variant.own else 1)
        for lam in variant.lams
    ]
    tuned = go(place, work, trials)
    finals = []
    for variant in asked:
        own = tuned[(tuned["part"] == variant.part) & (tuned["variant"] == variant.name)]
        jobs = []
        for split in range(num_splits):
            choices = own[own["split"] == (split if variant.own else 0)]
            lam = float(choices.loc[choices["rmse"].idxmin(), "lam"])
            jobs.append(_job(variant, "test", lam, split))
        finals += fewer(jobs) if variant.pretrained else jobs
    go(place, work, finals)
    return go(place, work, [*trials, *finals])


def _job(variant: Variant, scored_on: str, lam: float, split: int) -> dict[str, Any]:
    return {
        "part": variant.part,
        "variant": variant.name,
        "scored_on": scored_on,
        "lam": lam,
        "split": split,
    }
