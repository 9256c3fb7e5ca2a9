"""One training run from a ratings table to a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.runtime import num_threads, seed_everything
from d2l_autorec.training.checkpoint import Keeper, check_data
from d2l_autorec.training.engines import Compute, choose_draws
from d2l_autorec.training.fit import fit
from d2l_autorec.training.plan import Plan, check
from d2l_autorec.training.result import Result, baselines, history_table, pooled_rmse, record

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.models.trained import TrainedModel
    from d2l_autorec.training.checkpoint import Checkpoint, Keep
    from d2l_autorec.training.distributed.group import Group
    from d2l_autorec.training.history import Epoch

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
    advance: Callable[[float, float | None], None] = lambda train_loss, rmse: None,
    group: Group | None = None,
    keep: Keep | None = None,
    log: Callable[[Epoch], None] = lambda epoch: None,
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
    advance : callable
        Told the train loss and the RMSE after each epoch.
    group : Group, optional
        The workers to share the work with; the result is the same on all of them.
    keep : Keep, optional
        Where to leave checkpoints, as often as the plan says, and what to go on from.
    log : callable
        Told all of each epoch.
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
    data_digest, digest = ratings.digest, split_digest(test_rows)
    if former is not None:
        check_data(former, data_digest, digest)
    if group is not None:
        done = former.step if former else 0
        group.agree("What train was told to do", repr((plan, done)))
        group.agree("The ratings or their split", data_digest + digest)
    keeper, with_these = None, computed_with_so_far(former, group)
    if plan.checkpoint_every:
        keeper = Keeper(
            keep, plan, data_digest, digest, start, with_these, not group or group.is_first
        )
    shape, recipe = (ratings.num_users, ratings.num_items), plan.recipe
    test = ratings.table.iloc[test_rows]

    def follow(epoch: Epoch) -> None:
        advance(epoch.train_loss, epoch.rmse)
        log(epoch)

    model = fit(
        ratings.table,
        shape,
        recipe,
        plan.seed,
        rows=train_rows,
        test=interaction_csr(test, *shape),
        compute=Compute(plan.engine, tuple(devices), group),
        follow=follow,
        keeper=keeper,
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
        data_digest=data_digest,
        split_digest=digest,
        gain=model.networks[0].scale.gain if recipe.parts[0].is_damped else None,
        single_users=float(np.mean(per_user[per_user > 0] == 1)),
        computed_with=with_these,
    )
    return model, result, epochs


def computed_with(group: Group | None) -> tuple[int, int]:
    """Return the numbers of threads and of workers, on which the last bits depend."""
    return num_threads(), group.num_workers if group else 1


def computed_with_so_far(
    former: Checkpoint | None, group: Group | None
) -> tuple[tuple[int, int], ...]:
    """Return all these numbers of a run, from the first ones to those of this process."""
    before, now = former.computed_with if former else (), computed_with(group)
    return before if before[-1:] == (now,) else (*before, now)
