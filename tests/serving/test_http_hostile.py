"""Hundreds of hostile requests: each gets a sentence or a closed connection, and no trace."""

import json
import random
import socket
import time

import pytest
from http_service import Service, wait_until
from toy_models import toy_model

from d2l_autorec.serving.folder import save_model

pytest.importorskip("fastapi")

MIB = 1024**2
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "model"
    save_model(folder, toy_model())
    with Service(folder, "--port", 0) as service:
        yield service
        assert service.get("/health").status_code == 200
        counted = [
            li for li in service.get("/metrics").text.splitlines() if "requests_total" in li
        ]
        assert len(counted) > 5 and not any('status="5' in line for line in counted)
        assert "d2l_autorec_requests_open 1.0" in service.get("/metrics").text
        assert service.end() == 0
        assert service.log().count("\n") == 1, service.log()


FILL = b"\r\n" * 200 + b"x\r\n\r\n"  # ends a body that is too short, then is no request


def send(service, data):
    """Send bytes and return what comes back until the other side closes; b"" if it just does."""
    with socket.create_connection((service.host, service.port), timeout=20) as connection:
        said = b""
        try:
            connection.sendall(data)
            while part := connection.recv(65536):
                said += part
        except (ConnectionResetError, BrokenPipeError):  # with bytes not read it ends like this
            pass
        return said


