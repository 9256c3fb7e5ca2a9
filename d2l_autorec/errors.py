"""The one exception that a user is meant to read."""


class InputError(ValueError):
    """Something given by the user is unusable.

    The message is one sentence that names the file, line or argument and says what to do. The
    command line prints it and leaves with exit code 2.
    """
