"""What a training run is told to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.runtime import check_shares

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings

_MAX_WEIGHTS = 2**31 - 1  # in one array


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
    checkpoint_every : int
        Epochs between two checkpoints; 0 for none. With checkpoints the generators are seeded
        anew for each epoch, so that the draws are not the book's.
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
    checkpoint_every: int = 0


def parse_hidden(text: str) -> tuple[int, ...]:
    """Turn ``500,100,500`` into sizes; an InputError says what is none."""
    sizes = [size.strip() for size in text.split(",")]
    if not all(size.isdecimal() and len(size) < 10 for size in sizes):
        raise InputError(f"--hidden {text[:80]!r} is no list of sizes; write 500 or 500,100,500.")
    return tuple(map(int, sizes))


def parse_range(text: str) -> tuple[float, float]:
    """Turn ``1,5`` into the lowest and the highest rating; an InputError says what is none."""
    try:
        low, high = map(float, text.split(","))
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError
    except ValueError:
        raise InputError(
            f"--rating-range {text[:80]!r} is no range; write the lowest and the highest rating, "
            "as in 1,5."
        ) from None
    return low, high


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
    sizes = (columns, *settings.hidden, columns)
    if max(a * b for a, b in zip(sizes, sizes[1:])) >= _MAX_WEIGHTS:
        raise InputError(
            f"--hidden {','.join(map(str, settings.hidden))} with {columns:,} columns makes a "
            "layer of more than 2^31 weights, which MXNet cannot hold; give fewer hidden units."
        )
    for option, value in (("--lr", settings.lr), ("--wd", settings.wd)):
        if not 0 <= value < math.inf:
            raise InputError(f"{option} is {value}; give a number of 0 or more.")
    check_ratio(settings.test_ratio)
    if not 0 <= settings.val_ratio < 1:
        raise InputError(f"--val-ratio is {settings.val_ratio}; give a share from 0 to below 1.")
    if not 1 <= settings.batch_size <= rows:
        raise InputError(
            f"--batch-size is {settings.batch_size}; give 1 to {rows}, the number of "
            f"{settings.by}s."
        )
    if settings.checkpoint_every < 0:
        raise InputError(
            f"--checkpoint-every is {settings.checkpoint_every}; give a number of epochs."
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
