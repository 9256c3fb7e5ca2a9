"""The one exception that a user is meant to read, and texts that a terminal may be shown."""

import contextlib
from collections.abc import Iterator


class InputError(ValueError):
    """Something given by the user is unusable.

    The message is one sentence that names the file, line or argument and says what to do. The
    command line prints it and leaves with exit code 2.
    """


@contextlib.contextmanager
def refused(what: str, remedy: str = "") -> Iterator[None]:
    """Turn an OSError into an InputError.

    Parameters
    ----------
    what, remedy : str
        What the system has refused, and what to do; its reason stands between them.

    Raises
    ------
    InputError
        In place of the OSError.
    """
    try:
        yield
    except OSError as error:
        why = f"{what} ({error.strerror or error})"
        raise InputError(f"{why}; {remedy}." if remedy else f"{why}.") from None


def plain(value: object) -> str:
    """Return a text in one line, without control and invisible formatting characters.

    Names, ids and titles come from files of unknown origin, and a terminal obeys what they hold.
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in str(value))


def clip(text: object) -> str:
    """Quote a value from a file, shortened to what fits into a sentence."""
    shown = str(text)
    return repr(shown if len(shown) <= 40 else shown[:37] + "...")
