"""The application's commands in groups, and its errors in one sentence."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from d2l_autorec.errors import InputError

_NAMES = {
    "Start": "reproduce doctor install-mxnet",
    "Your ratings": "inspect train recipes tune evaluate "
    "recommend predict similar explain new-user update",
    "Experiments": "study compare exercises fidelity paper best "
    "canonical foldin updating own-data draws report",
    "Course": "lab check",
    "Tools": "serve export import-weights synthetic launch",
}
GROUPS = {group: names.split() for group, names in _NAMES.items()}
"""Every command, in the order in which ``--help`` shows them."""

_GROUP = {name: group for group, names in GROUPS.items() for name in names}

# Click's, or that of the Click inside newer Typers
_CLICK_ERROR: Any = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def group_of(command: str) -> str:
    """Return the group that a command is shown in."""
    return _GROUP[command]


class Commands(TyperGroup):
    """The commands in the order of `GROUPS`; an option's error is an `InputError`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in order."""
        return sorted(super().list_commands(ctx), key=list(_GROUP).index)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; an InputError says what is wrong with it."""
        standalone = extra.get("standalone_mode", True)
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
        except _CLICK_ERROR as error:
            raise InputError(_sentence(error)) from None
        if standalone:
            raise SystemExit(code)
        return code


def _sentence(error: Any) -> str:
    """Return what is wrong with an option, and where the right ones are listed."""
    text = " ".join(error.format_message().split())
    where = f" See {error.ctx.command_path} --help." if getattr(error, "ctx", None) else ""
    return f"{text.rstrip('.')}.{where}" if text[-1:] not in "?!" else text + where
