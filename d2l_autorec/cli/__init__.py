"""The subcommands; each one calls one function. MXNet is imported when a command needs it."""

from d2l_autorec.cli import (
    course,
    data,
    evaluation,
    experiments,
    export,
    lab,
    report,
    serve,
    serving,
    setup,
    training,
)
from d2l_autorec.cli.common import app

__all__ = [
    "app",
    "course",
    "data",
    "evaluation",
    "experiments",
    "export",
    "lab",
    "report",
    "serve",
    "serving",
    "setup",
    "training",
]
