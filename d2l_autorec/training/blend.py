"""Blending: several networks as one model, with weights chosen on validation ratings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from d2l_autorec.models.biases import shrunken_means
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.training.result import pooled_rmse

if TYPE_CHECKING:
    import pandas as pd

EQUAL_PARTS = 10_000
"""Validation ratings that weigh as much as the wish for equal parts, in `damped_weights`."""

_CENTRE, _RIDGE = 3.0, 100.0  # of `stacked`: middle of the ratings, ratings of no effect


def mean_prediction(
    fits: Sequence[TrainedModel], users: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Average the predictions of some models, each clipped as its recipe says."""
    return np.mean([model.predict(users, items) for model in fits], axis=0)


def blend_weights(predictions: Sequence[np.ndarray], ratings: np.ndarray) -> np.ndarray:
    """Return the least-squares weights of a blend, none below zero.

    There is an array of predictions for each model, of the validation ``ratings``. The weights'
    sum is free: an average of models varies less than the ratings' own means do. If none is above
    zero, as where all predictions have the wrong sign, the models are averaged.
    """
    weights = _not_negative(np.stack(predictions, axis=1), np.asarray(ratings, float))
    return weights if weights.any() else np.full(len(predictions), 1 / len(predictions))


def _not_negative(columns: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the least-squares factors of columns, none below zero."""
    from scipy.optimize import lsq_linear, nnls

    try:
        return nnls(columns, wanted)[0]
    except RuntimeError:  # SciPy 1.12 to 1.14 do not end on some columns that are almost alike
        found = lsq_linear(columns, wanted, bounds=(0, np.inf), method="bvls").x
        return found.clip(0)  # it may be below by what is rounded


def side_values(ratings: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Describe items and users by their training ratings (num_items, num_users), for `stacked`.

    Returns
    -------
    of_items, of_users : numpy.ndarray
        (num_items, 3) and (num_users, 3): the logarithm of the number of ratings, how far they lie
        above the mean, and how much they spread around the biases. The last two are shrunken, and
        each has mean 0 and variance 1 over all items or users.
    """
    items = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    codes, sizes = (items, ratings.indices), ratings.shape
    left = ratings.data - float(ratings.data.mean())
    biases = [shrunken_means(code, left, size) for code, size in zip(codes, sizes)]
    squares = (left - biases[0][codes[0]] - biases[1][codes[1]]) ** 2
    mean = squares.mean()

    def described(code: np.ndarray, size: int, bias: np.ndarray) -> np.ndarray:
        spread = np.sqrt(mean + shrunken_means(code, squares - mean, size))
        values = np.column_stack([np.log1p(np.bincount(code, minlength=size)), bias, spread])
        values -= values.mean(axis=0)
        return values / np.maximum(values.std(axis=0), 1e-9)  # all alike: zeros

    of_items, of_users = map(described, codes, sizes, biases)
    return of_items, of_users


def stacked(
    guesses: np.ndarray,
    sides: np.ndarray,
    stars: np.ndarray,
    asked: np.ndarray,
    asked_sides: np.ndarray,
) -> np.ndarray:
    """Predict with weights that depend on the user and the item; not clipped.

    Each member's weight is a linear function of the side values and of the blend's prediction. It
    is fitted by ridge regression to what the blend of fixed weights leaves over. Sill, Takács,
    Mackey and Lin, "Feature-Weighted Linear Stacking" (2009).

    Parameters
    ----------
    guesses, asked : numpy.ndarray, shape (num_members, num_pairs)
        Each member's predictions, for the validation ratings ``stars`` and for what is asked.
    sides, asked_sides : numpy.ndarray, shape (num_pairs, num_values)
        Side values of these pairs.
    """
    weights = blend_weights(list(guesses), stars)

    def products(members: np.ndarray, values: np.ndarray) -> np.ndarray:
        ones = np.ones(members.shape[1])
        left = np.column_stack([ones, (members - _CENTRE).T])
        right = np.column_stack([ones, values, weights @ members - _CENTRE])
        return (left[:, :, None] * right[:, None, :]).reshape(len(ones), -1)

    known = products(guesses, sides)
    square = known.T @ known + _RIDGE * np.eye(known.shape[1])
    factors = np.linalg.solve(square, known.T @ (stars - weights @ guesses))
    return weights @ asked + products(asked, asked_sides) @ factors


def damped(model: TrainedModel, gain: float) -> TrainedModel:
    """Return a model of one network that adds ``gain`` times as much to the biases."""
    [network] = model.networks
    return replace(model, networks=(replace(network, scale=replace(network.scale, gain=gain)),))


def damped_weights(
    guesses: Sequence[np.ndarray], base: np.ndarray, are_damped: Sequence[bool], stars: np.ndarray
) -> tuple[np.ndarray, float]:
    """Choose the weights of a blend with members above biases, and how far these are damped.

    Non-negative least squares find the factors of what each member adds to the biases. With
    `EQUAL_PARTS` the members above biases are drawn towards equal parts, as a few thousand
    validation ratings tell similar members badly apart. The weights are then made to sum to one,
    so that the biases count once, and the gain makes up for it: ``b + w f`` is ``b + gain f`` for
    one member. It is above one where the members say too little.

    Parameters
    ----------
    guesses : sequence of numpy.ndarray
        Each member's predictions for the validation ratings ``stars``.
    base : numpy.ndarray
        Those of the biases.
    are_damped : sequence of bool
        Which members are above biases and may be damped; at least one.

    Returns
    -------
    weights : numpy.ndarray
        One for each member.
    gain : float
        The factor of what those above biases add.
    """
    added, left = np.stack(guesses, axis=1) - base[:, None], stars - base
    among = np.array(are_damped)
    mean = added[:, among].mean(axis=1)
    equal = least_squares_gain(mean, left) / among.sum()
    pull = np.sqrt(EQUAL_PARTS * float(np.mean(mean**2))) * np.diag(among)
    wanted = np.append(left, pull.sum(axis=1) * equal)
    weights = _not_negative(np.vstack([added, pull]), wanted)
    own, total = float(weights[among].sum()), 1 - float(weights[~among].sum())
    if total <= 0:  # the others leave nothing to the biases
        return weights, 1.0
    if not own:
        weights[int(np.argmax(among))] = total
        return weights, 0.0
    weights[among] *= total / own
    return weights, own / total


def least_squares_gain(added: np.ndarray, left: np.ndarray) -> float:
    """Return the factor from 0 to 1 with which ``added`` is nearest to ``left``."""
    square = float(added @ added)
    return float(np.clip(added @ left / square, 0, 1)) if square else 1.0


def member_seeds(seed: int, num_seeds: int) -> list[int]:
    """Return seeds that no other split uses, while there are fewer than 1000 splits."""
    return [seed + 1000 * i for i in range(num_seeds)]


@dataclass(frozen=True)
class Weighed:
    """What the validation ratings say of some models."""

    weights: np.ndarray | tuple[float, ...] = (1.0,)  # of each member of the recipe
    gain: float = 1.0  # of the networks above biases; see `d2l_autorec.models.biases.Scale`
    rmse: float | None = None  # of the blend, over the validation ratings


def weigh(recipe: Recipe, fits: Sequence[TrainedModel], held_out: pd.DataFrame | None) -> Weighed:
    """Choose the weights of a recipe's members, and how far those above biases are damped.

    ``fits`` are the networks, one member's after the other's, trained beside the validation
    ratings ``held_out``, where there are some.
    """
    weights, gain = np.array(recipe.weights or (1.0,)), 1.0
    if held_out is None:
        return Weighed(weights)
    are_damped, num_seeds = [part.is_damped for part in recipe.parts], recipe.num_seeds
    pairs = held_out["user"].to_numpy(), held_out["item"].to_numpy()
    stars = held_out["rating"].to_numpy(float)

    def guess(i: int, gain: float | None = None) -> np.ndarray:
        models = fits[i * num_seeds : (i + 1) * num_seeds]
        if gain is not None:
            models = [damped(model, gain) for model in models]
        return mean_prediction(models, *pairs)

    guesses = [guess(i) for i in range(len(are_damped))]
    if any(are_damped) and not recipe.weights:
        base = damped(fits[are_damped.index(True) * num_seeds], 0.0).predict(*pairs)
        if recipe.members:
            weights, gain = damped_weights(guesses, base, are_damped, stars)
        else:
            gain = least_squares_gain(guesses[0] - base, stars - base)
        guesses = [guess(i, gain) if own else guesses[i] for i, own in enumerate(are_damped)]
    elif recipe.members and not recipe.weights:
        weights = blend_weights(guesses, stars)
    blended = weights @ np.stack(guesses)
    if isinstance(recipe.clip, tuple):
        blended = blended.clip(*recipe.clip)
    return Weighed(weights, gain, pooled_rmse(blended, stars))


def blend(
    recipe: Recipe,
    ratings: sparse.csr_matrix,
    weighed: Weighed,
    model_of: Callable[[int, float], TrainedModel],
) -> TrainedModel:
    """Put the networks of a recipe together.

    Of several members, those of weight zero are left out. The model reads ``ratings`` (num_items,
    num_users); ``model_of`` returns or trains a network, given its place and its gain. The history
    is left to the caller.
    """
    networks: list[Network] = []
    factors: list[float] = []
    for place in range(recipe.num_networks):
        member = place // recipe.num_seeds
        weight = float(weighed.weights[member])
        if weight or len(recipe.parts) == 1:
            gain = weighed.gain if recipe.parts[member].is_damped else 1.0
            networks += damped(model_of(place, gain), gain).networks
            factors.append(weight / recipe.num_seeds)
    if recipe.members:
        recipe = replace(recipe, weights=tuple(map(float, weighed.weights)))
    return TrainedModel(recipe, tuple(networks), tuple(factors), ratings, val_rmse=weighed.rmse)
