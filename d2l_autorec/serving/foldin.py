"""Predictions for a user who was not in training, without training the model again.

A user-based network reads the new ratings as it reads anybody's. An item-based one has no place
for a new user: its input and output have one column for each user in training. One column more
to read is no loss; to predict, the user needs a row ``w`` of the output weights and a bias ``b``.
Both are learned by ridge regression, with everything else frozen::

    min over w, b   sum over rated i of (r_i - h_i w - b)^2  +  strength * |(w, b) - mean|^2

``h_i`` is the last hidden layer's output for item i. Mean and distance are those of the trained
users' ``(w, b)``, with the Mahalanobis distance by their covariance. A user without ratings gets
the predictions of the average user. In this view the strength is the variance of the noise. The
model's own training residuals give a first value; the leave-one-out errors of the user's ratings,
which ridge regression has in closed form (Hastie, Tibshirani and Friedman, *The Elements of
Statistical Learning*, section 7.10), change it the more, the more ratings there are.

`d2l_autorec.experiments.foldin` measures it against training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from d2l_autorec.errors import InputError, clip
from d2l_autorec.models.biases import shrunken_means
from d2l_autorec.models.network import Network
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.serving.filters import Filters
from d2l_autorec.serving.lookup import known_codes, known_or_warned
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import best_columns, check_numbers, ranked

FACTORS = np.logspace(-2, 2, 25)
"""Strengths that `ridge` tries, in units of the noise."""


def new_user(
    model: Model,
    ratings: pd.DataFrame,
    n: int = 10,
    min_ratings: int = 1,
    filters: Filters | None = None,
) -> pd.DataFrame:
    """Recommend items to somebody who was not in training.

    Parameters
    ----------
    model : Model
    ratings : pandas.DataFrame
        ``item`` (ids) and ``rating``. Items that the model does not know are left out with a
        warning; of an item rated twice the last rating stands.
    n, min_ratings, filters
        As for `d2l_autorec.serving.recommend.recommend`.

    Returns
    -------
    pandas.DataFrame
        As from `recommend`, without the user.

    Raises
    ------
    InputError
        If no rated item is known, a rating lies outside the model's range, or an item-based
        model's output is not ``identity``.
    """
    check_numbers(n, min_ratings)
    items, values = known_ratings(model, ratings)
    scores = score_new_user(model, items, values)
    scores[items] = -np.inf
    scores[(filters or Filters()).left_out(model)] = -np.inf
    scores[model.trained.counts("item") < min_ratings] = -np.inf
    _, item, rank = best_columns(scores[None], n)
    return ranked(model, item, rank, scores[item])


def known_ratings(model: Model, ratings: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and ratings of the items that the model knows, each once."""
    codes = known_codes(model, "item", ratings["item"])
    known_or_warned(model, ratings["item"], "items rated")
    values = ratings["rating"].to_numpy(np.float32)
    outside = ~((values >= model.low) & (values <= model.high))
    if outside.any():
        at = int(np.argmax(outside))
        raise InputError(
            f"The rating {values[at]:g} of item {clip(ratings['item'].iloc[at])} is outside "
            f"{model.low:g} to {model.high:g}, what the model was trained on; correct it."
        )
    last = {int(code): value for code, value in zip(codes, values) if code >= 0}
    return np.array(list(last), np.int64), np.array(list(last.values()), np.float32)


