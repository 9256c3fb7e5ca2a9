"""Answering over HTTP: ``serve``. It loads no MXNet."""

from __future__ import annotations

from typing import Annotated

import typer

from d2l_autorec import runtime
from d2l_autorec.cli.common import app
from d2l_autorec.cli.serving import Model
from d2l_autorec.packages import require
from d2l_autorec.progress import tell


@app.command()
def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
) -> None:
    """Answer questions to a model over HTTP; /docs describes them.

    A new model in the folder replaces the old one within seconds, with no
    request dropped: point a link elsewhere, or move a folder into place.
    What is damaged is refused, with a line on standard error.
    """
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        require(name, "serve", "serve")
    threads = runtime.compute_alone()
    from d2l_autorec.serving.http.run import is_loopback, serve

    def ready(url: str) -> None:
        if not is_loopback(host):
            tell(f"Whoever reaches {host} may ask: there is no authentication.")
        typer.echo(f"{model} is served at {url}/docs")

    serve(model, host, port, threads, ready)
