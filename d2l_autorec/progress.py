"""Notices and progress bars on standard error, silent with ``--quiet``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


def tell(text: str | None, quiet: bool = False) -> None:
    """Write a notice, where there is one, to standard error."""
    if text and not quiet:
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def epochs_bar(
    num_epochs: int,
    quiet: bool = False,
    lines: bool = False,
    done: int = 0,
    before: tuple[str, Callable[[], object]] | None = None,
    label: str = "training",
) -> Iterator[Callable[[float, float | None], None]]:
    """Show a bar over the epochs of a training run, some of which an earlier process has done.

    With ``lines``, each epoch is a line instead, terminal or not: for a log. ``before`` is the
    bar's label and the function for what is to be done first. What this yields is to be called
    after each epoch, with the train loss and the held-out RMSE, if any.
    """
    from rich.progress import MofNCompleteColumn, TextColumn, TimeElapsedColumn

    columns = (MofNCompleteColumn(), TextColumn("{task.fields[reading]}"), TimeElapsedColumn())
    with _bar(*columns, quiet=quiet or lines) as progress:
        task = progress.add_task(label, total=num_epochs, completed=done, reading="")
        if before is not None:
            waiting, work = before
            progress.update(task, description=waiting, refresh=True)
            if lines:
                tell(waiting, quiet)
            work()
            progress.update(task, description=label)

        def advance(train_loss: float, rmse: float | None) -> None:
            reading = f"loss {train_loss:.4f}" + ("" if rmse is None else f", RMSE {rmse:.4f}")
            progress.update(task, advance=1, reading=reading)
            if lines:
                done = int(progress.tasks[0].completed)
                which = "" if label == "training" else f"{label}, "
                tell(f"{which}epoch {done}/{num_epochs}: {reading}", quiet)

        yield advance


@contextlib.contextmanager
def counting_bar(label: str, total: float, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Show a bar over a number of steps, or over seconds.

    What it yields takes the steps done since the last call and a text to show behind the bar.
    """
    from rich.progress import TextColumn, TimeElapsedColumn

    reading = TextColumn("{task.fields[reading]}")
    with _bar(TimeElapsedColumn(), reading, quiet=quiet) as progress:
        task = progress.add_task(label, total=total, reading="")

        def advance(steps: float, reading: str = "") -> None:
            progress.update(task, advance=steps, reading=reading)

        yield advance


@contextlib.contextmanager
def jobs_bar(label: str, total: int, done: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a bar over jobs of similar length; yield what is to be called after each of them."""
    from rich.progress import MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    left = (TextColumn("left"), Remaining())
    with _bar(MofNCompleteColumn(), TimeElapsedColumn(), *left, quiet=quiet) as progress:
        task = progress.add_task(label, total=total, completed=done)
        yield lambda: progress.advance(task)


def _bar(*columns: ProgressColumn, quiet: bool) -> Progress:
    """Return a labelled bar with these columns behind it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        *columns,
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    )
