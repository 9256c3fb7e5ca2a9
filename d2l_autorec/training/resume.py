"""What the train command needs to stop in good order and to go on."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from d2l_autorec.errors import InputError
from d2l_autorec.training import checkpoint
from d2l_autorec.training.settings import Settings


def settings_to_go_on(former: Settings, asked: Settings, given: Collection[str]) -> Settings:
    """Return a resumed run's settings: its own, with more epochs where these are asked for.

    Parameters
    ----------
    former, asked : Settings
        From the checkpoint, and from the command line.
    given : collection of str
        Names of the options that stand on the command line.

    Raises
    ------
    InputError
        If an option was given that is not as in the checkpoint.
    """
    for name in (field.name for field in fields(Settings)):
        option = "epochs" if name == "num_epochs" else name
        was, wanted = getattr(former, name), getattr(asked, name)
        if option not in given or wanted == was or (option == "epochs" and wanted > was):
            continue
        rule = "can only be raised" if option == "epochs" else "cannot be changed"
        shown = ",".join(map(str, was)) if isinstance(was, tuple) else was
        raise InputError(
            f"--{option.replace('_', '-')} {rule} with --resume, and the run has {shown}; "
            "leave it out."
        )
    return replace(former, num_epochs=asked.num_epochs if "epochs" in given else former.num_epochs)


def refuse_others(wanted: dict[str, Any], had: dict[str, Any], given: Collection[str]) -> None:
    """Raise an InputError if an option was given with another value than a resumed run's."""
    for option, value in wanted.items():
        if option in given and value != had[option]:
            raise InputError(
                f"--{option} cannot be changed with --resume, and the run has {had[option]}; "
                "leave it out."
            )


@contextlib.contextmanager
def interrupt_after_epoch(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C wait for the end of the epoch; a second one interrupts at once.

    Parameters
    ----------
    say : callable
        Told what is going to happen.

    Yields
    ------
    callable
        Returns whether Ctrl-C has been pressed.
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
    """Return the line for a run that was interrupted."""
    if (folder / checkpoint.NAME).exists():
        return f"Stopped. To go on: d2l-autorec train --resume {folder}"
    return "Stopped, and nothing was kept: there was no checkpoint (--checkpoint-every)."
