"""What surrounds the book's training loop: its Animator, and the two lines that it prints.

``d2l.train_recsys_rating`` creates a ``d2l.Animator`` and prints its result. Neither is of use
outside a notebook, where the Animator writes ``<Figure size ...>`` at every epoch. For the time of
a run something that also keeps the history stands in its place.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from d2l import mxnet as d2l

from d2l_autorec.progress import epochs_bar


@dataclass
class Training:
    """What the book's loop showed: what the Animator draws for each epoch, and what d2l prints."""

    train_loss: list[float] = field(default_factory=list)  # mean over batches of the mean L2 loss
    test_rmse: list[float] = field(default_factory=list)
    printed: str = ""  # the two lines at the end

    def printed_train_loss(self) -> str:
        """Train loss as d2l prints it: cumulative losses over the number of examples."""
        return self._find(r"train loss (\S+),")

    def cells_per_second(self) -> float:
        """Speed as d2l prints it: its "examples" are the cells of the matrix."""
        return float(self._find(r"(\S+) examples/sec"))

    def _find(self, pattern: str) -> str:
        match = re.search(pattern, self.printed)
        if match is None:
            raise RuntimeError(f"d2l printed {self.printed!r}, in which {pattern!r} is not found")
        return match[1]


def in_notebook() -> bool:
    """Whether this code runs in a Jupyter kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


class _Tee(io.StringIO):
    """Keeps what is printed and lets it through."""

    def __init__(self, through: Any) -> None:
        super().__init__()
        self.through = through

    def write(self, text: str) -> int:
        self.through.write(text)
        return super().write(text)


@contextlib.contextmanager
def watch(num_epochs: int, quiet: bool = False) -> Iterator[Training]:
    """Stand in for ``d2l.Animator`` and standard output while d2l trains.

    In a notebook the book's animation and its printed lines appear; elsewhere a progress bar on
    stderr with loss and RMSE, or nothing if `quiet`. Whatever happens, ``d2l.Animator`` is put
    back. The `Training` that it yields is filled while the loop runs.
    """
    training = Training()
    show = in_notebook() and not quiet
    book = d2l.Animator

    with epochs_bar(num_epochs, quiet or show) as advance:

        class Animator:
            def __init__(self, **settings: Any) -> None:
                self.drawn = book(**settings) if show else None

            def add(self, epoch: int, values: tuple[float, float]) -> None:
                training.train_loss.append(float(values[0]))
                training.test_rmse.append(float(values[1]))
                advance(*values)
                if self.drawn:
                    self.drawn.add(epoch, values)

        printed = _Tee(sys.stdout) if show else io.StringIO()
        d2l.Animator = Animator
        try:
            with contextlib.redirect_stdout(printed):
                yield training
        finally:
            d2l.Animator = book
    training.printed = printed.getvalue()
