"""One training run from a ratings table to a result, with either engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.runtime import seed_everything
from d2l_autorec.training.settings import Settings, check

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.models.autorec import AutoRec
    from d2l_autorec.training.checkpoint import Keep
    from d2l_autorec.training.distributed import Group
    from d2l_autorec.training.history import Epoch

__all__ = ["COLUMNS", "Result", "Settings", "check", "record", "split", "train"]

COLUMNS = ("epoch", "train_loss", "test_rmse", "seconds")


@dataclass(frozen=True)
class Result:
    """What came of it.

    Attributes
    ----------
    test_rmse : float
        Pooled RMSE over the held-out ratings after `epoch`, in the ratings' unit.
    val_rmse : float or None
        The same over the validation ratings, where there are some.
    epoch : int
        The last one, or the best on validation.
    train_loss : float
        Mean batch loss of that epoch.
    seconds : float
        Training alone, over all epochs run.
    total_seconds : float
        From the split on, evaluation included.
    num_train, num_val, num_test : int
        Ratings.
    data_digest, split_digest : str
        SHA-256 of the ratings file and of the held-out row numbers.
    """

    test_rmse: float
    val_rmse: float | None
    epoch: int
    train_loss: float
    seconds: float
    total_seconds: float
    num_train: int
    num_val: int
    num_test: int
    data_digest: str
    split_digest: str


def record(settings: Settings, result: Result) -> dict[str, Any]:
    """Return what ``run.json`` and ``--json`` hold."""
    return {
        "command": "train",
        "settings": asdict(settings),
        "draws": "seeded for each epoch" if settings.checkpoint_every else "the book's",
        "result": asdict(result),
    }


def split(ratings: Ratings, settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the rows of the table to train, to validate and to test on.

    The same settings give the same rows. Both global generators are seeded, and MXNet's is drawn
    from as the chapter does.

    Returns
    -------
    train_rows, val_rows, test_rows : numpy.ndarray of int64

    Raises
    ------
    InputError
        If nothing is left to train or to score.
    """
    from d2l_autorec.data.split import holdout_split, random_split

    seed_everything(settings.seed)
    train_rows, test_rows = random_split(ratings.table, settings.test_ratio)
    val_rows = train_rows[:0]
    if settings.val_ratio:
        kept, chosen = holdout_split(len(train_rows), settings.val_ratio, settings.seed)
        train_rows, val_rows = train_rows[kept], train_rows[chosen]
    if not len(train_rows) or not len(test_rows):
        raise InputError(
            f"{ratings.name}: of its {len(ratings.table)} ratings none is left to train on or to "
            "score with; give more ratings or another --test-ratio."
        )
    return train_rows, val_rows, test_rows


