"""Progress on stderr: shown to a person, silent with ``--quiet`` or where nobody watches."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def epochs_bar(
    num_epochs: int,
    quiet: bool = False,
    lines: bool = False,
    done: int = 0,
    before: tuple[str, Callable[[], object]] | None = None,
    label: str = "training",
) -> Iterator[Callable[[float, float | None], None]]:
    """Show a bar over the epochs of a training run.

    Parameters
    ----------
    num_epochs : int
        The length of the bar.
    quiet : bool
        Show nothing.
    lines : bool
        Print a line for each epoch, terminal or not, in place of the bar: for a log.
    done : int
        Epochs that an earlier process has been through.
    before : (str, callable), optional
        What is to be done before the training, and the bar's label meanwhile.
    label : str
        What the bar is about.

    Yields
    ------
    callable
        To be called after each epoch with the train loss and the held-out RMSE, if any.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[reading]}"),
        Elapsed(),
        console=Console(stderr=True),
        disable=quiet or lines or not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task(label, total=num_epochs, completed=done, reading="")
        if before is not None:
            waiting, work = before
            progress.update(task, description=waiting, refresh=True)
            if lines and not quiet:
                print(waiting, file=sys.stderr, flush=True)
            work()
            progress.update(task, description=label)

        def advance(train_loss: float, rmse: float | None) -> None:
            reading = f"loss {train_loss:.4f}" + ("" if rmse is None else f", RMSE {rmse:.4f}")
            progress.update(task, advance=1, reading=reading)
            if lines and not quiet:
                done = int(progress.tasks[0].completed)
                which = "" if label == "training" else f"{label}, "
                print(f"{which}epoch {done}/{num_epochs}: {reading}", file=sys.stderr, flush=True)

        yield advance


@contextlib.contextmanager
def counting_bar(label: str, total: float, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Show a bar over a number of steps, or over seconds.

    Yields
    ------
    callable
        To be called with the number of steps done since the last call and, optionally, with a
        text to show behind the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[reading]}"),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task(label, total=total, reading="")

        def advance(steps: float, reading: str = "") -> None:
            progress.update(task, advance=steps, reading=reading)

        yield advance