def score_new_user(model: Model, items: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Predict all items for a new user, (num_items,), not clipped.

    A network above biases gets a bias for the user, shrunken as those of training are.

    Parameters
    ----------
    items : numpy.ndarray of int64, shape (k,)
        Codes of the items rated, each once.
    values : numpy.ndarray of float32, shape (k,)
        Their ratings.
    """
    trained = model.trained
    for network in trained.networks:
        if network.by == "item":
            check_output(network)
    total: Any = 0.0
    for k, (network, factor) in enumerate(zip(trained.networks, trained.factors)):
        scale, own = network.scale, 0.0
        if scale.is_stars:
            stars = _score(trained, k, items, values)
        else:
            base = scale.mean + (scale.row if network.by == "item" else scale.col)
            left = values - base[items]
            if network.recipe.targets == "biases" and len(items):
                shrinkage = network.recipe.shrinkage
                assert isinstance(shrinkage, tuple)  # in a network that has been trained
                own = float(shrunken_means(np.zeros(len(items), int), left, 1, shrinkage[0])[0])
            stars = _score(trained, k, items, ((left - own) / scale.unit).astype(np.float32))
            stars = stars * (scale.unit * scale.gain) + base + own
        if not trained.combined:
            return stars
        if isinstance(network.recipe.clip, tuple):
            stars = stars.clip(*network.recipe.clip)
        total = total + factor * stars
    return total


def _score(trained: TrainedModel, k: int, items: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Return a network's outputs for all items, from a new user's ratings as it reads them."""
    network = trained.networks[k]
    if network.by == "user":
        row = sparse.csr_matrix(
            (read, (np.zeros_like(items), items)), shape=(1, trained.ratings.shape[0])
        )
        return network.reconstruct(row)[0]
    prior = column_prior(trained, k)
    weights = column_weights(prior, prior.codes[items], read) if len(items) else prior.mean
    return prior.codes @ weights[:-1] + weights[-1]


@dataclass(frozen=True, eq=False)
class Prior:
    """The prior of a column's output weights: of a user, if the network is item-based.

    Attributes
    ----------
    mean : numpy.ndarray of float64, shape (hidden[-1] + 1,)
        Of the trained columns' output weights and bias.
    root : numpy.ndarray of float64, shape (hidden[-1] + 1, hidden[-1] + 1)
        ``root root^T`` is their covariance.
    noise : float
        The mean squared error in training.
    codes : numpy.ndarray of float64, shape (num_rows, hidden[-1])
        The last hidden layer's output for the rows.
    """

    mean: np.ndarray
    root: np.ndarray
    noise: float
    codes: np.ndarray


def column_prior(trained: TrainedModel, k: int) -> Prior:
    """Return the prior of a column's output weights; it is cached."""
    kept = vars(trained).setdefault("_priors", {})
    if k in kept:
        return kept[k]
    network = trained.networks[k]
    W, b = network.output_layer
    other = "user" if network.by == "item" else "item"
    columns = np.c_[W, b][trained.counts(other) > 0].astype(float)
    values, vectors = np.linalg.eigh(np.cov(columns.T, bias=True))
    matrix = trained.inputs[k].tocoo()
    some = slice(None, None, 1 + matrix.nnz // 100_000)
    errors = matrix.data[some] - network.pairs(
        trained.inputs[k], matrix.row[some], matrix.col[some]
    )
    root = vectors * np.sqrt(np.maximum(values, 0))
    codes = trained.hidden(k)[-1].astype(float)
    kept[k] = Prior(columns.mean(axis=0), root, float(np.mean(errors**2)), codes)
    return kept[k]


def column_weights(prior: Prior, codes: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Return output weights and bias for a column, (hidden[-1] + 1,).

    Parameters
    ----------
    prior : Prior
    codes : numpy.ndarray of float64, shape (k, hidden[-1])
        Of the rows that the column has ratings in.
    read : numpy.ndarray, shape (k,)
        What the network reads of these ratings.
    """
    codes = np.c_[codes, np.ones(len(codes))]  # the last column is for the bias
    own = ridge(codes @ prior.root, read - codes @ prior.mean, prior.noise)[0]
    return prior.mean + prior.root @ own


def check_output(network: Network) -> None:
    """Raise an InputError unless a new column's output weights can be found by regression."""
    decoder = network.recipe.architecture.decoder
    new = "user" if network.by == "item" else "item"
    if decoder != "identity":
        raise InputError(
            f"The model's output is {decoder}, and a network by {network.by} takes a new {new} "
            f"only where it is identity; train with --decoder identity or with --by {new}."
        )


def ridge(x: np.ndarray, y: np.ndarray, noise: float) -> tuple[np.ndarray, float]:
    """Fit ``y = x w`` with a penalty on w, whose strength the errors left out help to choose.

    Of the strengths tried, the one with the smallest ``sum(error^2) / noise + log(strength /
    noise)^2`` is taken: with few ratings it stays near the noise.

    Parameters
    ----------
    x : numpy.ndarray of float64, shape (k, width)
    y : numpy.ndarray, shape (k,)
    noise : float
        Variance of y about its expectation, as far as it is known beforehand.

    Returns
    -------
    w : numpy.ndarray of float64, shape (width,)
    strength : float
    """
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    strengths = max(noise, 1e-9) * FACTORS
    shrunk = singular**2 / (singular**2 + strengths[:, None])  # (strengths, rank)
    along = left.T @ y
    errors = (y - (shrunk * along) @ left.T) / (1 - shrunk @ (left**2).T)  # each row's, left out
    cost = (errors**2).sum(axis=1) / max(noise, 1e-9) + np.log(FACTORS) ** 2
    best = int(np.argmin(cost))
    return right.T @ (singular / (singular**2 + strengths[best]) * along), float(strengths[best])
