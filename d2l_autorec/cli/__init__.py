"""The subcommands; each one calls one function. MXNet is imported when a command needs it."""

from importlib import import_module
from pkgutil import iter_modules

from d2l_autorec.cli.common import app

__all__ = ["app"]

for module in iter_modules(__path__):  # each adds its commands to the application
    import_module(f"{__name__}.{module.name}")
