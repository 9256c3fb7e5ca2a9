"""The service from start to end: new models, signals, limits on time, and what is said."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time

import pytest
from http_service import Service, listed_digest, wait_until
from toy_models import toy_model
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.errors import InputError
from d2l_autorec.serving.folder import save_model

pytest.importorskip("fastapi")

import uvicorn

from d2l_autorec.serving.http import holder, limits
from d2l_autorec.serving.http.metrics import Metrics

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models of other users, and a third that is damaged."""
    folder = tmp_path_factory.mktemp("models")
    for name, users in (("a", 5), ("b", 7)):
        save_model(folder / name, toy_model(num_users=users))
    shutil.copytree(folder / "b", folder / "damaged")
    with open(folder / "damaged" / "weights.npz", "r+b") as file:
        file.seek(300)
        file.write(b"\xff\xff")
    return folder


def point(link, target):
    """Point a link elsewhere in one step."""
    new = link.with_name("new")
    new.symlink_to(target)
    os.replace(new, link)


@needs_signals
def test_new_models_under_load(models, tmp_path):
    link = tmp_path / "live"
    link.symlink_to(models / "a")
    digest = {name: listed_digest(models / name) for name in "ab"}
    users = {digest["a"]: 5, digest["b"]: 7}
    with Service(link, "--port", 0) as service:
        stop, seen, failed = threading.Event(), [], []

        def ask():
            import httpx

            with httpx.Client(base_url=service.client.base_url, trust_env=False) as client:
                while not stop.is_set():
                    try:
                        about = client.get("/model").json()
                        answer = client.get("/recommend", params={"user": "u1", "n": 9})
                        assert answer.status_code == 200
                        assert about["users"] == users[about["model"]]
                        seen.append(answer.json()["model"])
                    except Exception as error:
                        failed.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for name in ("b", "a"):
                point(link, models / name)
                wait_until(lambda name=name: service.digest() == digest[name])
            point(link, models / "damaged")
            wait_until(lambda: "refused" in service.log())
            assert service.digest() == digest["a"]
            os.utime(models / "damaged" / "model.json")  # it is tried again
            wait_until(lambda: service.log().count("refused") == 2)
            point(link, models / "gone")
            wait_until(lambda: "does not exist" in service.log())
            point(link, models / "b")
            wait_until(lambda: service.digest() == digest["b"])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failed and {*seen} == {*digest.values()} and len(seen) > 40
        text = service.get("/metrics").text
        assert 'model_loads_total{outcome="refused"} 3.0' in text
        assert 'model_loads_total{outcome="loaded"} 4.0' in text
        assert service.end() == 0
        [refused, *_] = [line for line in service.log().splitlines() if "refused" in line]
        assert "weights.npz is damaged" in refused and "goes on serving" in refused
        assert "Traceback" not in service.log()


NAMES = ("localhost", "LOCALHOST:80", "127.0.0.1:1", "127.9.9.9", "[::1]:8000")
OTHERS = ("films.example.org", "x.localhost.evil", "127.0.0.1.evil.org", "10.0.0.1", "[::2]", "")


@pytest.mark.parametrize(
    "options, taken, refused",
    [
        ((), NAMES, OTHERS),
        (("--allowed-host", "Films.Example.org"), (*NAMES, "films.example.org:443"), OTHERS[1:]),
        (("--host", "0.0.0.0"), (*NAMES, *OTHERS), ()),
        (("--host", "0.0.0.0", "--allowed-host", "films.example.org"), NAMES, OTHERS[1:]),
    ],
)
def test_the_names_a_service_answers_to(options, taken, refused, models):
    """A page of another site may point its own name at this machine, and would read answers."""
    with Service(models / "a", "--port", 0, *options) as service:
        for status, names in ((200, taken), (421, refused)):
            for name in names:
                answer = service.client.get("/health", headers={"Host": name})
                assert answer.status_code == status, name
                if status == 421:
                    assert "--allowed-host" in answer.json()["detail"]
        with socket.create_connection((service.host, service.port), timeout=20) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")  # a balancer's check
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("name", ["https://a.org", "a.org:80", "", "*", "a b", "x/y"])
def test_a_name_that_is_none_is_refused(name, models):
    words = ["serve", "--model", str(models / "a"), "--allowed-host", name]
    refused = CliRunner().invoke(app, words).exception
    assert isinstance(refused, InputError) and "is no host name" in str(refused)


