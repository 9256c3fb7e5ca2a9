"""The service as a process: a model, its application, a log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from d2l_autorec.serving.http.app import make_app
from d2l_autorec.serving.http.holder import Holder
from d2l_autorec.serving.http.limits import KEEP_ALIVE_SECONDS, MAX_HEADERS, Protocol
from d2l_autorec.serving.http.metrics import Metrics
from d2l_autorec.serving.http.server import is_loopback, listen, run_app

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
    with listen(host, port) as listener:
        metrics = Metrics()
        holder = Holder(folder, metrics)
        run_app(
            make_app(holder, metrics, threads, names if names or is_loopback(host) else None),
            listener,
            host,
            ready,
            http=Protocol,
            ws="none",
            h11_max_incomplete_event_size=MAX_HEADERS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=ENDING_SECONDS,
        )
        holder.close()


def _set_log() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    for name, level in (("d2l_autorec.serve", logging.INFO), ("uvicorn.error", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
