"""From ratings and a recipe to a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import Scale, shrinkage_of
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.training.blend import blend, member_seeds, weigh
from d2l_autorec.training.checked import check_fits
from d2l_autorec.training.draws import NumPyDraws
from d2l_autorec.training.engines import Compute, Engine, array_shapes, make_engine
from d2l_autorec.training.stopping import BestEpoch, check_finite

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Place:
    """Which network of a model is trained, and whether it is trained again on all ratings."""

    network: int = 1
    refit: bool = False


def fit(
    table: pd.DataFrame,
    shape: tuple[int, int],
    recipe: Recipe,
    seed: int = 0,
    *,
    rows: np.ndarray | None = None,
    split: tuple[np.ndarray, np.ndarray] | None = None,
    test: sparse.csr_matrix | None = None,
    compute: Compute | None = None,
) -> TrainedModel:
    """Train the model of a recipe: one network, the average of several, or a blend.

    Where the recipe has validation ratings, they choose the epoch of each network, the weights of
    a blend, and how far networks above biases are damped. With ``refit`` each network is then
    trained again up to its epoch on all ratings.

    Parameters
    ----------
    table : pandas.DataFrame
        The training ratings: ``user`` and ``item`` (codes from 0) and ``rating``.
    shape : (int, int)
        Number of users and of items.
    recipe : Recipe
    seed : int
        For the validation split and all draws. The networks that are averaged have the seeds
        ``seed``, ``seed + 1000`` and so on.
    rows : numpy.ndarray, optional
        The rows of the table that hold the training ratings; all by default.
    split : (numpy.ndarray, numpy.ndarray), optional
        Which of these to train on, and which to validate with; `holdout_split` by default.
    test : scipy.sparse.csr_matrix, optional
        Ratings (num_items, num_users) to score after each epoch where there is no validation; for
        the history only.
    compute : Compute, optional
        The sparse engine by default.

    Raises
    ------
    InputError
        If the recipe does not fit the ratings, or the training diverges.
    """
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import holdout_split

    whole = interaction_csr(table, *shape, rows=rows)
    recipe = recipe.for_ratings(*shape, rating_range(whole))
    kept, validation, held_out = whole, None, None
    if recipe.val_ratio:
        rows = np.arange(len(table)) if rows is None else rows
        split = split or holdout_split(len(rows), recipe.val_ratio, seed)
        kept, validation = (interaction_csr(table, *shape, rows=rows[part]) for part in split)
        held_out = table.iloc[rows[split[1]]]
    if not recipe.refit:
        whole = kept
    del rows, split  # large, as what follows is
    places = [(part, own) for part in recipe.parts for own in member_seeds(seed, recipe.num_seeds)]
    train, keeper = partial(fit_network, compute=compute), compute.keeper if compute else None
    if keeper is not None and keeper.chosen:  # resumed, with the epoch chosen before
        fits: list[TrainedModel] = []
        history, chosen = list(keeper.chosen), [keeper.chosen_epoch]
        weighed = keeper.weighed
    else:
        beside = partial(train, kept, validation=validation, test=test)
        fits = [
            beside(replace(part, patience=recipe.patience), own, place=Place(i))
            for i, (part, own) in enumerate(places, 1)
        ]
        history, chosen = [e for one in fits for e in one.history], [one.epoch for one in fits]
        weighed = weigh(recipe, fits, held_out)
    if recipe.refit:  # of the networks so far no more is needed
        fits.clear()

    def final(place: int, gain: float) -> TrainedModel:
        if not recipe.refit:
            return fits[place]
        part, own = places[place]
        if keeper is not None:
            keeper.begin_refit(history, weighed)
        seen = test if len(places) == 1 else None
        where = Place(place + 1, True)
        model = train(whole, part, own, test=seen, stop=chosen[place], place=where)
        history.extend(model.history)
        return model

    return replace(blend(recipe, whole, weighed, final), history=tuple(history))


def fit_network(
    ratings: sparse.csr_matrix,
    recipe: Recipe,
    seed: int = 0,
    *,
    validation: sparse.csr_matrix | None = None,
    test: sparse.csr_matrix | None = None,
    stop: int | None = None,
    compute: Compute | None = None,
    place: Place | None = None,
    initial: Mapping[str, np.ndarray] | None = None,
) -> TrainedModel:
    """Train one network.

    Parameters
    ----------
    ratings : scipy.sparse.csr_matrix
        (num_items, num_users), whatever the recipe's ``by``.
    recipe : Recipe
        Of one network; its validation share, refit and seeds are left aside.
    seed : int
        For the initial weights, dropout and the order of rows.
    validation, test : scipy.sparse.csr_matrix, optional
        Held-out ratings of the same shape. The weights of the epoch that is best on the first are
        kept; without them the second are scored after each epoch, without any effect.
    stop : int, optional
        End after this epoch, with a schedule that is still for ``num_epochs``.
    compute : Compute, optional
        The sparse engine by default.
    place : Place, optional
        For the history.
    initial : mapping, optional
        Weights to begin with, named as in `Network`, for the sparse engine; drawn by default.

    Returns
    -------
    TrainedModel
        With this network alone; the history holds its epochs.
    """
    compute, place = compute or Compute(), place or Place()
    keeper = compute.keeper
    ends, (num_items, num_users) = rating_range(ratings), ratings.shape
    recipe = recipe.for_ratings(num_users, num_items, ends)
    recipe = shrinkage_of(recipe, ratings)
    watched, scored = (test, "test") if validation is None else (validation, "validation")
    train, held_out = ratings, watched
    if recipe.architecture.by == "user":
        train, held_out = (None if m is None else m.T.tocsr() for m in (train, held_out))
    scale = Scale.of(train, recipe)
    if not scale.is_stars:
        train, held_out = (None if m is None else scale.apply(m) for m in (train, held_out))
    former = keeper.former if keeper else None
    history = list(former.history) if former else []
    num_epochs = stop or recipe.num_epochs
    if former is not None:
        shapes = array_shapes(compute.engine, recipe.architecture, train.shape[1])
        told = None if watched is None else scored
        check_fits(former, recipe, train.shape[0], shapes, told, place.refit, num_epochs)
    engine = make_engine(recipe, scale, train, held_out, seed, compute)
    if initial is not None:
        from d2l_autorec.training.sparse.state import SparseState

        given = SparseState.from_weights(recipe.architecture, dict(initial), NumPyDraws(seed))
        engine.state.set_weights(given.weights())
    rmses = [epoch.rmse or 0.0 for epoch in history] if validation is not None else []
    best = BestEpoch(recipe.patience, rmses, dict(former.best_weights) if former else None)
    if former is not None:
        engine.state.load(former.arrays, former.step)
        former.best_weights.clear()

    def is_over() -> bool:
        return len(history) >= num_epochs or (validation is not None and best.is_over)

    def model(number: int) -> TrainedModel:
        network = Network(recipe, _finite_weights(engine), scale, number)
        return TrainedModel(recipe, (network,), (1.0,), ratings, tuple(history))

    left = 0 if is_over() else num_epochs - len(history)
    loop = engine.epochs(left)
    while not is_over():
        epoch = next(loop)
        rmse = None if epoch.rmse is None else epoch.rmse * scale.unit
        number = len(history) + 1
        epoch = replace(
            epoch, epoch=number, rmse=rmse, scored=scored, network=place.network, refit=place.refit
        )
        check_finite(epoch)
        history.append(epoch)
        if validation is not None and rmse is not None:
            best.add(rmse, engine.state.weights)
        if keeper is not None:
            keeper.after(history, best, engine, is_over())
        compute.follow(epoch)
        if compute.watch is not None:
            compute.watch(epoch, model(number))
        if keeper is not None and keeper.stops and not is_over():
            loop.close()
            raise KeyboardInterrupt
    if best.weights:
        engine.state.set_weights(best.weights)
        best.weights = {}
    if left:
        loop.close()
    else:
        next(loop, None)  # close would do nothing where it has not begun
    engine.state.forget_moments()
    return model(best.best if validation is not None else len(history))


def _finite_weights(engine: Engine) -> dict[str, np.ndarray]:
    weights = engine.state.network_weights()
    if not all(np.isfinite(values).all() for values in weights.values()):
        raise InputError(
            "Training diverged: some weights are not finite; train with a lower learning rate "
            "(--lr)."
        )
    return weights


def rating_range(ratings: sparse.csr_matrix) -> tuple[float, float]:
    """Return the lowest and the highest rating; an InputError where there is none."""
    if not ratings.nnz:
        raise InputError("There are no ratings to train on; give some.")
    return float(ratings.data.min()), float(ratings.data.max())
