"""The models that are compared, and the settings that each is tuned over.

Every tuned model has the same budget: five settings, the first of them its default. Models that
report their epochs also choose the number of epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from d2l_autorec.experiments import baselines, libraries
from d2l_autorec.experiments.baselines import Model
from d2l_autorec.experiments.parts import Predict
from d2l_autorec.models.recipes import RECIPES

CHAPTER_AUTOREC = "AutoRec, the chapter's"
PRINTED_MF = "MF, the book's"
TUNED_MF = "MF, the book's, tuned"
BEST = "AutoRec, ours at best"
SINGLE = "AutoRec, the best single recipe"

Settings = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Contender:
    """A model to compare.

    Attributes
    ----------
    fit : callable
        A model of `d2l_autorec.experiments.baselines` that also takes a setting's values by name.
    settings : tuple of dict
        What validation chooses from; one is taken as it is.
    most_epochs : int, optional
        Where `fit` takes ``num_epochs`` and ``watch``: the number of epochs is chosen as well, up
        to this.
    package : str, optional
        The library that it needs.
    """

    fit: Callable[..., Predict]
    settings: Settings = ({},)
    most_epochs: int | None = None
    package: str | None = None

    def make(self, **values: Any) -> Model:
        """Return the model with the values of a setting."""
        return partial(self.fit, **values)


_MYFM: Settings = ({}, {"rank": 5}, {"rank": 20}, {"rank": 32}, {"rank": 10, "n_iter": 400})
_AUTOREC: Settings = (
    {},
    {"num_hidden": 200},
    {"wd": 1e-4},
    {"dropout": 0.3},
    {"dropout": 0.3, "wd": 1e-4},
)

CONTENDERS = {
    "Surprise SVD++": Contender(
        libraries.surprise_svdpp,
        (
            {},
            {"n_epochs": 30, "lr_all": 0.005, "reg_all": 0.05},
            {"n_epochs": 30, "lr_all": 0.005, "reg_all": 0.1},
            {"n_factors": 50, "n_epochs": 30, "lr_all": 0.005, "reg_all": 0.1},
            {"n_factors": 10, "n_epochs": 30, "reg_all": 0.05},
        ),
        package="surprise",
    ),
    "myFM, SVD++ features": Contender(
        partial(libraries.myfm, implicit=True), _MYFM, package="myfm"
    ),
    BEST: Contender(partial(baselines.recipe, recipe=RECIPES["blend"])),
    "myFM": Contender(libraries.myfm, _MYFM, package="myfm"),
    TUNED_MF: Contender(
        baselines.matrix_factorization,
        ({}, {"num_factors": 10}, {"wd": 1e-4}, {"wd": 1e-3}, {"num_factors": 60, "wd": 1e-4}),
        most_epochs=30,
    ),
    "AutoRec, the chapter's, tuned": Contender(baselines.autorec, _AUTOREC, most_epochs=100),
    "AutoRec, user-based, tuned": Contender(
        partial(baselines.autorec, by="user"), _AUTOREC, most_epochs=200
    ),
    "Surprise SVD": Contender(
        libraries.surprise_svd,
        (
            {},
            {"n_epochs": 40, "reg_all": 0.05},
            {"n_epochs": 40, "reg_all": 0.1},
            {"n_epochs": 80, "reg_all": 0.1},
            {"n_factors": 200, "n_epochs": 80, "reg_all": 0.1},
        ),
        package="surprise",
    ),
    "Surprise KNNBaseline": Contender(
        libraries.surprise_knn,
        (
            {},
            {"similarity": "pearson_baseline"},
            {"user_based": False},
            {"similarity": "pearson_baseline", "user_based": False},
            {"k": 80, "similarity": "pearson_baseline", "user_based": False},
        ),
        package="surprise",
    ),
    "cmfrec, biased MF": Contender(
        libraries.cmfrec_mf,
        ({}, {"lambda_": 5.0}, {"lambda_": 20.0}, {"k": 10}, {"k": 80, "lambda_": 20.0}),
        package="cmfrec",
    ),
    PRINTED_MF: Contender(baselines.matrix_factorization),
    CHAPTER_AUTOREC: Contender(baselines.autorec),
    "AutoRec, user-based": Contender(partial(baselines.autorec, by="user")),
    "user and item bias": Contender(
        baselines.biases,
        (
            {},
            {"reg_user": 10, "reg_item": 5},
            {"reg_user": 5, "reg_item": 5},
            {"reg_user": 5, "reg_item": 2},
            {"reg_user": 30, "reg_item": 10},
        ),
    ),
    "global mean": Contender(baselines.global_mean),
}
"""The slow ones first, so that no core waits at the end."""

MORE = {SINGLE: Contender(partial(baselines.recipe, recipe=RECIPES["best"]))}
"""Run on the canonical splits only: the experiment ``best`` has it on the random ones."""

QUICK = ("global mean", "user and item bias", PRINTED_MF, CHAPTER_AUTOREC)
"""Those that take a few seconds."""


def lacking(contenders: Mapping[str, Contender]) -> dict[str, str]:
    """Return the contenders that can't compete here, and the package that each lacks."""
    return {
        name: contender.package
        for name, contender in contenders.items()
        if contender.package is not None and find_spec(contender.package) is None
    }
