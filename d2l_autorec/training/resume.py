"""Stopping and resuming the train command."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from d2l_autorec.errors import InputError
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.paths import kind
from d2l_autorec.training import checkpoint
from d2l_autorec.training.plan import Plan


def plan_to_go_on(former: Plan, changes: Mapping[str, Any], asked: Mapping[str, Any]) -> Plan:
    """Return a resumed run's plan: that of the checkpoint, with more epochs where asked for.

    ``changes`` are fields of the recipe that stand on the command line, ``asked`` others of the
    plan.

    Raises
    ------
    InputError
        If an option was given that is not as in the checkpoint.
    """
    recipe = former.recipe
    for name, value in changes.items():
        was = recipe.to_dict().get(name)
        if recipe.but(**{name: value}) == recipe:
            continue
        if name == "num_epochs" and value > was:
            recipe = recipe.but(num_epochs=value)
            continue
        rule = "can only be raised" if name == "num_epochs" else "cannot be changed"
        shown = ",".join(map(str, was)) if isinstance(was, list) else was
        raise InputError(
            f"{option_of(name)} {rule} with --resume, and the run has {shown}; leave it out."
        )
    refuse_others(asked, former.to_dict())
    return replace(former, recipe=recipe)


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return a recipe with changes from the command line; an error names the option."""
    try:
        return recipe.but(**changes)
    except InputError as error:
        name, _, rest = str(error).partition(" ")
        raise InputError(f"{option_of(name)} {rest}" if name in changes else str(error)) from None


def option_of(name: str) -> str:
    """Return the option of the train command that sets a field of the recipe."""
    names = {"num_epochs": "epochs", "num_seeds": "seeds", "clip": "rating_range"}
    return "--" + names.get(name, name).replace("_", "-")


def refuse_others(wanted: Mapping[str, Any], had: Mapping[str, Any]) -> None:
    """Raise an InputError if an option was given with another value than a resumed run's."""
    for name, value in wanted.items():
        if value != had[name]:
            raise InputError(
                f"{option_of(name)} cannot be changed with --resume, and the run has {had[name]}; "
                "leave it out."
            )


@contextlib.contextmanager
def interrupt_after_epoch(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C wait for the end of the epoch; a second one interrupts at once.

    ``say`` is told what is going to happen. Yields a function that returns whether Ctrl-C has been
    pressed.
    """
    pressed = threading.Event()

    def once(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed.set()
        say("Stopping after this epoch, with a checkpoint; Ctrl-C again stops at once.")

    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()  # only that one gets signals
    if before is signal.SIG_IGN or not in_main:
        yield pressed.is_set
        return
    signal.signal(signal.SIGINT, once)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def farewell(folder: Path) -> str:
    """Return the last message of an interrupted run."""
    if kind(folder / "run.json"):
        return f"Stopped, when all was written: the run in {folder} is complete."
    if kind(folder / checkpoint.NAME):
        return f"Stopped. To go on: d2l-autorec train --resume {folder}"
    if kind(folder / "model" / "model.json"):
        return (
            f"Stopped after training: the model is kept in {folder / 'model'}, and there is no "
            "run.json beside it."
        )
    return "Stopped, and nothing was kept: there was no checkpoint (--checkpoint-every)."


def other_computation(former: tuple[int, int], now: tuple[int, int]) -> str | None:
    """Return a notice if a run goes on with other numbers of threads or workers than it had."""
    if former == now:
        return None
    had, has = (
        f"{threads} thread{'s' * (threads > 1)} and {workers} worker{'s' * (workers > 1)}"
        for threads, workers in (former, now)
    )
    return (
        f"The run had {had} and goes on with {has}: its last digits may differ from those of a "
        "run in one go."
    )
