"""One training run: split, train, score and, if the plan says so, train again on all ratings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.blend import Weighed, blend, member_seeds
from d2l_autorec.training.checkpoint import Keeper, computed_with_so_far
from d2l_autorec.training.engines import Compute, choose_draws
from d2l_autorec.training.fit import Place, fit, fit_network, rating_range
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.plan import Plan, check
from d2l_autorec.training.result import Result, baselines, history_table, pooled_rmse, record

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.models.trained import TrainedModel
    from d2l_autorec.training.checkpoint import Keep
    from d2l_autorec.training.distributed.group import Group

Split = tuple[np.ndarray, np.ndarray]

__all__ = ["Plan", "Result", "check", "history_table", "record", "split", "train"]


def split(ratings: Ratings, plan: Plan, rows: Split | None = None) -> Split:
    """Divide the rows of the table into those to train and those to test on.

    The same plan gives the same rows. With draws from MXNet both global generators are seeded, and
    the split "random" draws from MXNet's as the chapter does; else NumPy draws.

    Parameters
    ----------
    ratings : Ratings
    plan : Plan
    rows : (numpy.ndarray, numpy.ndarray), optional
        The rows, where they are known already.

    Returns
    -------
    train_rows, test_rows : numpy.ndarray of int64
        The validation ratings are among the former.

    Raises
    ------
    InputError
        If there is no such split, or nothing is left to train or to score.
    """
    from d2l_autorec.data.protocols import named_split
    from d2l_autorec.data.split import holdout_split

    num_ratings = len(ratings.table)
    from_mxnet = choose_draws(plan.recipe.parts[0], plan.engine) == "mxnet"
    if from_mxnet:
        seed_everything(plan.seed)  # whatever the split: the book's draws go on from here
    if rows is not None:
        train_rows, test_rows = rows
    elif from_mxnet or plan.split != "random":
        train_rows, test_rows = named_split(plan.split, ratings, plan.test_ratio)
    elif num_ratings < 2:
        train_rows = test_rows = np.arange(0)
    else:  # a seed of its own: the validation ratings are drawn with the plan's
        own = int(np.random.SeedSequence([plan.seed, 1]).generate_state(1)[0])
        train_rows, test_rows = holdout_split(num_ratings, plan.test_ratio, own)
    if len(train_rows) < (2 if plan.recipe.val_ratio else 1) or not len(test_rows):
        raise InputError(
            f"{ratings.name}: of its {num_ratings} ratings none is left to train on or to "
            "score with; give more ratings or another --test-ratio."
        )
    return train_rows, test_rows


def train(
    ratings: Ratings,
    plan: Plan,
    devices: Sequence[Any] = (),
    follow: Callable[[Epoch], None] = lambda epoch: None,
    group: Group | None = None,
    keep: Keep | None = None,
    rows: Split | None = None,
) -> tuple[TrainedModel, Result, list[Epoch]]:
    """Split, train as the recipe says, and score.

    The test ratings take no part in any choice.

    A run with checkpoints that goes on from one of them ends with the parameters and the history
    that it would have had in one go, to the last bit, given as many threads and workers.

    Parameters
    ----------
    ratings : Ratings
    plan : Plan
    devices : sequence of mxnet.Context
        For the dense engine; one CPU by default.
    follow : callable
        Told of each epoch.
    group : Group, optional
        The workers to share the work with; the result is the same on all of them.
    keep : Keep, optional
        Where to leave checkpoints, as often as the plan says, and what to go on from.
    rows : (numpy.ndarray, numpy.ndarray), optional
        The rows to train and to test on, in place of the plan's split.

    Returns
    -------
    model : TrainedModel
    result : Result
    epochs : list of Epoch

    Raises
    ------
    InputError
        From `check`, if a split leaves nothing to train or to score, if a checkpoint is of other
        data or cannot be written, or if the training diverges.
    KeyboardInterrupt
        After a checkpoint, where `keep` says that the run is to stop.
    """
    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import num_held_out, split_digest

    check(plan, ratings, max(len(devices), 1), group.num_workers if group else 1)
    former = keep.former if keep and plan.checkpoint_every else None
    start = time.perf_counter() - (former.seconds if former else 0)
    train_rows, test_rows = split(ratings, plan, rows)
    digests = ratings.digest, split_digest(test_rows)
    keeper = Keeper(keep, plan, digests, start, group) if plan.checkpoint_every else None
    if group is not None:
        done = former.step if former else 0
        group.agree("What train was told to do", repr((plan, done)))
        group.agree("The ratings or their split", "".join(digests))
    shape, recipe = (ratings.num_users, ratings.num_items), plan.recipe
    test = ratings.table.iloc[test_rows]
    model = fit(
        ratings.table,
        shape,
        recipe,
        plan.seed,
        rows=train_rows,
        test=interaction_csr(test, *shape),
        compute=Compute(plan.engine, tuple(devices), group, follow, keeper=keeper),
    )
    users, items, stars = (test[name].to_numpy() for name in ("user", "item", "rating"))
    epochs, one = list(model.history), recipe.num_networks == 1
    chosen = [e for e in epochs if e.epoch == model.epoch] if one else epochs
    num_val = num_held_out(len(train_rows), recipe.val_ratio) if recipe.val_ratio else 0
    table = ratings.table.iloc[train_rows]
    mean_rmse, biases_rmse = baselines(table, shape, test)
    per_user = np.bincount(table["user"].to_numpy())
    result = Result(
        test_rmse=pooled_rmse(model.predict(users, items), stars),
        mean_rmse=mean_rmse,
        biases_rmse=biases_rmse,
        val_rmse=model.val_rmse,
        epoch=model.epoch if one else None,
        train_loss=chosen[-1].train_loss,
        networks=len(model.networks),
        seconds=sum(epoch.seconds for epoch in epochs),
        total_seconds=time.perf_counter() - start,
        num_train=len(train_rows) - (0 if recipe.refit else num_val),
        num_val=num_val,
        num_test=len(test_rows),
        draws=choose_draws(recipe.parts[0], plan.engine),
        data_digest=digests[0],
        split_digest=digests[1],
        gain=model.networks[0].scale.gain if recipe.parts[0].is_damped else None,
        single_users=float(np.mean(per_user[per_user > 0] == 1)),
        computed_with=computed_with_so_far(former, group),
    )
    return model, result, epochs


@dataclass(frozen=True)
class Scored:
    """What training again on all ratings needs to know of the scored model.

    Attributes
    ----------
    recipe : Recipe
        As it was followed, with the weights of a blend.
    epochs : tuple of int
        Of each network.
    gains : tuple of float
        Of each network; see `d2l_autorec.models.biases.Scale`.
    result : Result
    history : tuple of Epoch
    """

    recipe: Recipe
    epochs: tuple[int, ...]
    gains: tuple[float, ...]
    result: Result
    history: tuple[Epoch, ...]

    @classmethod
    def of(cls, model: TrainedModel, result: Result, history: Sequence[Epoch]) -> Scored:
        """Make it from what `train` has returned."""
        epochs = tuple(network.epoch for network in model.networks)
        gains = tuple(network.scale.gain for network in model.networks)
        return cls(model.recipe, epochs, gains, result, tuple(history))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return {**asdict(self), "recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scored:
        """Make it from what `to_dict` has returned, or raise an InputError."""
        try:
            result = dict(values["result"])
            result["computed_with"] = tuple(map(tuple, result["computed_with"]))
            return cls(
                Recipe.from_dict(values["recipe"]),
                tuple(map(int, values["epochs"])),
                tuple(map(float, values["gains"])),
                Result(**result),
                tuple(Epoch(**epoch) for epoch in values["history"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                "The checkpoint does not say how the model was scored; start the run again in a "
                "new folder."
            ) from None


def train_on_all(
    ratings: Ratings,
    plan: Plan,
    scored: Scored,
    devices: Sequence[Any] = (),
    follow: Callable[[Epoch], None] = lambda epoch: None,
    group: Group | None = None,
    keep: Keep | None = None,
) -> TrainedModel:
    """Train a scored model again, on all ratings: those for validation and the test too.

    Epochs, gains and weights are those of the scored model. No ratings are left to score the new
    model with; the reported score is that of the scored model.

    Each network has the seed that `fit` gives it. Where the recipe's draws are the book's, which
    go on from the split, both generators are seeded, so that a run that was interrupted ends with
    the same bits.

    Parameters
    ----------
    scored : Scored
    ratings, plan, devices, follow, group, keep
        As for `train`. What ``keep`` goes on from counts if it stands in this training.

    Raises
    ------
    InputError, KeyboardInterrupt
        As `train`.
    """
    from d2l_autorec.data.matrices import interaction_csr

    former = keep.former if keep else None
    if keep is not None and former is not None and not former.scored:
        keep, former = replace(keep, former=None), None
    digests = ratings.digest, scored.result.split_digest
    start = time.perf_counter() - (former.seconds if former else scored.result.total_seconds)
    keeper = None
    if plan.checkpoint_every:
        keeper = Keeper(keep, plan, digests, start, group, scored.to_dict())
    if group is not None:
        group.agree("What train was told to do", repr((plan, former.step if former else 0)))
        group.agree("The model's epochs", repr(scored.epochs))
    whole = interaction_csr(ratings.table, ratings.num_users, ratings.num_items)
    recipe = replace(plan.recipe, weights=scored.recipe.weights)
    recipe = recipe.for_ratings(ratings.num_users, ratings.num_items, rating_range(whole))
    compute = Compute(plan.engine, tuple(devices), group, follow, keeper=keeper)
    train = partial(fit_network, whole, compute=compute)
    seeds = member_seeds(plan.seed, recipe.num_seeds)
    epochs = iter(scored.epochs)  # networks of weight zero have none
    history: list[Epoch] = []

    def again(place: int, _: float) -> TrainedModel:
        part = recipe.parts[place // len(seeds)]
        if part.draws == "book":
            part = replace(part, draws="mxnet")
        seed = seeds[place % len(seeds)]
        model = train(part, seed, stop=next(epochs), place=Place(place + 1, True))
        history.extend(model.history)
        return model

    gain = next((gain for gain in scored.gains if gain != 1), 1.0)  # all damped ones have it
    weighed = Weighed(recipe.weights or (1.0,), gain)
    return replace(blend(recipe, whole, weighed, again), history=tuple(history))
