"""Trainings for several visitors at once, each with its own settings and its own end."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from d2l_autorec.config import CHAPTER
from d2l_autorec.course.lab.material import Material
from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training.engines import Compute
from d2l_autorec.training.fit import fit_network

if TYPE_CHECKING:
    from d2l_autorec.models.trained import TrainedModel
    from d2l_autorec.training.history import Epoch

MAX_HIDDEN, MAX_EPOCHS, MAX_DROPOUT = 1000, 100, 0.9


@dataclass(frozen=True)
class Settings:
    """What a visitor chooses, within the lab's bounds; everything else is the chapter's.

    Attributes
    ----------
    hidden : int
        Hidden units.
    encoder : str
        Their activation.
    dropout : float
        Share of them that is dropped in training.
    num_epochs : int
    mask : bool
        Whether the loss leaves out the entries without a rating.
    """

    hidden: int = CHAPTER.num_hidden
    encoder: str = "sigmoid"
    dropout: float = CHAPTER.dropout_rate
    num_epochs: int = CHAPTER.num_epochs
    mask: bool = True

    def __post_init__(self) -> None:
        bounds = ("hidden", "Hidden units", MAX_HIDDEN), ("num_epochs", "Epochs", MAX_EPOCHS)
        for name, what, most in bounds:
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or value != value // 1 or not 0 < value <= most:
                raise InputError(f"{what}: give a whole number from 1 to {most:,}.")
            object.__setattr__(self, name, int(value))
        if not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout <= MAX_DROPOUT:
            raise InputError(f"Dropout: give a share from 0 to {MAX_DROPOUT}.")
        self.recipe()

    def recipe(self) -> Recipe:
        """Return the chapter's recipe with these settings; it needs no MXNet."""
        layers = Architecture(
            hidden=(self.hidden,), encoder=self.encoder, dropout=float(self.dropout)
        )
        return Recipe(layers, num_epochs=self.num_epochs, draws="numpy")

    def __str__(self) -> str:
        """Say the settings in a few words."""
        words = f"{self.hidden} {self.encoder} units, dropout {self.dropout:g}"
        return words if self.mask else f"{words}, no mask"


@dataclass(eq=False)
class Training:
    """One training, as far as it has come."""

    settings: Settings
    state: str = "waiting"  # then "running"; at the end "done", "stopped" or "failed"
    epochs: list[Epoch] = field(default_factory=list)
    model: TrainedModel | None = None  # once it is done
    error: str = ""  # why it failed
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in ("waiting", "running")

    def stop(self) -> None:
        """End it before its next epoch; one that waits never begins."""
        self._stop.set()
        if self.state == "waiting":
            self.state = "stopped"

    def train(self, material: Material) -> None:
        """Train; called in a thread of its own."""
        if self._stop.is_set():
            return
        self.state = "running"
        try:
            train = material.train if self.settings.mask else material.unmasked
            recipe, compute = self.settings.recipe(), Compute(follow=self._follow)
            model = fit_network(train, recipe, test=material.test, compute=compute)
            # an entry that is no rating counts as none when the model is used
            self.model = replace(model, ratings=material.train)
            self.state = "done"
        except _Stopped:
            self.state = "stopped"
        except (InputError, MemoryError) as error:
            self.error = str(error) or "There is not enough memory; take fewer hidden units."
            self.state = "failed"
        except Exception:  # of a bug: the page would wait for ever
            logging.getLogger("d2l_autorec.lab").exception("A training failed.")
            self.error = "The training failed; the terminal of the lab says why."
            self.state = "failed"

    def _follow(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        if self._stop.is_set():
            raise _Stopped


class _Stopped(Exception):
    """The visitor stopped the training, or left."""


class Trainings:
    """The trainings of all visitors. `at_once` of them run, each in a thread; the others wait."""

    def __init__(self, material: Material, at_once: int) -> None:
        self.material = material
        self._pool = ThreadPoolExecutor(at_once, "lab")
        self._begun: list[Training] = []

    def begin(self, settings: Settings) -> Training:
        """Put a training into the queue."""
        training = Training(settings)
        self._begun = [*(each for each in self._begun if not each.is_over), training]
        self._pool.submit(training.train, self.material)
        return training

    def before(self, training: Training) -> int:
        """Count the trainings that wait before one that waits."""
        earlier = self._begun[: self._begun.index(training)]
        return sum(each.state == "waiting" for each in earlier)

    def close(self) -> None:
        """Stop all trainings."""
        for each in self._begun:
            each.stop()
        self._pool.shutdown(wait=False)
