"""All models on the splits that MovieLens 100K comes with, beside published results.

``u1`` to ``u5`` are five disjoint test sets of a fifth each, ``ua`` and ``ub`` have ten ratings of
each user. The literature reports ``u1``. The settings of the models are fixed beforehand: no test
rating of these splits has a part in a run. Where the recipes come from a search over other splits
of the same ratings, the tables say so, and the same model stands beside it with the recipes
searched inside the training part (`d2l_autorec.experiments.nested`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2l_autorec.data.protocols import CANONICAL
from d2l_autorec.experiments.canonical_tables import (
    LIBRARIES,
    OTHERS,
    answer,
    beside_published,
    figure,
    summary,
)
from d2l_autorec.experiments.compare import run_one
from d2l_autorec.experiments.contenders import (
    BEST,
    CHAPTER_AUTOREC,
    CONTENDERS,
    MORE,
    SINGLE,
    lacking,
)
from d2l_autorec.experiments.nested import NOTE, search_inside
from d2l_autorec.experiments.runner import are_stored, first_jobs, run_jobs
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings

MODELS = ("global mean", "user and item bias", CHAPTER_AUTOREC, SINGLE, *LIBRARIES, BEST)
QUICK = MODELS[:2]
SEARCHED = ("u1",)


def canonical(
    folder: Path,
    ratings: Ratings,
    splits: Sequence[str] = CANONICAL,
    names: Sequence[str] | None = None,
    blends: int | None = None,
    quiet: bool = False,
    quick: bool = False,
) -> list[str]:
    """Fit the models on the training part of each split and score them on its test part.

    Parameters
    ----------
    folder : Path
        For the results. Runs that are stored there are not repeated.
    ratings : Ratings
        MovieLens 100K.
    splits : sequence of str
        Of `d2l_autorec.data.protocols.CANONICAL`, ``u1`` among them.
    names : sequence of str, optional
        Of `MODELS`. All by default, and the recipes that are searched inside the training part. A
        model whose library is not installed is skipped, unless all of its runs are stored.
    blends : int, optional
        The first of the splits, beside those that are stored, on which `BEST` is run; all by
        default.
    quiet, quick
        As for `d2l_autorec.experiments.study.study`.

    Returns
    -------
    list of str
        The answer. It names the models that were skipped.
    """
    count = len(splits) if blends is None else min(blends, len(splits))
    command = f"d2l-autorec canonical {'--quick' if quick else f'--blends {count}'}"
    asked = {name: {**CONTENDERS, **MORE}[name] for name in names or MODELS}
    jobs = {name: _jobs(name, splits) for name in asked}
    if BEST in jobs:
        jobs[BEST] = first_jobs(jobs[BEST], count, folder, ratings.digest)
    missing = lacking(asked)
    skipped = [name for name in missing if not are_stored(folder, jobs[name], ratings.digest)]
    refuse_to_shrink(folder, command)
    go = partial(run_jobs, data_digest=ratings.digest, quiet=quiet)
    runs = go(
        folder,
        partial(run_one, ratings),
        [job for name in asked if name not in skipped for job in jobs[name]],
        label="canonical",
    )
    inside = go(
        folder / "nested",
        partial(search_inside, ratings, others=[name for name in OTHERS if name not in missing]),
        [{"split": split, "seed": 0} for split in SEARCHED] if names is None else [],
        label="canonical: search",
    )
    told = answer(runs, inside)
    if skipped:
        told.append(f"Skipped because the library is not installed: {', '.join(skipped)}.")
    return save_results(
        folder,
        command,
        "How good are the models on the splits that the literature uses, beside what it reports?",
        told,
        {
            "data": ratings.name,
            "splits": "u1 to u5, ua and ub of MovieLens 100K; seed 0",
            "score": "pooled RMSE of predictions clipped to 1..5",
            "settings": "every model's own defaults, and the recipes best and blend",
            "search": NOTE,
            "published": "the figures that the named pages and papers print; not run here",
        },
        {
            "u1": beside_published(runs, inside),
            "summary": summary(runs, inside),
        },
        {"u1": figure(runs, inside)},
    )


def _jobs(name: str, splits: Sequence[str]) -> list[dict[str, Any]]:
    """Return the jobs of `compare.run_one` for one model."""
    return [{"split": split, "seed": 0, "model": name, "setting": "{}"} for split in splits]