@needs_signals
def test_open_requests_are_finished_before_the_end(models):
    with Service(models / "a", "--port", 0) as service:
        body = b'{"pairs":[{"user":"u1","item":"10"}]}'
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        idle = socket.create_connection((service.host, service.port), timeout=20)
        with socket.create_connection((service.host, service.port), timeout=20) as connection:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:9])
            wait_until(lambda: "requests_open 2.0" in service.get("/metrics").text)
            service.process.send_signal(signal.SIGTERM)
            assert idle.recv(1) == b""  # the end has begun
            connection.sendall(body[9:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert service.process.wait(20) == 0
        assert service.log().count("\n") == 1, service.log()
        idle.close()


@needs_signals
def test_a_kill_and_a_new_start_on_the_same_port(models):
    with Service(models / "a", "--port", 0) as first:
        held = first.get("/health").json()
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
        options = ["--port", first.port, "--host", "0.0.0.0"]
        with Service(models / "a", *options) as second:
            assert second.get("/health").json() == held
            assert second.host == "0.0.0.0"
            assert second.log().count("there is no authentication") == 1
            assert second.end(signal.SIGINT) == 0
            assert second.log().count("\n") == 2, second.log()


def test_what_cannot_be_served_is_said(models, monkeypatch):
    def refused(*options):
        done = CliRunner().invoke(app, ["serve", *map(str, options)])
        assert isinstance(done.exception, InputError) and done.stdout == "", done.output
        return str(done.exception)

    for name in ("OPENBLAS", "MKL", "BLIS"):  # which the command sets
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    monkeypatch.setenv("VECLIB_MAXIMUM_THREADS", "1")
    assert "weights.npz is damaged" in refused("--model", models / "damaged", "--port", 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--model", models / "a", "--port", port)
        assert f"--port {port} cannot be listened at (" in said
    assert "--host a..b" in refused("--model", models / "a", "--host", "a..b")
    monkeypatch.setitem(sys.modules, "fastapi", None)
    said = refused("--model", models / "a")
    assert "needs fastapi" in said and 'pip install "d2l-autorec[serve]"' in said


class Thread:
    """Some application behind the guard and uvicorn, in this process, to set its limits."""

    def __init__(self, app):
        self.guard = limits.Guard(app, Metrics(), [])
        config = uvicorn.Config(
            self.guard,
            port=0,
            http=limits.Protocol,
            ws="none",
            log_level="error",
            lifespan="off",
            loop="asyncio",
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self):
        self.thread.start()
        wait_until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join()

    def connect(self, data=b""):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(data)
        return connection


async def slow(scope, receive, send):
    await asyncio.sleep(0.4)
    await plain(scope, receive, send)


async def plain(scope, receive, send, body=b"ok"):
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def large(scope, receive, send):
    await plain(scope, receive, send, b"x" * 20_000_000)


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_headers_and_bodies_have_a_deadline(monkeypatch):
    monkeypatch.setattr(limits, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    with Thread(plain) as thread:
        silent, slow_headers = thread.connect(), thread.connect(b"GET / HT")
        slow_body = thread.connect(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
        second = thread.connect(GET + b"GET / HT")
        for _ in range(10):  # more data moves no deadline
            time.sleep(0.05)
            with contextlib.suppress(OSError):
                slow_headers.sendall(b"x")
        for connection in (silent, slow_headers):
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
        assert slow_body.recv(1000).startswith(b"HTTP/1.1 408")
        assert b"ok" in second.recv(1000)
        for connection in (silent, slow_headers, slow_body, second):
            connection.close()


def test_what_is_too_much_at_once_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_OPEN", 2)
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 4)
    with Thread(slow) as thread:
        three = [thread.connect(GET) for _ in range(3)]
        answers = [connection.recv(1000) for connection in three]
        assert sorted(answer.split()[1] for answer in answers) == [b"200", b"200", b"503"]
        [busy] = [answer for answer in answers if b" 503 " in answer]
        assert b"retry-after: 1" in busy.lower() and b'"2 requests are being answered' in busy
        for connection in three:
            connection.close()
        wait_until(lambda: not thread.server.server_state.connections)
        assert thread.guard.begun == thread.guard.read == 0
        held = [thread.connect() for _ in range(4)]
        wait_until(lambda: len(thread.server.server_state.connections) == 4)
        with thread.connect() as fifth, pytest.raises(ConnectionResetError):
            fifth.sendall(GET)
            assert fifth.recv(100) == b""
            raise ConnectionResetError  # closed, which does as well
        for connection in held:
            connection.close()


def test_an_answer_that_nobody_reads_is_cut_off(monkeypatch):
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 0.3)
    with Thread(large) as thread, thread.connect(GET):
        wait_until(lambda: thread.server.server_state.total_requests == 1)
        wait_until(lambda: not thread.server.server_state.connections)


def test_a_copy_under_way_is_not_taken_for_a_model(models, tmp_path, monkeypatch):
    monkeypatch.setattr(holder, "POLL", 0.05)
    live = tmp_path / "live"
    shutil.copytree(models / "a", live)
    held = holder.Holder(live, Metrics())
    try:
        old = held.current.model.digest
        for name in ("model.json", "weights.npz", "ratings.npz", "ids.json"):
            assert held.current.model.digest == old
            shutil.copyfile(models / "b" / name, live / name)
            time.sleep(0.12)
        wait_until(lambda: held.current.model.digest == listed_digest(models / "b"))
    finally:
        held.close()
