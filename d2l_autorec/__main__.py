"""``python -m d2l_autorec`` and the command ``d2l-autorec``."""

from __future__ import annotations

import sys
import warnings

from d2l_autorec import packages
from d2l_autorec.errors import InputError, plain


def _say(message: object, *_: object) -> None:
    text = "\n".join(map(plain, str(message).split("\n")))
    print(f"d2l-autorec: {text}", file=sys.stderr)


def main() -> None:
    """Run the command line; what a user did wrong ends in one sentence and exit code 2."""
    warnings.showwarning = _say  # type: ignore[assignment]
    try:
        try:
            from d2l_autorec.cli import app
        except ModuleNotFoundError as error:
            command = packages.install_command()
            raise InputError(
                f"{error.name} is not installed. Run: {command} {error.name}"
            ) from None
        app()
    except InputError as error:
        _say(error)
        sys.exit(2)
    except KeyboardInterrupt:  # before a command has begun; Typer sees to it from there on
        sys.exit(130)


if __name__ == "__main__":
    main()
