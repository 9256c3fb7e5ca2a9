"""AutoRec under comparison: a recipe, fitted on ratings, that predicts pairs.

Models are compared through two functions. A *model* is
``fit(table, shape, seed) -> predict``, where ``table`` holds the training ratings (``user``,
``item``, ``rating``), ``shape`` is ``(num_users, num_items)``, and ``predict(users, items)``
returns stars. `autorec_model` makes one from a `Recipe`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.runtime import num_threads, seed_everything

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.training._state import SparseState

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
Model = Callable[["pd.DataFrame", tuple[int, int], int], Predict]

_CHOICES = {
    "by": ("item", "user"),
    "objective": ("mean", "sum"),
    "schedule": ("constant", "cosine"),
    "init": ("normal", "xavier"),
    "targets": ("stars", "unit", "mean", "biases"),
    "start": ("zero", "mean"),
}
_BIAS_SHRINKAGE = 10.0  # ratings of no effect that each bias is averaged with


@dataclass(frozen=True)
class Recipe:
    """How an AutoRec is made and trained; the defaults are the chapter's.

    Attributes
    ----------
    by : {"item", "user"}
        What a row of the matrix is.
    hidden, encoder, decoder, dropout, input_dropout
        The network, see `d2l_autorec.models.autorec.AutoRec`.
    objective : {"mean", "sum"}
        A row's loss is half its squared error over the number of columns (the chapter) or half
        its squared error, summed (the paper).
    lr : float
        Adam's learning rate, at the start.
    schedule : {"constant", "cosine"}
        Whether it falls to zero along half a cosine over ``num_epochs``.
    wd : float
        The chapter's weight decay, on all parameters.
    lam : float, optional
        The paper's λ, in place of ``wd`` and for the sum only: the whole is
        ``sum of squared errors + λ/2 (|W|² + |V|²)``, biases left alone, weights of layers between
        included. Half of it is trained, shared out over the batches: the decay of a step is
        ``λ / (2 num_rows)``. With ``targets="unit"`` it is divided by the square of the unit, so
        that a λ weighs errors in stars.
    batch_size, num_epochs : int
        Rows in a batch (all of them where there are fewer), and passes.
    clip : (float, float), optional
        Range of the predictions.
    default : float, optional
        Prediction for a user or item without training ratings; the network's own without it.
    init : {"normal", "xavier"}
        The chapter's normal distribution of 0.01, or Xavier's, which depth needs.
    targets : {"stars", "unit", "mean", "biases"}
        What the network reads and predicts: the ratings; the ratings over the upper end of
        ``clip``, which brings them to 0..1, as an output by sigmoid needs; what they are above
        their mean; or above the sum of the mean and shrunken biases of user and item.
    """

    by: str = "item"
    hidden: tuple[int, ...] = (CHAPTER.num_hidden,)
    encoder: str = "sigmoid"
    decoder: str = "identity"
    dropout: float = CHAPTER.dropout_rate
    input_dropout: float = 0.0
    objective: str = "mean"
    lr: float = CHAPTER.lr
    schedule: str = "constant"
    wd: float = CHAPTER.wd
    lam: float | None = None
    batch_size: int = CHAPTER.batch_size
    num_epochs: int = CHAPTER.num_epochs
    clip: tuple[float, float] | None = None
    default: float | None = None
    init: str = "normal"
    targets: str = "stars"
    start: str = "zero"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} {getattr(self, name)!r} is unknown; use one of {allowed}."
                )
        if self.lam is not None and self.objective != "sum":
            raise InputError("lam belongs to the paper's objective; set objective to sum.")
        if self.targets == "unit" and self.clip is None:
            raise InputError("targets='unit' needs the ratings' range; give it as clip.")


@dataclass(frozen=True)
class Scale:
    """The way from stars to what the network reads: ``(r - mean - row - col) / unit``."""

    mean: float
    unit: float
    row: np.ndarray  # (num_rows,)
    col: np.ndarray  # (num_cols,)

    def base(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Stars where the network says zero."""
        return self.mean + self.row[rows] + self.col[cols]