def request(line, *headers, body=b""):
    head = [line, "Host: localhost", *headers, "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def post(path, body, *headers):
    return request(
        f"POST {path} HTTP/1.1", JSON, f"Content-Length: {len(body)}", *headers, body=body
    )


def assert_refused(said, *statuses):
    """Look at an answer, if there is one: its status, and one sentence in JSON."""
    head, _, body = said.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert 400 <= status < 500 and (not statuses or status in statuses), said[:500]
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    body = body[:length]  # another answer may follow
    [(name, sentence)] = json.loads(body).items()
    assert name == "detail" and sentence.endswith("."), sentence
    assert len(sentence) < 400 and "Traceback" not in sentence and "\n" not in sentence
    return sentence


def test_bytes_that_are_no_request(service):
    draws = random.Random(1)
    for _ in range(100):
        data = bytes(draws.choices(range(256), k=draws.randint(1, 300))) + b"\r\n\r\n"
        said = send(service, data)
        if said:
            assert_refused(said, 400)


LINES = [
    "GET / HTTP/9.9",
    "GET  /health HTTP/1.1",
    "get /health",
    "GET /health HTTP/1.1\r\nX",
    "GET /health HTTP/1.1\r\nContent-Length: x",
    "GET /health HTTP/1.1\r\nContent-Length: -5",
    "POST /predict HTTP/1.1\r\nTransfer-Encoding: gzip",
    "\0 /health HTTP/1.1",
    "POST /predict HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6",
    "GET /health HTTP/1.1\r\nX: " + "y" * 100_000,
    "GET /health HTTP/1.1" + "\r\nX: y" * 30_000,
    "GET /recommend?user=" + "u" * 100_000 + " HTTP/1.1",
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_lines_and_headers_that_are_none(line, service):
    said = send(service, request(line))
    if said:
        assert_refused(said, 400, 404, 431)


TARGETS = [
    "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//", "/.", "/recommend/", "/RECOMMEND",
    "http://127.0.0.1/health", "*", "/%00", "/%ff%fe", "/model.json", "/docs/../model",
    "/recommend", "/recommend?user=", "/recommend?user=../../../etc/passwd",
    "/recommend?user=%00", "/recommend?user=%ff%fe", "/recommend?user=u1&n=-1",
    "/recommend?user=u1&n=1e9", "/recommend?user=u1&n=" + "9" * 5000,
    "/recommend?user=u1&n=NaN", "/recommend?user=u1&min_ratings=-1",
    "/recommend?user=u1&min_ratings=10000000000", "/recommend?user=u1&" + "a=1&" * 2000,
    "/recommend?user=u1;drop", "/recommend?user[]=u1", "/recommend?" + "user=u1&" * 500 + "user=z",
    "/recommend?user=" + "u" * 9000, "/recommend?user=%1b[31m%0d%0aX-Evil:1",
    "/similar?item=" + "(" * 900, "/similar?item=.*", "/similar?user=%F0%9F%92%A9&n=2",
    "/explain?user=u1", "/explain?item=10", "/explain?user=10&item=u1",
    "/similar?item=99999999999999999999999999", "/similar?item=-9223372036854775808",
    "/similar?item=1e5", "/similar?item=%20%20", "/predict", "/new-user?item=10",
]  # fmt: skip


def test_targets_that_lead_nowhere(service):
    for target in TARGETS:
        said = send(service, request(f"GET {target} HTTP/1.1"))
        assert_refused(said)
        assert b"\r\nx-evil" not in said.lower() and b"\x1b" not in said
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"):
        assert_refused(send(service, request(f"{method} /recommend HTTP/1.1")), 405)
    for target, status in (("/recommend", 422), ("/predict", 405), ("/nothing", 404)):
        head, _, body = send(service, request(f"HEAD {target} HTTP/1.1")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d" % status) and body == b""


PAIR = b'{"pairs":[{"user":"u1","item":%s}]}'
BODIES = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}", b"\xff\xfe", b"\0", b"{'pairs':[]}",
    b'{"pairs":null}', b'{"pairs":{}}', b'{"pairs":"x"}', b'{"pairs":[[]]}', b'{"pairs":[null]}',
    b'{"pairs":[{}]}', b'{"pairs":[{"user":"u1"}]}', b'{"pairs":[],"pairs":[]}',
    *(PAIR % value for value in (
        b"null", b"true", b"[]", b"{}", b"NaN", b"Infinity", b"-Infinity", b"1.5", b"1e400", b"-1",
        b'""', b'"\\ud800"', b'"\\u0000"', b'"../../etc/passwd"', b"9" * 30, b"9" * 6000,
        b'"' + b"x" * 5000 + b'"', b'"\\u202e"', b"[" * 500 + b"]" * 500, b"1" + b"0" * 100_000,
    )),
    b"[" * 200_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"pairs":[' + b"1," * 300_000 + b"1]}", b'{"pairs":[],"' + b"k" * 50_000 + b'":1}',
    b'{"ratings":[{"item":"10","rating":"x"}],"pairs":1}', b"{" + b'"a":1,' * 100_000 + b'"a":1}',
]  # fmt: skip
RATING = b'{"ratings":[{"item":"10","rating":%s}]}'
RATED = [
    RATING % value
    for value in (
        b"NaN",
        b"Infinity",
        b"-1e999",
        b"null",
        b"[]",
        b"6",
        b"0",
        b"-5",
        b"1e308",
        b'"five"',
        b"true]",
        b"9" * 400,
    )
]


def test_bodies_that_are_not_what_was_asked_for(service):
    for body in BODIES:
        assert_refused(send(service, post("/predict", body)))
    for body in (*BODIES[:18], *RATED):
        assert_refused(send(service, post("/new-user", body)))
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        line = "POST /predict HTTP/1.1"
        said = send(
            service, request(line, f"Content-Type: {kind}", "Content-Length: 2", body=b"{}")
        )
        assert_refused(said, 415)
    said = send(service, request("POST /predict HTTP/1.1", "Content-Length: 2", body=b"{}"))
    assert_refused(said, 415)


def test_mutations_of_a_good_request(service):
    draws = random.Random(2)
    good = post("/predict", json.dumps({"pairs": [{"user": "u1", "item": "10"}]}).encode())
    assert send(service, good).startswith(b"HTTP/1.1 200")
    for _ in range(100):
        data = bytearray(good)
        for _ in range(draws.randint(1, 4)):
            data[draws.randrange(len(data))] = draws.randrange(256)
        said = send(service, bytes(data) + FILL)
        if said and not said.startswith(b"HTTP/1.1 200"):
            assert_refused(said)


def test_bodies_that_are_too_long(service):
    sentence = assert_refused(send(service, post("/predict", b" " * (MIB + 1))), 413)
    assert "1,048,576 bytes" in sentence
    declared = request("POST /predict HTTP/1.1", JSON, "Content-Length: 99999999999999999999")
    assert_refused(send(service, declared), 413)
    declared = request("POST /predict HTTP/1.1", JSON, "Content-Length: 9" + "9" * 200)
    assert_refused(send(service, declared), 400, 413)
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    for method in ("POST", "GET"):
        head = request(f"{method} /health HTTP/1.1", JSON, "Transfer-Encoding: chunked")
        assert_refused(send(service, head + piece * 17 + b"0\r\n\r\n"), 413)
        said = send(service, head + piece * 2000)  # 125 MiB, of which 4 are read
        if said:
            assert_refused(said, 413)
    small = b"1\r\n \r\n" * 50_000 + b"zz\r\n"  # many chunks, and then none
    head = request("POST /predict HTTP/1.1", JSON, "Transfer-Encoding: chunked")
    said = send(service, head + small)
    if said:
        assert_refused(said, 400)


def test_unfinished_requests_hold_nothing_up(service):
    held = []
    for k in range(60):
        connection = socket.create_connection((service.host, service.port), timeout=20)
        body = b"" if k % 2 else JSON.encode() + b"\r\nContent-Length: 100\r\n\r\n{"
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\n" + body)
        held.append(connection)
    assert service.get("/recommend", user="u1").status_code == 200
    for k, connection in enumerate(held):  # half of them end without a word, half reset
        if k % 3 == 0:
            linger = b"\x01\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
    wait_until(lambda: "requests_open 1.0" in service.get("/metrics").text)


def test_pipelined_requests_are_answered_in_turn(service):
    asked = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50
    last = request("GET /recommend?user=nobody HTTP/1.1")
    said = send(service, asked + last)
    assert said.count(b"HTTP/1.1 200 OK") == 50 and said.count(b"HTTP/1.1 404") == 1


def test_a_flood_of_answers_that_nobody_reads(service):
    asked = b"GET /recommend?user=u1&n=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20
    with socket.create_connection((service.host, service.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                connection.send(asked)
            except BlockingIOError:
                break
        assert service.get("/health").status_code == 200
