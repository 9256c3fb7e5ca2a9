"""The service as a process: a socket, a model, signals, a log."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import uvicorn

from d2l_autorec.errors import InputError
from d2l_autorec.serving.http.app import make_app
from d2l_autorec.serving.http.holder import Holder
from d2l_autorec.serving.http.limits import (
    KEEP_ALIVE_SECONDS,
    MAX_HEADERS,
    Protocol,
    is_loopback,
)
from d2l_autorec.serving.http.metrics import Metrics

ENDING_SECONDS = 8  # for open requests, before the process ends without them

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def serve(
    folder: Path,
    host: str,
    port: int,
    threads: int,
    ready: Callable[[str], None],
    names: Collection[str] = (),
) -> None:
    """Answer requests until SIGINT or SIGTERM; open ones are finished first.

    Parameters
    ----------
    folder : Path
        As for `d2l_autorec.serving.folder.load_model`.
    host : str
        Name or address to listen at.
    port : int
        With 0 the system chooses one.
    threads : int
        How many questions are worked on at a time.
    ready : callable
        Is given the address when the service answers.
    names : collection of str
        Host names that requests may be addressed to, besides this machine's own. Without any, a
        service that only this machine reaches takes no other, and another service takes all.

    Raises
    ------
    InputError
        If the port is not to be had or the folder holds no sound model.
    """
    _set_log()
    with _listen(host, port) as listener:
        metrics = Metrics()
        holder = Holder(folder, metrics)
        server = _Server(
            uvicorn.Config(
                make_app(holder, metrics, threads, names if names or is_loopback(host) else None),
                http=Protocol,
                ws="none",
                loop="asyncio",
                lifespan="on",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=MAX_HEADERS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=ENDING_SECONDS,
            )
        )

        def end(*_: object) -> None:
            server.should_exit = True

        # uvicorn's own handlers take over while it runs, then raise what they have caught again
        for name in ("SIGINT", "SIGTERM"):
            signal.signal(getattr(signal, name), end)
        shown = f"[{host}]" if ":" in host else host
        server.ready = lambda: ready(f"http://{shown}:{listener.getsockname()[1]}")
        server.run(sockets=[listener])
        holder.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready."""

    ready: Callable[[], None]

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, UnicodeError) as error:  # the latter for what cannot be a host's name
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise InputError(
            f"--host {host} --port {port} cannot be listened at ({reason}); end what uses the "
            "port, or give another."
        ) from None


def _set_log() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    for name, level in (("d2l_autorec.serve", logging.INFO), ("uvicorn.error", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
