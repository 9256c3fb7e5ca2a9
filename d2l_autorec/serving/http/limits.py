"""What a client may ask at and take: names, connections, open requests, bytes and seconds."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection

import h11
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from d2l_autorec.errors import clip
from d2l_autorec.serving.http.metrics import Metrics
from d2l_autorec.serving.http.server import is_loopback

MAX_BODY = 1024**2
MAX_DISCARDED = 4 * MAX_BODY  # of a body that is too long: its sender is to read the answer
MAX_HEADERS = 16 * 1024
MAX_OPEN = 128  # requests that have been read and are not answered
MAX_CONNECTIONS = 256
HEADER_SECONDS = 10.0
BODY_SECONDS = 10.0
ANSWER_SECONDS = 30.0  # for a client to take an answer
KEEP_ALIVE_SECONDS = 15


class Guard:
    """An ASGI application in front of another: it bounds requests and counts the answers.

    The other application gets a request when its body has been read. The paths in ``routes`` are
    counted each by its own, all others together.

    Without ``names`` a request may be addressed to any host name, else to one of these or to this
    machine's own. A page of another site can give its own name this machine's address and then
    read the answers (DNS rebinding), but the request's header Host still has that name.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        routes: Collection[str],
        names: Collection[str] | None = None,
    ) -> None:
        self.app, self.metrics, self.routes = app, metrics, frozenset(routes)
        self.names = None if names is None else frozenset(map(str.lower, names))
        self.begun = self.read = 0  # requests that are not answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), None

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        self.begun += 1
        self.metrics.open.set(self.begun)
        try:
            await self._pass_on(scope, receive, watched)
        except HTTPException as refused:
            await _answer(refused)(scope, receive, watched)
        finally:
            self.begun -= 1
            self.metrics.open.set(self.begun)
            if status is not None:  # else the client has gone
                route = scope["path"] if scope["path"] in self.routes else "other"
                self.metrics.requests.labels(route, str(status)).inc()
                self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = host_name(scope)
        if self.names is not None and not (name in self.names or is_loopback(name)):
            raise HTTPException(
                421,
                f"The service does not answer to the name {clip(name)}; its owner may start it "
                "with --allowed-host.",
            )
        if scope["method"] == "HEAD":  # uvicorn leaves the body out
            scope = {**scope, "method": "GET"}
        size = len(scope["query_string"]) + sum(len(k) + len(v) for k, v in scope["headers"])
        if size > MAX_HEADERS:  # h11 looks at headers only where they come in several pieces
            raise HTTPException(431, f"Query and headers are over {MAX_HEADERS:,} bytes long.")
        try:
            body = await asyncio.wait_for(_body(scope, receive), BODY_SECONDS)
        except asyncio.TimeoutError:
            raise HTTPException(408, f"The body took over {BODY_SECONDS:g} seconds.") from None
        except asyncio.CancelledError:
            raise HTTPException(503, "The service is being ended.") from None
        if body is None:
            return
        if self.read >= MAX_OPEN:
            raise HTTPException(503, f"{MAX_OPEN} requests are being answered; try again.")
        kept: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> Message:
            return kept.pop() if kept else await receive()

        self.read += 1
        try:
            await self.app(scope, replayed, send)
        finally:
            self.read -= 1


def host_name(scope: Scope) -> str:
    """Return the name that a request is addressed to, without the port; localhost if it has none.

    Only programs older than HTTP/1.1 leave it out, and no browser does.
    """
    host = dict(scope["headers"]).get(b"host", b"localhost").decode("latin-1").strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """Read a request's body; None if the client has gone."""
    headers = dict(scope["headers"])
    length = int(headers.get(b"content-length", b"0"))  # h11 has checked that it is a number
    body, size, more = bytearray(), 0, True
    while more and max(size, length) <= MAX_DISCARDED:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY:
            body += part
        more = message.get("more_body", False)
    if more or size > MAX_BODY:
        raise HTTPException(413, f"The body is over {MAX_BODY:,} bytes long; send less at a time.")
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if scope["method"] == "POST" and kind != b"application/json":
        raise HTTPException(
            415, "The body must be JSON, with the header Content-Type: application/json."
        )
    return bytes(body)


def _answer(refused: HTTPException) -> Response:
    headers = {"connection": "close"}  # what is left of the body is not read
    if refused.status_code == 503:
        headers["retry-after"] = "1"
    body = json.dumps({"detail": refused.detail}, separators=(",", ":"))
    return Response(body, refused.status_code, headers, "application/json")


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 with bounds on connections, and on the time for headers and answers."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Take data; headers have a deadline, which more data does not move."""
        super().data_received(data)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._drop_deadline()

    def on_response_complete(self) -> None:
        """Give the client a while to take the answer."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(ANSWER_SECONDS, self._cut)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the application is not to answer as well
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # in the middle of an answer
            return
        body = b'{"detail":"This is no valid HTTP/1.1 request, or its headers are too long."}'
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _set_deadline(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        if not waiting or self.transport.is_closing():
            self._drop_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
