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
from typing import Any

from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.protocols import CANONICAL
from d2l_autorec.experiments import canonical_tables as tables
from d2l_autorec.experiments.canonical_tables import LIBRARIES, OTHERS
from d2l_autorec.experiments.compare import run_one
from d2l_autorec.experiments.contenders import (
    BEST,
    CHAPTER_AUTOREC,
    CONTENDERS,
    MORE,
    SINGLE,
    lacking,
)
from d2l_autorec.experiments.experiment import Experiment
from d2l_autorec.experiments.nested import NOTE, search_inside

MODELS = ("global mean", "user and item bias", CHAPTER_AUTOREC, SINGLE, *LIBRARIES, BEST)
QUICK = MODELS[:2]
SEARCHED = ("u1",)


def canonical(
    experiment: Experiment,
    ratings: Ratings,
    splits: Sequence[str] = CANONICAL,
    names: Sequence[str] | None = None,
    blends: int | None = None,
) -> list[str]:
    """Fit the models on the training part of each split and score them on its test part.

    Parameters
    ----------
    experiment : Experiment
    ratings : Ratings
        MovieLens 100K.
    splits : sequence of str
        Of `d2l_autorec.data.protocols.CANONICAL`, ``u1`` among them.
    names : sequence of str, optional
        Of `MODELS`. All by default, and the recipes that are searched inside the training part. A
        model whose library is not installed is skipped, unless all of its runs are stored; the
        answer names those.
    blends : int, optional
        The first of the splits, beside those that are stored, on which `BEST` is run; all by
        default.
    """
    count = len(splits) if blends is None else min(blends, len(splits))
    experiment.begin("canonical", f"--blends {count}")
    asked = {name: {**CONTENDERS, **MORE}[name] for name in names or MODELS}
    jobs: dict[str, list[dict[str, Any]]] = {
        name: [{"split": s, "seed": 0, "model": name, "setting": "{}"} for s in splits]
        for name in asked
    }
    if BEST in jobs:
        jobs[BEST] = experiment.first(jobs[BEST], count, ratings)
    missing = lacking(asked)
    skipped = [name for name in missing if not experiment.has(jobs[name], ratings)]
    wanted = [job for name in asked if name not in skipped for job in jobs[name]]
    runs = experiment.run(partial(run_one, ratings), wanted, ratings)
    others = [name for name in OTHERS if name not in missing]
    searches = [{"split": split, "seed": 0} for split in SEARCHED] if names is None else []
    search = partial(search_inside, ratings, others=others)
    inside = experiment.run(search, searches, ratings, "search", "nested")
    told = tables.answer(runs, inside)
    if skipped:
        told.append(f"Skipped because the library is not installed: {', '.join(skipped)}.")
    return experiment.save(
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
        {"u1": tables.beside_published(runs, inside), "summary": tables.summary(runs, inside)},
        {"u1": tables.figure(runs, inside)},
    )