def train(
    ratings: Ratings,
    settings: Settings,
    devices: list[Any] | None = None,
    advance: Callable[[float, float], None] = lambda train_loss, rmse: None,
    group: Group | None = None,
    keep: Keep | None = None,
    log: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[AutoRec, Result, list[Epoch]]:
    """Split, train and score.

    With a validation share, training stops once that has not improved for `patience` epochs, and
    net and result are those of the best epoch; the test ratings take no part in the choice.

    A run with checkpoints that goes on from one of them ends with the parameters and the history
    that it would have had in one go, to the last bit, given as many threads and workers.

    Parameters
    ----------
    ratings : Ratings
    settings : Settings
    devices : list of mxnet.Context, optional
        For the fast engine; one CPU by default.
    advance : callable
        Told the train loss and the RMSE after each epoch.
    group : Group, optional
        The workers to share the work with; the result is the same on all of them.
    keep : Keep, optional
        Where to leave checkpoints, as often as the settings say, and what to go on from.
    log : callable
        Told all of each epoch.

    Returns
    -------
    net : AutoRec
        As it was after the epoch that the result is of.
    result : Result
    epochs : list of Epoch
        ``test_rmse`` is over the validation ratings where there are some.

    Raises
    ------
    InputError
        From `check`, if a split leaves nothing to train or to score, or if a checkpoint is of
        other data or cannot be written.
    KeyboardInterrupt
        After a checkpoint, where `keep` says that the run is to stop.
    """
    import mxnet as mx

    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import split_digest
    from d2l_autorec.models.autorec import AutoRec
    from d2l_autorec.training._engines import make_engine
    from d2l_autorec.training.batches import rollover_batches
    from d2l_autorec.training.checkpoint import Checkpoint, check_data, save

    devices = devices or [mx.cpu()]
    check(settings, ratings, len(devices), group.num_workers if group else 1)
    keep = keep if settings.checkpoint_every else None
    former = keep.former if keep else None
    start = time.perf_counter() - (former.seconds if former else 0)
    train_rows, val_rows, test_rows = split(ratings, settings)
    digests = {"data_digest": ratings.digest, "split_digest": split_digest(test_rows)}
    if former is not None:
        check_data(former, **digests)
    if group is not None:
        done = former.step if former else 0
        group.agree("What train was told to do", repr((settings, done)))
        group.agree("The ratings or their split", "".join(digests.values()))
    train_csr, val_csr, test_csr = (
        interaction_csr(
            ratings.table, ratings.num_users, ratings.num_items, rows, settings.by == "user"
        )
        for rows in (train_rows, val_rows, test_rows)
    )
    net = AutoRec(
        train_csr.shape[1],
        settings.hidden,
        settings.encoder,
        settings.decoder,
        settings.dropout,
        settings.input_dropout,
    )
    net.initialize(mx.init.Normal(CHAPTER.sigma), ctx=devices)
    batches = rollover_batches(
        train_csr.shape[0],
        settings.batch_size,
        former.rest if former else None,
        settings.seed if settings.checkpoint_every else None,
        epoch=len(former.history) if former else 0,
    )
    watched = val_csr if settings.val_ratio else test_csr
    engine = make_engine(settings, net, train_csr, watched, devices, group, batches)
    course = _Course(settings)
    if former is not None:
        engine.state.load(former.arrays, former.step)
        course = _Course(
            settings,
            list(former.history),
            former.best_epoch,
            former.best_test_rmse,
            former.best_weights,
        )

    def checkpoint() -> None:
        arrays, best_weights = engine.whole(course.weights)
        if keep is None or not (group is None or group.is_first):
            return
        reached = Checkpoint(
            settings=settings,
            options=keep.options,
            **digests,
            history=tuple(course.epochs),
            best_epoch=course.best,
            best_test_rmse=course.test_rmse,
            step=engine.state.step,
            seconds=time.perf_counter() - start,
            rest=batches.rest,
            arrays=arrays,
            best_weights=best_weights,
        )
        save(keep.folder, reached)

    left = 0 if course.is_over() else settings.num_epochs - len(course.epochs)
    loop = engine.epochs(left)
    while not course.is_over():
        epoch = next(loop)
        epoch = replace(epoch, epoch=len(course.epochs) + 1)
        rmse = epoch.test_rmse
        assert rmse is not None  # both engines were given ratings to score
        if course.add(epoch):
            course.test_rmse = rmse
            if settings.val_ratio:
                course.test_rmse = engine.score(test_csr)
                course.weights = engine.state.weights()
        stopping = keep is not None and keep.stopping()
        due = keep and not epoch.epoch % settings.checkpoint_every
        if keep and (due or stopping or course.is_over()):
            checkpoint()
        advance(epoch.train_loss, rmse)
        log(epoch)
        if stopping and not course.is_over():
            loop.close()
            raise KeyboardInterrupt
    if course.weights:
        engine.state.set_weights(course.weights)
    if left:
        loop.close()
    else:
        next(loop, None)  # close would do nothing where it has not begun
    # ... and the net is as the state is.
    chosen = course.epochs[course.best - 1]
    result = Result(
        test_rmse=course.test_rmse,
        val_rmse=chosen.test_rmse if settings.val_ratio else None,
        epoch=course.best,
        train_loss=chosen.train_loss,
        seconds=sum(epoch.seconds for epoch in course.epochs),
        total_seconds=time.perf_counter() - start,
        num_train=len(train_rows),
        num_val=len(val_rows),
        num_test=len(test_rows),
        **digests,
    )
    return net, result, course.epochs


@dataclass
class _Course:
    """How far a run has come; `best` is 0 before the first epoch."""

    settings: Settings
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    test_rmse: float = math.nan
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, epoch: Epoch) -> bool:
        """Return whether the epoch is the best one now."""
        self.epochs.append(epoch)
        rmses = np.array([epoch.test_rmse for epoch in self.epochs], float)
        if self.settings.val_ratio and self.best and not rmses[-1] < rmses[self.best - 1]:
            return False
        self.best = epoch.epoch
        return True

    def is_over(self) -> bool:
        """Tell whether the last epoch has been, or the patience is used up."""
        waited = len(self.epochs) - self.best if self.settings.val_ratio else 0
        return len(self.epochs) >= self.settings.num_epochs or waited >= self.settings.patience
