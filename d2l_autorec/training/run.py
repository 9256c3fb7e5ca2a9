"""One training run from a ratings table to a result, with either engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.runtime import check_shares, seed_everything

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.models.autorec import AutoRec
    from d2l_autorec.training.distributed import Group
    from d2l_autorec.training.history import Epoch

COLUMNS = ("epoch", "train_loss", "test_rmse", "seconds")


@dataclass(frozen=True)
class Settings:
    """What a run is to do; the defaults are the chapter's.

    Attributes
    ----------
    engine : {"fast", "sparse"}
        The loop; both make the chapter's updates.
    by : {"item", "user"}
        What a row of the matrix is.
    hidden, encoder, decoder, dropout, input_dropout
        The network, see `d2l_autorec.models.autorec.AutoRec`.
    lr, wd, batch_size, num_epochs, test_ratio, seed
        As in the chapter.
    val_ratio : float
        Share of the training ratings held out to choose the epoch on; 0 for none.
    patience : int
        Epochs without a better validation RMSE after which a run with `val_ratio` stops.
    """

    engine: str = "fast"
    by: str = "item"
    hidden: tuple[int, ...] = (CHAPTER.num_hidden,)
    encoder: str = "sigmoid"
    decoder: str = "identity"
    dropout: float = CHAPTER.dropout_rate
    input_dropout: float = 0.0
    lr: float = CHAPTER.lr
    wd: float = CHAPTER.wd
    batch_size: int = CHAPTER.batch_size
    num_epochs: int = CHAPTER.num_epochs
    test_ratio: float = CHAPTER.test_ratio
    seed: int = 0
    val_ratio: float = 0.0
    patience: int = 5


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
    return {"command": "train", "settings": asdict(settings), "result": asdict(result)}


def check(
    settings: Settings, ratings: Ratings, num_devices: int = 1, num_workers: int = 1
) -> None:
    """Refuse settings that cannot work, before anything is written.

    Raises
    ------
    InputError
        Naming the setting and what it may be.
    """
    from d2l_autorec.data.split import check_ratio
    from d2l_autorec.models.autorec import check_architecture

    if settings.engine not in ("fast", "sparse"):
        raise InputError(f"--engine {settings.engine!r} is unknown; use fast or sparse.")
    if settings.by not in ("item", "user"):
        raise InputError(f"--by {settings.by!r} is unknown; use item or user.")
    rows, columns = ratings.num_items, ratings.num_users
    if settings.by == "user":
        rows, columns = columns, rows
    check_architecture(
        columns,
        settings.hidden,
        (settings.encoder, settings.decoder),
        (settings.dropout, settings.input_dropout),
    )
    check_ratio(settings.test_ratio)
    if not 0 <= settings.val_ratio < 1:
        raise InputError(f"--val-ratio is {settings.val_ratio}; give a share from 0 to below 1.")
    if not 1 <= settings.batch_size <= rows:
        raise InputError(
            f"--batch-size is {settings.batch_size}; give 1 to {rows}, the number of "
            f"{settings.by}s."
        )
    if settings.engine == "sparse" and num_devices > 1:
        raise InputError("--devices: the sparse engine runs on one CPU device; use cpu.")
    if num_workers > columns:
        raise InputError(
            f"--workers is {num_workers} and there are {columns} columns to share out; give fewer."
        )
    if num_workers > 1 and num_devices > 1:
        raise InputError("--devices: under launch each worker runs on one device; name one.")
    check_shares(settings.batch_size, num_devices)


def train(
    ratings: Ratings,
    settings: Settings,
    devices: list[Any] | None = None,
    advance: Callable[[float, float], None] = lambda train_loss, rmse: None,
    group: Group | None = None,
) -> tuple[AutoRec, Result, list[Epoch]]:
    """Split, train and score.

    With a validation share, training stops once that has not improved for `patience` epochs, and
    the result is that of the best epoch; the test ratings take no part in the choice.

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

    Returns
    -------
    net : AutoRec
        As it was after the last epoch that ran.
    result : Result
    epochs : list of Epoch
        ``test_rmse`` is over the validation ratings where there are some.

    Raises
    ------
    InputError
        From `check`, or if a split leaves nothing to train or to score.
    """
    import mxnet as mx

    from d2l_autorec.data.matrices import interaction_csr
    from d2l_autorec.data.split import holdout_split, random_split, split_digest
    from d2l_autorec.models.autorec import AutoRec

    devices = devices or [mx.cpu()]
    check(settings, ratings, len(devices), group.num_workers if group else 1)
    start = time.perf_counter()
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
    if group is not None:
        group.agree("What train was told to do", repr(settings))
        group.agree("The ratings or their split", ratings.digest + split_digest(test_rows))
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
    watched = val_csr if settings.val_ratio else test_csr
    loop, score = _engine(settings, net, train_csr, watched, devices, group)
    epochs: list[Epoch] = []
    best, lowest = None, math.inf
    for epoch in loop:
        epochs.append(epoch)
        rmse = epoch.test_rmse
        assert rmse is not None  # both engines were given ratings to score
        advance(epoch.train_loss, rmse)
        if not settings.val_ratio:
            best = (epoch, rmse)
        elif best is None or rmse < lowest:
            best, lowest = (epoch, score(test_csr)), rmse
        elif epoch.epoch - best[0].epoch >= settings.patience:
            break
    loop.close()  # which leaves the net as it is after the last epoch
    assert best is not None  # there is at least one epoch
    result = Result(
        test_rmse=best[1],
        val_rmse=lowest if settings.val_ratio else None,
        epoch=best[0].epoch,
        train_loss=best[0].train_loss,
        seconds=sum(epoch.seconds for epoch in epochs),
        total_seconds=time.perf_counter() - start,
        num_train=len(train_rows),
        num_val=len(val_rows),
        num_test=len(test_rows),
        data_digest=ratings.digest,
        split_digest=split_digest(test_rows),
    )
    return net, result, epochs


def _engine(
    settings: Settings,
    net: AutoRec,
    train_csr: Any,
    watched: Any,
    devices: list[Any],
    group: Group | None,
) -> tuple[Generator[Epoch, None, None], Callable[[Any], float]]:
    """Return the chosen loop, and how to score the net as it stands between two epochs."""
    numbers: dict[str, Any] = {
        "num_epochs": settings.num_epochs,
        "batch_size": settings.batch_size,
        "lr": settings.lr,
        "wd": settings.wd,
        "group": group,
    }
    if settings.engine == "fast":
        from d2l_autorec.training.fast import evaluate_fast, train_fast

        return (
            train_fast(net, train_csr, watched, devices=devices, **numbers),
            lambda test: evaluate_fast(net, train_csr, test, devices, group),
        )
    from d2l_autorec.training.sparse import SparseState, evaluate_sparse, train_sparse

    state = SparseState.from_net(net)
    threads = group.threads if group else None
    return (
        train_sparse(net, train_csr, watched, state=state, num_threads=threads, **numbers),
        lambda test: evaluate_sparse(state, train_csr, test, num_threads=threads, group=group),
    )
