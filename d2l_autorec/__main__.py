"""``python -m d2l_autorec`` and the command ``d2l-autorec``.

Everything is imported inside `main`, so that Ctrl-C during an import shows no traceback.
"""

import sys


def _say(message: object, *_: object) -> None:
    """Print a warning or an error to standard error, without control characters."""
    from d2l_autorec.errors import plain

    text = "\n".join(map(plain, str(message).split("\n")))
    print(f"d2l-autorec: {text}", file=sys.stderr)


def main() -> None:
    """Run the command line. A user's mistake ends in one sentence and exit code 2."""
    try:
        import warnings

        from d2l_autorec import packages
        from d2l_autorec.errors import InputError

        warnings.showwarning = _say  # type: ignore[assignment]
        try:
            try:
                from d2l_autorec.cli import app
            except ModuleNotFoundError as error:
                raise InputError(
                    f"{error.name} is not installed. "
                    f"Run: {packages.install_command()} {error.name}"
                ) from None
            app()
        except InputError as error:
            _say(error)
            sys.exit(2)
    except KeyboardInterrupt:  # before a command has begun; from there on Typer handles it
        sys.exit(130)


if __name__ == "__main__":
    main()
