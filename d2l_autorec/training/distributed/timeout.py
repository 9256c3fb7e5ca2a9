"""How long a worker waits for the others."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from d2l_autorec.errors import InputError
from d2l_autorec.progress import tell
from d2l_autorec.training.distributed.guard import GAVE_UP

STEP_TIMEOUT = 120.0  # seconds


def check_step_timeout(seconds: float, option: str) -> float:
    """Return the seconds if a thread can wait that long.

    Raises
    ------
    InputError
        If it cannot, as for zero, ``inf`` and ``nan``. The sentence names the option.
    """
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise InputError(f"{option} is {seconds:g}; give a number of seconds, as 120.")
    return seconds


def step_timeout_from_environment() -> float:
    """Return the seconds in ``D2L_AUTOREC_STEP_TIMEOUT``, or the default of 120.

    Raises
    ------
    InputError
        If it is no number of seconds.
    """
    text = os.environ.get("D2L_AUTOREC_STEP_TIMEOUT") or str(STEP_TIMEOUT)
    try:
        seconds = float(text)
    except ValueError:
        raise InputError(
            f"D2L_AUTOREC_STEP_TIMEOUT is {text!r}; give a number of seconds, as 120."
        ) from None
    return check_step_timeout(seconds, "D2L_AUTOREC_STEP_TIMEOUT")


@contextlib.contextmanager
def watch(rank: int, seconds: float) -> Iterator[None]:
    """End this process, worker `rank`, if what stands inside takes longer than `seconds`."""

    def give_up() -> None:
        tell(
            f"d2l-autorec: worker {rank} has waited {seconds:g} s for the other workers and "
            "servers; one of them has died, hangs or cannot be reached (--step-timeout)."
        )
        os._exit(GAVE_UP)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
