"""Log a run for TensorBoard."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from d2l_autorec.errors import refused
from d2l_autorec.packages import require
from d2l_autorec.training.history import Epoch


@contextlib.contextmanager
def tensorboard(folder: Path | None, first_epoch: int = 1) -> Iterator[Callable[[Epoch], None]]:
    """Log loss, RMSE and seconds of each epoch in a folder, for ``tensorboard --logdir``.

    Yields a function of each `Epoch`; without a folder it logs nothing. What an earlier process
    has logged from ``first_epoch`` on is no longer shown.

    Raises
    ------
    InputError
        If tensorboardX is missing or the folder cannot be written.
    """
    if folder is None:
        yield lambda epoch: None
        return
    library = require("tensorboardX", "tensorboard", "--tensorboard")
    with refused(f"--tensorboard {folder} cannot be written", "name another folder"):
        writer = library.SummaryWriter(str(folder), purge_step=first_epoch)
    steps = itertools.count(first_epoch)

    def log(epoch: Epoch) -> None:
        step = next(steps)
        writer.add_scalar("train_loss", epoch.train_loss, step)
        if epoch.rmse is not None:
            writer.add_scalar("rmse", epoch.rmse, step)
        writer.add_scalar("seconds", epoch.seconds, step)
        writer.flush()

    with contextlib.closing(writer):
        yield log
