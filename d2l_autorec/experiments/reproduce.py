"""The chapter's run beside the numbers in the book."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from d2l_autorec.config import CHAPTER
from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.matrices import interaction_matrix
from d2l_autorec.data.split import random_split, split_digest
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.progress import epochs_bar
from d2l_autorec.runtime import check_shares, seed_everything
from d2l_autorec.training import run
from d2l_autorec.training.session import compilation, follower

if TYPE_CHECKING:
    from d2l_autorec.chapter.quiet import Training

COLUMNS = ("epoch", "train_loss", "test_rmse")
ENGINES = ("book", "fast", "sparse")
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Reproduction:
    """The outcome of the chapter's run.

    Attributes
    ----------
    test_rmse : float
        After the last epoch, in stars.
    printed_train_loss : str
        As d2l prints it: the cumulative loss of the last epoch over the number of examples. Empty
        if the loop is not d2l's.
    train_loss : float
        The mean of the last epoch's batch losses.
    cells_per_second, rows_per_second : float
        Training speed. d2l calls the cells "examples"; a row is an item.
    seconds : float
        From the split to the last evaluation.
    devices : list of str
    seed, num_epochs : int
    data_digest, split_digest : str
        SHA-256 of the ratings file and of the held-out row numbers.
    engine : {"book", "fast", "sparse"}
        The loop: d2l's own, or one of the package's with the chapter's settings.
    """

    test_rmse: float
    printed_train_loss: str
    train_loss: float
    cells_per_second: float
    rows_per_second: float
    seconds: float
    devices: list[str]
    seed: int
    num_epochs: int
    data_digest: str
    split_digest: str
    engine: str = "book"

    def record(self) -> dict[str, Any]:
        """Return what ``run.json`` and ``--json`` hold."""
        book = {"test_rmse": CHAPTER.test_rmse, "printed_train_loss": CHAPTER.train_loss}
        record = {"command": "reproduce", "settings": asdict(CHAPTER), "book": book}
        return {**record, "result": asdict(self)}

    def shown(self) -> dict[str, str]:
        """Return the figures for `table`, by quantity."""
        return {
            "test RMSE": f"{self.test_rmse:.3f}",
            "train loss as d2l prints it": self.printed_train_loss,
            "train loss, mean of a batch": f"{self.train_loss:.4f}",
            "matrix cells per second": f"{self.cells_per_second / 1e6:.1f} million",
            "rows (items) per second": f"{self.rows_per_second:,.0f}",
            "epochs": str(self.num_epochs),
            "devices": ", ".join(self.devices),
            "seed": str(self.seed),
            "seconds": f"{self.seconds:.1f}",
        }


def table(results: Sequence[Reproduction]) -> list[tuple[str, ...]]:
    """Return the comparison: the quantity, the book's value, and the value of each run."""
    book = {
        "test RMSE": CHAPTER.test_rmse,
        "train loss as d2l prints it": CHAPTER.train_loss,
        "epochs": str(CHAPTER.num_epochs),
    }
    shown = [result.shown() for result in results]
    return [(name, book.get(name, ""), *(one[name] for one in shown)) for name in shown[0]]


def record(results: Sequence[Reproduction]) -> dict[str, Any]:
    """Return what ``--json`` prints: the record of a run, or one record for several runs."""
    first = results[0].record()
    if len(results) == 1:
        return first
    del first["result"]
    return {**first, "results": {result.engine: asdict(result) for result in results}}


def parse_engines(text: str) -> list[str]:
    """Read ``book`` or ``book,fast,sparse``, or raise an InputError."""
    engines = [name.strip() for name in text.split(",")]
    if not set(engines) <= set(ENGINES) or len(set(engines)) < len(engines):
        raise InputError(
            f"--engine {text!r} is not understood; write book, fast or sparse, or several with "
            "commas between them."
        )
    return engines


