"""The course's page for a class: ``lab``."""

from __future__ import annotations

from typing import Annotated

import typer

from d2l_autorec import runtime
from d2l_autorec.cli.common import Ratings, app, reads_ratings
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.packages import require
from d2l_autorec.progress import tell


@app.command()
@reads_ratings
def lab(
    reading: ReadOptions,
    data: Ratings = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
) -> None:
    """Open a page to train, watch the curve and rate films, for a projector and a class."""
    require("nicegui", "lab", "lab")
    threads = runtime.compute_alone()
    from d2l_autorec.serving.http.server import is_loopback, listen

    def ready(url: str) -> None:
        if not is_loopback(host):
            tell(f"Whoever reaches {host} may train: there is no authentication.")
        typer.echo(f"The lab is open at {url} (Ctrl-C closes it).")

    with listen(host, port) as listener:
        from d2l_autorec.course.lab.run import serve
        from d2l_autorec.data.formats import read_ratings
        from d2l_autorec.data.sources import load_ml100k
        from d2l_autorec.training.session import compilation

        ratings = load_ml100k() if data is None else read_ratings(data, reading)
        if ratings.understood is not None:
            ratings.understood.check_trainable()
        if waiting := compilation("sparse"):
            tell(f"{waiting[0].capitalize()}; that takes up to half a minute.")
            waiting[1]()
        serve(ratings, listener, host, threads, ready)
