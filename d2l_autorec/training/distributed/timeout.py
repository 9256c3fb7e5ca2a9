"""How long a worker waits for the others."""

from __future__ import annotations

import math
import os
import threading
import time

from d2l_autorec.errors import InputError
from d2l_autorec.progress import tell
from d2l_autorec.training.distributed.guard import GAVE_UP

STEP_TIMEOUT = 120.0  # seconds


def check_step_timeout(seconds: float, option: str) -> float:
    """Return the seconds; an InputError that names the option if a thread cannot wait as long."""
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise InputError(f"{option} is {seconds:g}; give a number of seconds, as 120.")
    return seconds


def step_timeout_from_environment() -> float:
    """Return the seconds in ``D2L_AUTOREC_STEP_TIMEOUT``, or the default of 120."""
    text = os.environ.get("D2L_AUTOREC_STEP_TIMEOUT") or str(STEP_TIMEOUT)
    try:
        seconds = float(text)
    except ValueError:
        raise InputError(
            f"D2L_AUTOREC_STEP_TIMEOUT is {text!r}; give a number of seconds, as 120."
        ) from None
    return check_step_timeout(seconds, "D2L_AUTOREC_STEP_TIMEOUT")


class Watch:
    """Ends this process, worker `rank`, if what stands inside takes longer than `seconds`.

    A worker whose partner has died waits in MXNet for ever, and neither an exception nor a signal
    handler written in Python reaches it there. One thread looks after all such waits, because
    starting a thread for each would take a good part of the time of a sum. Waits do not nest.
    """

    def __init__(self, rank: int, seconds: float) -> None:
        self.rank, self.seconds = rank, seconds
        self._lock = threading.Lock()
        self._end = math.inf
        self._looking = False

    def __enter__(self) -> None:
        with self._lock:
            self._end = time.monotonic() + self.seconds
            start, self._looking = not self._looking, True
        if start:
            threading.Thread(target=self._look, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._end = math.inf

    def _look(self) -> None:
        while True:
            with self._lock:
                left = self._end - time.monotonic()
                self._looking = left < math.inf
            if not self._looking:
                return
            if left <= 0:
                tell(
                    f"d2l-autorec: worker {self.rank} has waited {self.seconds:g} s for the other "
                    "workers and servers; one of them has died, hangs or cannot be reached "
                    "(--step-timeout)."
                )
                os._exit(GAVE_UP)
            time.sleep(left)