def check(ratings: Ratings, devices: list[Any], engines: Sequence[str] = ("book",)) -> None:
    """Raise an InputError if the chapter's code, or another engine, cannot use the ratings.

    That is so if the devices cannot share a batch evenly or a rating is not above zero.
    """
    check_shares(CHAPTER.batch_size, len(devices))
    if not (ratings.table["rating"] > 0).all():
        raise InputError(
            f"{ratings.name}: the chapter reads 0 as 'not rated' and masks by sign; "
            "give it ratings above zero."
        )
    for engine in set(engines) - {"book"}:
        run.check(run.Plan(engine=engine), ratings, len(devices))


def reproduce_with(
    engine: str,
    ratings: Ratings,
    seed: int = 0,
    devices: list[Any] | None = None,
    num_epochs: int = CHAPTER.num_epochs,
    quiet: bool = False,
) -> tuple[Reproduction, list[Row]]:
    """Run `reproduce` with d2l's loop or with another engine, on the same split.

    Beside the reproduction there is the history, whose columns are ``COLUMNS``.
    """
    import mxnet as mx

    devices = devices or [mx.cpu()]
    if engine == "book":
        result, training = reproduce(ratings, seed, devices, num_epochs, quiet)
        epochs = range(1, num_epochs + 1)
        return result, list(zip(epochs, training.train_loss, training.test_rmse))
    plan = run.Plan(RECIPES["chapter"].but(num_epochs=num_epochs), engine, seed=seed)
    with epochs_bar(num_epochs, quiet, before=compilation(engine)) as advance:
        _, found, history = run.train(ratings, plan, devices, follower(advance))
    batches = ratings.num_items * num_epochs // CHAPTER.batch_size
    rows_per_second = batches * CHAPTER.batch_size / found.seconds
    reproduction = Reproduction(
        test_rmse=found.test_rmse,
        printed_train_loss="",
        train_loss=found.train_loss,
        cells_per_second=rows_per_second * ratings.num_users,
        rows_per_second=rows_per_second,
        seconds=found.total_seconds,
        devices=[str(device) for device in devices],
        seed=seed,
        num_epochs=num_epochs,
        data_digest=found.data_digest,
        split_digest=found.split_digest,
        engine=engine,
    )
    return reproduction, [(e.epoch, e.train_loss, e.rmse) for e in history]


def reproduce(
    ratings: Ratings,
    seed: int = 0,
    devices: list[Any] | None = None,
    num_epochs: int = CHAPTER.num_epochs,
    quiet: bool = False,
) -> tuple[Reproduction, Training]:
    """Split the ratings at random and train the chapter's network on nine tenths of them.

    Parameters
    ----------
    ratings : Ratings
        Those that `check` accepts.
    seed : int
        Seed of both generators, set just before the split.
    devices : list of mxnet.Context, optional
        One CPU by default.
    num_epochs : int
    quiet : bool
        Show no progress.

    Returns
    -------
    reproduction : Reproduction
    training : Training
        The history.
    """
    import mxnet as mx

    from d2l_autorec.chapter.autorec import train_autorec

    devices = devices or [mx.cpu()]
    check(ratings, devices)
    start = time.perf_counter()
    seed_everything(seed)
    rows = random_split(ratings.table, CHAPTER.test_ratio)
    shape = ratings.num_users, ratings.num_items
    train, test = (mx.np.array(interaction_matrix(ratings.table, *shape, own)) for own in rows)
    _, training = train_autorec(train, test, devices, num_epochs=num_epochs, quiet=quiet)
    cells = training.cells_per_second()
    reproduction = Reproduction(
        test_rmse=training.test_rmse[-1],
        printed_train_loss=training.printed_train_loss(),
        train_loss=training.train_loss[-1],
        cells_per_second=cells,
        rows_per_second=cells / ratings.num_users,
        seconds=time.perf_counter() - start,
        devices=[str(device) for device in devices],
        seed=seed,
        num_epochs=num_epochs,
        data_digest=ratings.digest,
        split_digest=split_digest(rows[1]),
    )
    return reproduction, training
