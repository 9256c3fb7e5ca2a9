"""Answering over HTTP: ``serve``. It loads no MXNet."""

from __future__ import annotations

import re
from typing import Annotated, Optional

import typer

from d2l_autorec import runtime
from d2l_autorec.cli.common import Model, app
from d2l_autorec.errors import InputError, clip
from d2l_autorec.packages import require
from d2l_autorec.progress import tell

AllowedHost = Annotated[
    Optional[list[str]],
    typer.Option(help="Name that requests are addressed to, say behind a proxy. May be repeated."),
]


@app.command()
def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    allowed_host: AllowedHost = None,
) -> None:
    """Answer questions to a model over HTTP; /docs describes them.

    A new model in the folder replaces the old one within seconds, with no
    request dropped: point a link elsewhere, or move a folder into place.
    What is damaged is refused, with a line on standard error. While only
    this machine reaches the service it answers to localhost alone, lest
    pages of other sites ask it; other names need --allowed-host.
    """
    for name in allowed_host or ():
        if not re.fullmatch(r"[^\s/:@\[\]*]+", name):
            raise InputError(
                f"--allowed-host {clip(name)} is no host name; write it without scheme and port, "
                "for instance films.example.org."
            )
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        require(name, "serve", "serve")
    threads = runtime.compute_alone()
    from d2l_autorec.serving.http.app import serve
    from d2l_autorec.serving.http.server import is_loopback

    def ready(url: str) -> None:
        if not is_loopback(host):
            tell(f"Whoever reaches {host} may ask: there is no authentication.")
        typer.echo(f"{model} is served at {url}/docs")

    serve(model, host, port, threads, ready, allowed_host or ())
