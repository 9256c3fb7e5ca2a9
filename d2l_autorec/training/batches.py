"""The order in which the chapter's DataLoader hands out rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from d2l_autorec.errors import InputError
from d2l_autorec.training.draws import Draws, GlobalDraws


class RolloverBatches(Iterator[list[np.ndarray]]):
    """The batches of one epoch after another, without end.

    The order is that of ``gluon.data.DataLoader(shuffle=True, last_batch='rollover')``: rows are
    shuffled once an epoch, at the moment the epoch is asked for, and what does not fill a batch
    opens the next epoch. A batch that spans two epochs may hold a row twice. Each item is the list
    of an epoch's batches: arrays of ``batch_size`` row numbers (int64).

    Parameters
    ----------
    num_rows, batch_size : int
        Rows there are, and rows in every batch.
    rest : numpy.ndarray, optional
        Rows that an earlier run left over, int64. The attribute ``rest`` has those that fill no
        batch yet, for a checkpoint to resume in step.
    seed : int, optional
        Seed the draws for each epoch, from this and the epoch's number. They are then not the
        book's, but those of any epoch can be found again: MXNet's generator cannot be read back.
    epoch : int
        Epochs that an earlier run has been through. The attribute ``epoch`` counts on.
    draws : Draws, optional
        Where the order comes from; NumPy's global generator, as in the book, by default.

    Raises
    ------
    InputError
        If ``batch_size`` is not between 1 and ``num_rows``: an epoch could have no batch; or if
        ``rest`` holds something else than rows.
    """

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        rest: np.ndarray | None = None,
        seed: int | None = None,
        epoch: int = 0,
        draws: Draws | None = None,
    ) -> None:
        if not 1 <= batch_size <= num_rows:
            raise InputError(
                f"batch_size is {batch_size}; give 1 to {num_rows}, the number of rows."
            )
        rest = np.empty(0, np.int64) if rest is None else rest
        are_rows = rest.dtype == np.int64 and rest.ndim == 1
        if not are_rows or not np.isin(rest, np.arange(num_rows)).all():
            raise InputError(
                f"rest is not a list of row numbers below {num_rows}; take an empty one."
            )
        self.num_rows, self.batch_size, self.rest = num_rows, batch_size, rest
        self.seed, self.epoch, self.draws = seed, epoch, draws or GlobalDraws()

    def __next__(self) -> list[np.ndarray]:
        self.epoch += 1
        if self.seed is not None:
            sequence = np.random.SeedSequence([self.seed, self.epoch])
            self.draws.seed(int(sequence.generate_state(1)[0]))
        rows = np.arange(self.num_rows)
        self.draws.shuffle(rows)
        rows = np.concatenate([self.rest, rows])
        full = len(rows) // self.batch_size * self.batch_size
        self.rest = rows[full:]
        return list(rows[:full].reshape(-1, self.batch_size))