@dataclass(frozen=True)
class Fitted:
    """A trained AutoRec.

    Attributes
    ----------
    recipe : Recipe
    state : SparseState
        The weights, of the best epoch where there was validation.
    train : scipy.sparse.csr_matrix
        What the network reads, (num_rows, num_cols) as the recipe's ``by`` has it.
    scale : Scale
    epoch : int
        The epoch of the weights.
    history : tuple of float
        Validation RMSE of each epoch, in stars; empty without validation. Unclipped where
        ``targets`` is ``"biases"``.
    """

    recipe: Recipe
    state: SparseState
    train: sparse.csr_matrix
    scale: Scale
    epoch: int
    history: tuple[float, ...]

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Predict pairs, in stars.

        Parameters
        ----------
        users, items : numpy.ndarray of int
            Codes, of equal length.

        Returns
        -------
        numpy.ndarray
            float64, (len(users),)
        """
        from d2l_autorec.training.predict import predict_sparse

        rows, cols = (items, users) if self.recipe.by == "item" else (users, items)
        raw = predict_sparse(self.state, self.train, rows, cols).astype(float)
        stars = raw * self.scale.unit + self.scale.base(rows, cols)
        if self.recipe.clip is not None:
            stars = stars.clip(*self.recipe.clip)
        if self.recipe.default is not None:
            known_cols = np.bincount(self.train.indices, minlength=self.train.shape[1]) > 0
            known = (np.diff(self.train.indptr) > 0)[rows] & known_cols[cols]
            stars = np.where(known, stars, self.recipe.default)
        return stars


def fit_autorec(
    train: sparse.csr_matrix,
    recipe: Recipe,
    seed: int = 0,
    validation: sparse.csr_matrix | None = None,
    patience: int | None = None,
    stop: int | None = None,
) -> Fitted:
    """Train one AutoRec.

    Parameters
    ----------
    train : scipy.sparse.csr_matrix
        Ratings, (num_items, num_users) whatever the recipe's ``by``.
    recipe : Recipe
    seed : int
        For the initial weights, dropout and the order of rows.
    validation : scipy.sparse.csr_matrix, optional
        Held-out ratings of the same shape; the weights of the epoch that is best on them are kept.
    patience : int, optional
        Epochs without a better one after which to end.
    stop : int, optional
        End after this epoch, with a schedule that is still for ``num_epochs``.

    Returns
    -------
    Fitted
    """
    import mxnet as mx

    from d2l_autorec.models.autorec import AutoRec
    from d2l_autorec.training.sparse import SparseState, train_sparse

    if recipe.by == "user":
        train, validation = (None if m is None else m.T.tocsr() for m in (train, validation))
    scale = _scale(train, recipe)
    train, validation = (None if m is None else _scaled(m, scale) for m in (train, validation))
    seed_everything(seed)
    num_rows, num_cols = train.shape
    net = AutoRec(
        num_cols, recipe.hidden, recipe.encoder, recipe.decoder, recipe.dropout,
        recipe.input_dropout,
    )  # fmt: skip
    init = mx.init.Normal(CHAPTER.sigma) if recipe.init == "normal" else mx.init.Xavier()
    net.initialize(init)
    state = SparseState.from_net(net)
    if recipe.start == "mean":
        state.out_bias[:, 0] = _column_means(train)
    batch_size = min(recipe.batch_size, num_rows)
    wd, clip = recipe.wd, recipe.clip
    if recipe.lam is not None:
        wd = recipe.lam / (2 * num_rows * scale.unit**2)
    if clip is not None:
        low, high = ((end - scale.mean) / scale.unit for end in clip)
        clip = None if recipe.targets == "biases" else (low, high)
    loop = train_sparse(
        net, train, validation, num_epochs=stop or recipe.num_epochs, batch_size=batch_size,
        lr=_rates(recipe, num_rows * recipe.num_epochs // batch_size), wd=wd,
        objective=recipe.objective, decay_biases=recipe.lam is None, clip=clip,
        num_threads=num_threads(), state=state,
    )  # fmt: skip
    history: list[float] = []
    best, kept = 0, None
    for epoch in loop:
        if epoch.test_rmse is None:
            continue
        history.append(epoch.test_rmse * scale.unit)
        if history[-1] < min(history[:-1], default=math.inf):
            best, kept = epoch.epoch, state.weights()
        elif patience is not None and epoch.epoch - best >= patience:
            break
    loop.close()
    if kept is not None:
        state.set_weights(kept)
    state.free_moments()
    done = best if history else stop or recipe.num_epochs
    return Fitted(recipe, state, train, scale, done, tuple(history))


def autorec_model(
    recipe: Recipe, val_ratio: float = 0.0, patience: int | None = None, refit: bool = False
) -> Model:
    """Make a model of a recipe, for a comparison.

    Parameters
    ----------
    recipe : Recipe
    val_ratio : float
        Share of the training ratings held out to choose the epoch on; 0 trains to the last one.
    patience : int, optional
        As in `fit_autorec`.
    refit : bool
        Having chosen the epoch, train on all training ratings up to it; else the weights found
        beside the validation ratings stay.

    Returns
    -------
    callable
        ``fit(table, (num_users, num_items), seed) -> predict(users, items)``
    """

    def fit(table: pd.DataFrame, shape: tuple[int, int], seed: int) -> Predict:
        from d2l_autorec.data.matrices import interaction_csr
        from d2l_autorec.data.split import holdout_split

        if not val_ratio:
            return fit_autorec(interaction_csr(table, *shape), recipe, seed).predict
        kept, held_out = holdout_split(len(table), val_ratio, seed)
        fitted = fit_autorec(
            interaction_csr(table, *shape, rows=kept), recipe, seed,
            interaction_csr(table, *shape, rows=held_out), patience,
        )  # fmt: skip
        if refit:
            whole = interaction_csr(table, *shape)
            fitted = fit_autorec(whole, recipe, seed, stop=fitted.epoch)
        return fitted.predict

    return fit


def _rates(recipe: Recipe, num_steps: int) -> Any:
    if recipe.schedule == "constant":
        return recipe.lr
    return lambda step: recipe.lr * (1 + math.cos(math.pi * min(step / num_steps, 1))) / 2


def _scale(train: sparse.csr_matrix, recipe: Recipe) -> Scale:
    row, col = np.zeros(train.shape[0]), np.zeros(train.shape[1])
    if recipe.targets == "stars":
        return Scale(0.0, 1.0, row, col)
    if recipe.targets == "unit":
        assert recipe.clip is not None  # Recipe has seen to it
        return Scale(0.0, recipe.clip[1], row, col)
    mean = float(train.data.mean())
    if recipe.targets == "biases":
        entries = train.tocoo()
        counts = [
            np.bincount(i, minlength=len(b)) for i, b in ((entries.row, row), (entries.col, col))
        ]
        for _ in range(10):  # least squares with shrinkage, in turns
            left = entries.data - mean - col[entries.col]
            row = np.bincount(entries.row, left, len(row)) / (counts[0] + _BIAS_SHRINKAGE)
            left = entries.data - mean - row[entries.row]
            col = np.bincount(entries.col, left, len(col)) / (counts[1] + _BIAS_SHRINKAGE)
    return Scale(mean, 1.0, row, col)


def _column_means(train: sparse.csr_matrix) -> np.ndarray:
    mean = train.data.mean()
    counts = np.bincount(train.indices, minlength=train.shape[1])
    above = np.bincount(train.indices, train.data - mean, train.shape[1])
    return mean + above / (counts + _BIAS_SHRINKAGE)


def _scaled(matrix: sparse.csr_matrix, scale: Scale) -> sparse.csr_matrix:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    data = (matrix.data - scale.base(rows, matrix.indices)) / scale.unit
    return sparse.csr_matrix(
        (data.astype(np.float32), matrix.indices, matrix.indptr), matrix.shape
    )
