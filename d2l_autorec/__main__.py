"""``python -m d2l_autorec`` and the command ``d2l-autorec``.

Everything of the package is imported inside `main`, so that Ctrl-C during an import shows no
traceback.
"""

import io
import os
import sys
from typing import Any, Optional, TextIO


class _Output(io.FileIO):
    """Standard output or error. If not strict, it drops what cannot be written."""

    def __init__(self, handle: int, strict: bool) -> None:
        super().__init__(handle, "w", closefd=False)
        self.strict = strict
        self.error: Optional[OSError] = None  # of the last write that failed

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            if self.strict:
                self.error = error
                raise
            return memoryview(data).nbytes


def _open_streams() -> Optional[_Output]:
    """Make the standard streams safe to write to, and return standard output.

    A standard error that cannot be written costs its messages and not the run.
    """
    for handle in (0, 1, 2):  # the next file that is opened would take the number of a closed one
        try:
            os.fstat(handle)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115
    sys.stdout, output = _safe(sys.stdout, 1, strict=True)
    sys.stderr, _ = _safe(sys.stderr, 2, strict=False)
    return output


def _safe(stream: Optional[TextIO], handle: int, strict: bool) -> tuple[TextIO, Optional[_Output]]:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8"), None
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED the buffer is none
    if type(raw) is not io.FileIO or raw.fileno() != handle:  # a console of Windows, or a test's
        return stream, None
    output = _Output(handle, strict)
    text = io.TextIOWrapper(
        output if raw is buffer else io.BufferedWriter(output),
        encoding=stream.encoding,
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=getattr(stream, "write_through", False),
    )
    return text, output


def _say(message: object, *_: object) -> None:
    """Print a warning or an error to standard error, without control characters."""
    from d2l_autorec.errors import plain

    text = "\n".join(map(plain, str(message).split("\n")))
    print(f"d2l-autorec: {text}", file=sys.stderr)


def main() -> None:
    """Run the command line. A user's mistake ends in one sentence and exit code 2.

    If standard output cannot be written, the exit code is 1; what a run saves is saved before.
    """
    output = _open_streams()
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if output is None or error is not output.error:
            raise
        if not isinstance(error, BrokenPipeError):  # the reader had enough
            _say(f"Standard output cannot be written: {error.strerror}.")
        sys.exit(1)
    finally:
        if output is not None:
            output.strict = False  # at exit Python writes what is left


def _run() -> None:
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
        except MemoryError as error:
            reason = f" ({error})" if str(error) else ""
            _say(f"There is not enough memory{reason}; give less data or a smaller network.")
            sys.exit(2)
    except KeyboardInterrupt:  # before a command has begun; from there on Typer handles it
        sys.exit(130)


if __name__ == "__main__":
    main()
