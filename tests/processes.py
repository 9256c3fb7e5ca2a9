"""Python and the command line in processes of their own, as a user starts them."""

import os
import subprocess
import sys


def python(*words, **settings):
    """Run Python; the outputs are texts."""
    words = [sys.executable, *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, timeout=600, **settings)


def d2l_autorec(*words, **environment):
    """Run the command in 80 columns, with some more variables of the environment."""
    environment = {**os.environ, "COLUMNS": "80", **environment}
    return python("-m", "d2l_autorec", *words, env=environment)
