"""Start a shared run again from its last checkpoint after a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from d2l_autorec.errors import InputError
from d2l_autorec.paths import kind
from d2l_autorec.progress import tell
from d2l_autorec.training import checkpoint

_NO_LOSS = (0, 2, 130)  # done, bad input, Ctrl-C: another start would end alike
_KEPT = ("--quiet", "--json")  # what a checkpoint does not hold


def with_restarts(
    command: Sequence[str],
    restarts: int,
    first: Callable[[Sequence[str]], int],
    again: Callable[[Sequence[str], int | None], int],
) -> int:
    """Run a ``train`` command, and once more after each loss; return the last exit code.

    ``first`` runs a command and returns its exit code. ``again`` does so after a loss, and also
    takes the number of threads that the run had, if it is known.

    Raises
    ------
    InputError
        If ``restarts`` is negative, or the command leaves no checkpoints to go on from.
    """
    if restarts < 0:
        raise InputError(f"--restarts is {restarts}; give 0 or more.")
    if not restarts:
        return first(command)
    out, resumed = _value(command, "--out"), _value(command, "--resume")
    folder = Path(resumed or out or "")
    if not resumed and (not out or _value(command, "--checkpoint-every") in (None, "0")):
        raise InputError(
            "--restarts goes on from checkpoints: give --checkpoint-every N and --out FOLDER "
            "after train."
        )
    code = first(command)
    for number in range(1, restarts + 1):
        if code in _NO_LOSS or kind(folder / "run.json"):
            break
        threads = None
        where = "from the beginning, as there is no checkpoint"
        if kind(folder / checkpoint.NAME):
            threads = checkpoint.load(folder).computed_with[-1][0]
            kept = [word for word in command if word in _KEPT]
            command, where = ["train", "--resume", str(folder), *kept], "from the last checkpoint"
        tell(f"d2l-autorec: starting again {where} ({number} of {restarts} restarts)")
        code = again(command, threads)
    return code


def _value(command: Sequence[str], option: str) -> str | None:
    """Return the value of an option on a command line; the last one counts."""
    found = None
    for word, following in zip(command, [*command[1:], None]):
        if word == option:
            found = following
        elif word.startswith(option + "="):
            found = word[len(option) + 1 :]
    return found
