"""Read the hosts file of a run on several machines."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from d2l_autorec.errors import InputError
from d2l_autorec.paths import open_file

_NAME = re.compile(r"(?:[\w.-]+@)?[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Host:
    """A machine: its name for ssh, None for this one, and its IPv4 address for the others."""

    name: str | None
    address: str


HERE = Host(None, "127.0.0.1")


def read_hosts(path: Path) -> list[Host]:
    """Read a hosts file.

    It has a line for each machine: its name for ssh and, where that name cannot be looked up, its
    address: ``me@node1`` or ``node1 10.0.0.5``. What follows a ``#`` is a comment. Raises an
    InputError if the file cannot be read, names no machine, or holds another line.
    """
    try:
        with open_file(path) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(f"--hosts {path} cannot be read: {reason}; name a text file.") from None
    hosts = []
    for number, line in enumerate(lines, 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        where = f"--hosts {path}, line {number}"
        if len(fields) > 2 or not _NAME.fullmatch(fields[0]):
            raise InputError(
                f"{where}: {line.strip()!r} is not a machine; write its name for ssh, followed "
                "by its IPv4 address if need be."
            )
        hosts.append(Host(fields[0], _address(fields[-1].rpartition("@")[2], where)))
    if not hosts:
        raise InputError(f"--hosts {path} names no machine; write one on each line.")
    for host in hosts:
        if host.address.startswith("127.") and len({host.address for host in hosts}) > 1:
            raise InputError(
                f"--hosts {path}: other machines cannot reach {host.name} at {host.address}; "
                "write its address in the network after its name."
            )
    return hosts


def _address(name: str, where: str) -> str:
    try:
        return str(socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0])
    except (OSError, UnicodeError):  # the latter for a name like a..b
        raise InputError(
            f"{where}: no IPv4 address is known for {name!r}; write it after the machine's name."
        ) from None
