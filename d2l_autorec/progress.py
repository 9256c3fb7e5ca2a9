"""Progress on stderr: shown to a person, silent with ``--quiet`` or where nobody watches."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def epochs_bar(
    num_epochs: int, quiet: bool = False, lines: bool = False
) -> Iterator[Callable[[float, float], None]]:
    """Show a bar over the epochs of a training run.

    Parameters
    ----------
    num_epochs : int
        The length of the bar.
    quiet : bool
        Show nothing.
    lines : bool
        Print a line for each epoch, terminal or not, in place of the bar: for a log.

    Yields
    ------
    callable
        To be called after each epoch with the train loss and the test RMSE.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    with Progress(
        TextColumn("training"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[reading]}"),
        Elapsed(),
        console=Console(stderr=True),
        disable=quiet or lines or not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task("training", total=num_epochs, reading="")

        def advance(train_loss: float, test_rmse: float) -> None:
            reading = f"loss {train_loss:.4f}, RMSE {test_rmse:.4f}"
            progress.update(task, advance=1, reading=reading)
            if lines and not quiet:
                done = int(progress.tasks[0].completed)
                print(f"epoch {done}/{num_epochs}: {reading}", file=sys.stderr, flush=True)

        yield advance
