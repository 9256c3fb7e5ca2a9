"""The lab as a process: what is shared, the page, a socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from d2l_autorec.course.lab.material import Material
from d2l_autorec.course.lab.trainings import Trainings
from d2l_autorec.data.formats import Ratings
from d2l_autorec.serving.http.server import run_app

TITLE = "AutoRec lab"
CLOSED_SECONDS = 3.0  # until a page that is not heard of counts as closed


def serve(
    ratings: Ratings,
    listener: socket.socket,
    host: str,
    threads: int,
    ready: Callable[[str], None],
) -> None:
    """Serve the lab until SIGINT or SIGTERM; ``threads`` trainings run at a time.

    The listener, the host and ``ready`` are those of `d2l_autorec.serving.http.server.run_app`.
    Too few ratings, or too many, are refused with an InputError.
    """
    from fastapi import FastAPI
    from nicegui import ui

    from d2l_autorec.course.lab.page import Visit

    material = Material.of(ratings)
    os.environ["OMP_NUM_THREADS"] = "1"  # of each training
    trainings = Trainings(material, threads)

    @ui.page("/")
    def page() -> None:
        visit = Visit(material, trainings)
        visit.build()
        ui.context.client.on_delete(visit.leave)

    app = FastAPI(openapi_url=None)
    ui.run_with(app, title=TITLE, reconnect_timeout=CLOSED_SECONDS, show_welcome_message=False)
    try:
        run_app(app, listener, host, ready, timeout_graceful_shutdown=1)
    finally:
        trainings.close()
