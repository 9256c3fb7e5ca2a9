"""A trained AutoRec: one network or several, with the ratings that they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained AutoRec; a blend is one like any other.

    Attributes
    ----------
    recipe : Recipe
        As it was followed: the clip and the batch size are those of the ratings.
    networks : tuple of Network
    factors : tuple of float
        Of each network's prediction in the model's, which is their sum.
    ratings : scipy.sparse.csr_matrix
        float32, (num_items, num_users): the ratings trained on. What is stored is rated.
    history : tuple
        An `Epoch` of `d2l_autorec.training.history` for each epoch trained.
    val_rmse : float or None
        Over the validation ratings, by the networks trained beside them.
    """

    recipe: Recipe
    networks: tuple[Network, ...]
    factors: tuple[float, ...]
    ratings: sparse.csr_matrix
    history: tuple[Any, ...] = ()
    val_rmse: float | None = None

    @property
    def epoch(self) -> int:
        """The epoch of the first network's weights."""
        return self.networks[0].epoch

    @property
    def val_rmses(self) -> list[float]:
        """The validation RMSE of each epoch."""
        return [epoch.rmse for epoch in self.history if epoch.scored == "validation"]

    def oriented(self, by: str) -> sparse.csr_matrix:
        """Return the ratings with a row for each item or for each user."""
        return self.ratings if by == "item" else self._by_user

    @cached_property
    def _by_user(self) -> sparse.csr_matrix:
        return self.ratings.T.tocsr()

    @cached_property
    def inputs(self) -> tuple[sparse.csr_matrix, ...]:
        """What each network reads, (num_rows, num_inputs)."""
        parts = ((network.scale, self.oriented(network.by)) for network in self.networks)
        return tuple(rows if scale.is_stars else scale.apply(rows) for scale, rows in parts)

    @cached_property
    def _hidden(self) -> dict[int, list[np.ndarray]]:
        return {}

    def hidden(self, k: int) -> list[np.ndarray]:
        """Return the outputs of a network's hidden layers for all rows; they are kept."""
        if k not in self._hidden:
            network = self.networks[k]
            self._hidden[k] = network.encode(network.read(self.inputs[k]))
        return self._hidden[k]

    def counts(self, what: str) -> np.ndarray:
        """Count the training ratings of each user or item (``what``), by code."""
        return self._counts[what == "user"]

    @cached_property
    def _counts(self) -> tuple[np.ndarray, np.ndarray]:
        of_users = np.bincount(self.ratings.indices, minlength=self.ratings.shape[1])
        return np.diff(self.ratings.indptr), of_users

    @property
    def combined(self) -> bool:
        """Whether the prediction is more than the plain output of one network."""
        return self.factors != (1.0,)

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Predict pairs, in stars, clipped as the recipe says.

        Parameters
        ----------
        users, items : numpy.ndarray of int
            Codes, of equal length.

        Returns
        -------
        numpy.ndarray
            float64, (len(users),)
        """
        stars = self.score_pairs(users, items).astype(float)
        return self.limited(stars, self.recipe, users, items)

    def score_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Predict pairs of codes, (num_pairs,), the sum not clipped."""

        def stars(k: int) -> np.ndarray:
            network = self.networks[k]
            rows, cols = network.rows_and_cols(users, items)
            kept = self._hidden[k][-1] if k in self._hidden else None
            raw = network.pairs(self.inputs[k], rows, cols, kept)
            return network.to_stars(raw.astype(float), rows, cols)

        return self.combine(stars, users, items)

    def score_users(self, users: np.ndarray) -> np.ndarray:
        """Predict all items for some users (codes): (len(users), num_items), not clipped."""
        everything = users[:, None], np.arange(self.ratings.shape[0])[None]

        def stars(k: int) -> np.ndarray:
            network = self.networks[k]
            if network.by == "user":
                raw = network.reconstruct(self.inputs[k][users])
            else:
                W, b = network.output_layer
                z = W[users] @ self.hidden(k)[-1].T  # (users, items)
                z += b[users, None]
                raw = network.output(z)
            return network.to_stars(raw, *network.rows_and_cols(*everything))

        return self.combine(stars, *everything)

    def combine(
        self, stars: Callable[[int], np.ndarray], users: np.ndarray, items: np.ndarray
    ) -> np.ndarray:
        """Add up the networks' predictions, each clipped as its recipe says.

        The prediction of a single network stays as it is.

        Raises
        ------
        InputError
            If a prediction is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            if not self.combined:
                return require_finite(stars(0))
            total: Any = 0.0
            for k, (network, factor) in enumerate(zip(self.networks, self.factors)):
                own = require_finite(stars(k))
                total = total + factor * self.limited(own, network.recipe, users, items)
        return require_finite(total)

    def limited(
        self, stars: np.ndarray, recipe: Recipe, users: np.ndarray, items: np.ndarray
    ) -> np.ndarray:
        """Clip predictions and apply the default for unknown users or items, as a recipe says."""
        if isinstance(recipe.clip, tuple):
            stars = stars.clip(*recipe.clip)
        if recipe.default is not None:
            known = (self.counts("user") > 0)[users] & (self.counts("item") > 0)[items]
            stars = np.where(known, stars, recipe.default)
        return stars


def require_finite(predicted: np.ndarray) -> np.ndarray:
    """Return predictions, or raise an InputError if some are not finite."""
    if not np.isfinite(predicted).all():
        raise InputError(
            "The model's predictions are not finite, as some of its weights are far too large; "
            "train it again with a lower learning rate, or name other weights."
        )
    return predicted
