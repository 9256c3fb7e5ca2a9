"""Several networks as one model: weights chosen on validation ratings, then all ratings used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel

if TYPE_CHECKING:
    import pandas as pd


def mean_prediction(
    fits: Sequence[TrainedModel], users: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Average the predictions of some models, each clipped as its recipe says."""
    return np.mean([model.predict(users, items) for model in fits], axis=0)


def blend_weights(predictions: Sequence[np.ndarray], ratings: np.ndarray) -> np.ndarray:
    """Return the weights of least squares, none below zero.

    Their sum is free: an average of models varies less than the ratings' own means do. If none is
    above zero, as where all predictions have the wrong sign, the models are averaged.

    Parameters
    ----------
    predictions : sequence of numpy.ndarray
        One of each model, for the validation ratings.
    ratings : numpy.ndarray
        These ratings.
    """
    from scipy.optimize import nnls

    weights = nnls(np.stack(predictions, axis=1), np.asarray(ratings, float))[0]
    return weights if weights.any() else np.full(len(predictions), 1 / len(predictions))


def member_seeds(seed: int, num_seeds: int) -> list[int]:
    """Return seeds that no other split uses, while there are fewer than 1000 splits."""
    return [seed + 1000 * i for i in range(num_seeds)]


def blend(
    recipe: Recipe,
    ratings: sparse.csr_matrix,
    members: Sequence[Sequence[TrainedModel]],
    held_out: pd.DataFrame | None,
    refit: Callable[[int], TrainedModel],
) -> TrainedModel:
    """Put the networks of a recipe together.

    Parameters
    ----------
    recipe : Recipe
    ratings : scipy.sparse.csr_matrix
        What the model reads, (num_items, num_users).
    members : sequence of sequence of TrainedModel
        The networks of each member, one for each seed, trained beside the validation ratings,
        where there are some.
    held_out : pandas.DataFrame or None
        These.
    refit : callable
        Trains a network again on all ratings, given its place.

    Returns
    -------
    TrainedModel
        Networks of weight zero are left out.
    """
    weights, rmse = np.ones(1), None
    history = [epoch for member in members for model in member for epoch in model.history]
    if recipe.weights:
        weights = np.array(recipe.weights)
    if held_out is not None:
        pairs = held_out["user"].to_numpy(), held_out["item"].to_numpy()
        guesses = [mean_prediction(member, *pairs) for member in members]
        stars = held_out["rating"].to_numpy(float)
        if recipe.members and not recipe.weights:
            weights = blend_weights(guesses, stars)
        guess = weights @ np.stack(guesses)
        if isinstance(recipe.clip, tuple):
            guess = guess.clip(*recipe.clip)
        rmse = float(np.sqrt(np.mean((guess - stars) ** 2)))
    num_seeds = recipe.num_seeds
    networks: list[Network] = []
    factors: list[float] = []
    for i, (member, weight) in enumerate(zip(members, weights)):
        for j, model in enumerate(member):
            if weight == 0 and len(members) > 1:
                continue
            if recipe.refit:
                model = refit(i * num_seeds + j)
                history.extend(model.history)
            networks += model.networks
            factors.append(float(weight) / num_seeds)
    return TrainedModel(
        replace(recipe, weights=tuple(map(float, weights)) if recipe.members else ()),
        tuple(networks),
        tuple(factors),
        ratings,
        tuple(history),
        rmse,
    )
