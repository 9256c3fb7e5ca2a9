"""A web application as a process: a socket, uvicorn, signals."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from d2l_autorec.errors import InputError


def run_app(
    app: Any, listener: socket.socket, host: str, ready: Callable[[str], None], **options: Any
) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM.

    The listener is from `listen`, which was given the host; ``ready`` is given the address when
    the application answers. The options are for ``uvicorn.Config``.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **options,
    )
    server = _Server(config)

    def end(*_: object) -> None:
        server.should_exit = True

    # uvicorn's own handlers take over while it runs, then raise what they have caught again
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    shown = f"[{host}]" if ":" in host else host
    server.ready = lambda: ready(f"http://{shown}:{listener.getsockname()[1]}")
    server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a host and a port; with 0 the system chooses the port.

    Raises an InputError if the port is not to be had, or there is no such host.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, UnicodeError) as error:  # the latter for what cannot be a host's name
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise InputError(
            f"--host {host} --port {port} cannot be listened at ({reason}); end what uses the "
            "port, or give another."
        ) from None


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready."""

    ready: Callable[[], None]

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready()
