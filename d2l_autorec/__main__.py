"""``python -m d2l_autorec`` and the command ``d2l-autorec``."""

from __future__ import annotations

import sys
import warnings

from d2l_autorec import doctor
from d2l_autorec.errors import InputError


def _show_warning(message: object, *_: object) -> None:
    print(f"d2l-autorec: {message}", file=sys.stderr)


def main() -> None:
    """Run the command line; what a user did wrong ends in one sentence and exit code 2."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        try:
            from d2l_autorec.cli import app
        except ModuleNotFoundError as error:
            doctor.preflight()
            raise InputError(f"{error.name} is not installed. Run: {doctor.REINSTALL}") from None
        app()
    except InputError as error:
        print(f"d2l-autorec: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
