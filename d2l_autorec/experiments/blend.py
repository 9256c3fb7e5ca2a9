"""Several AutoRecs as one model: weights chosen on validation ratings, then all ratings used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from d2l_autorec.experiments.fitting import Fitted, Model, Predict, Recipe, fit_autorec

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.split import Rows


@dataclass(frozen=True)
class Member:
    """A recipe fitted with one or more seeds, twice each.

    Attributes
    ----------
    beside : tuple of Fitted
        Trained beside the validation ratings, which choose the epoch.
    whole : tuple of Fitted
        Trained anew up to that epoch on these ratings as well.
    """

    beside: tuple[Fitted, ...]
    whole: tuple[Fitted, ...]


def mean_prediction(fits: Sequence[Fitted], users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Average the predictions of some fits, each clipped as its recipe says."""
    return np.mean([fitted.predict(users, items) for fitted in fits], axis=0)


def fit_member(
    recipe: Recipe,
    table: pd.DataFrame,
    shape: tuple[int, int],
    split: tuple[Rows, Rows],
    seeds: Sequence[int],
) -> Member:
    """Fit a recipe beside validation ratings and on all.

    Parameters
    ----------
    recipe : Recipe
    table : pandas.DataFrame
        The training ratings.
    shape : (int, int)
        Users and items.
    split : (numpy.ndarray, numpy.ndarray)
        Rows of the table: to train on, and for validation.
    seeds : sequence of int
        A fit of each kind for each.
    """
    from d2l_autorec.data.matrices import interaction_csr

    kept, held_out = (interaction_csr(table, *shape, rows=rows) for rows in split)
    everything = interaction_csr(table, *shape)
    beside = [fit_autorec(kept, recipe, seed, held_out) for seed in seeds]
    whole = [
        fit_autorec(everything, recipe, seed, stop=fitted.epoch)
        for seed, fitted in zip(seeds, beside)
    ]
    return Member(tuple(beside), tuple(whole))


def blend_weights(predictions: Sequence[np.ndarray], ratings: np.ndarray) -> np.ndarray:
    """Weights of least squares, none below zero.

    Their sum is free: an average of models varies less than the ratings' own means do.

    Parameters
    ----------
    predictions : sequence of numpy.ndarray
        One of each model, for the validation ratings.
    ratings : numpy.ndarray
        These ratings.
    """
    from scipy.optimize import nnls

    return nnls(np.stack(predictions, axis=1), np.asarray(ratings, float))[0]


def blend_model(
    recipes: Sequence[Recipe],
    num_seeds: int = 1,
    val_ratio: float = 0.1,
    clip: tuple[float, float] | None = None,
) -> Model:
    """Make a model of several recipes, for a comparison.

    Parameters
    ----------
    recipes : sequence of Recipe
    num_seeds : int
        Fits of each recipe, averaged before they are weighed.
    val_ratio : float
        Share of the training ratings that choose epochs and weights.
    clip : (float, float), optional
        Range of the predictions.

    Returns
    -------
    callable
        ``fit(table, (num_users, num_items), seed) -> predict(users, items)``
    """

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        from d2l_autorec.data.split import holdout_split

        split = holdout_split(len(table), val_ratio, seed)
        seeds = member_seeds(seed, num_seeds)
        members = [fit_member(recipe, table, shape, split, seeds) for recipe in recipes]
        asked = table.iloc[split[1]]
        pairs = asked["user"].to_numpy(), asked["item"].to_numpy()
        guesses = [mean_prediction(member.beside, *pairs) for member in members]
        weights = blend_weights(guesses, asked["rating"].to_numpy())

        def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
            parts = [mean_prediction(member.whole, users, items) for member in members]
            stars = weights @ np.stack(parts)
            return stars if clip is None else stars.clip(*clip)

        return predict

    return fit


def member_seeds(seed: int, num_seeds: int) -> list[int]:
    """Return seeds that no other split uses, while there are fewer than 1000 splits."""
    return [seed + 1000 * i for i in range(num_seeds)]
