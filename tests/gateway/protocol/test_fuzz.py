"""Mutated bytes: never a server error or a hang, and the application sees only clean requests."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.protocol.target import check_target
from tests.gateway.protocol.memory import MemoryConnection
from tests.gateway.protocol.test_probes import MALFORMED, SMUGGLED
from tests.gateway.protocol.wire import PROBLEM, Answer, App, answers, request

if TYPE_CHECKING:
    from collections.abc import Sequence

SEEDS = [
    request(),
    request("POST", "/a/b?c=d", "Content-Type: application/json", body=b'{"a": 1}'),
    request("POST", "/ok", "Transfer-Encoding: chunked") + b"5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    request("GET", "http://portico.test/absolute"),
    request("OPTIONS", "*"),
    request("GET", "/up", "Connection: upgrade", "Upgrade: h2c"),
    request("POST", "/ok", "Expect: 100-continue", body=b"hello"),
    request("POST", "/early", body=b"x" * 50),
    request("GET", "/stream"),
    b"GET /old HTTP/1.0\r\n\r\n",
    *MALFORMED.values(),
]
# Bytes and fields that parsers have disagreed about.
SPICE = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\x0b", b"\xff", b"%2e", b"%00", b"%",
    b"..", b"\\",
    b"Host: b\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n", b"Connection: close\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"HTTP/1.0", b"HTTP/2.0", b"0\r\n\r\n",
    b"ffffffff\r\n",
    b"Expect: 100-continue\r\n", b"HEAD ", b"CONNECT a:1 HTTP/1.1\r\n", SMUGGLED,
]  # fmt: skip
ANSWERED = {200, 400, 408, 413, 414, 429, 431, 501}
FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
FIELD_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[ -~\t\x80-\xff]*[!-~\x80-\xff])?)?\Z")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a few requests after another and damage them in a few places."""
    data = b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 6))
        patch = draw(st.sampled_from(SPICE) | st.binary(max_size=3))
        data = data[:start] + patch + data[start + length :]
    return data


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    points = sorted({c % (len(data) + 1) for c in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(points)]


@settings(
    max_examples=1_500,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
@given(mutated(), st.lists(st.integers(0, 2_000), max_size=4))
def test_mutated_requests_are_answered_refused_or_timed_out(data: bytes, cuts: list[int]) -> None:
    app, found, closed = asyncio.run(converse(cut(data, cuts)))

    assert closed, "the connection outlived every time limit"
    for answer in found:
        assert answer.status in ANSWERED, answer
        if answer.status >= 400 and answer.headers.get("content-type") == PROBLEM:
            answer.slug()
    for scope in app.scopes:
        assert_clean(scope)


async def converse(chunks: Sequence[bytes]) -> tuple[App, list[Answer], bool]:
    app = App()
    connection = MemoryConnection(app)
    await connection.feed(*chunks)
    for _ in range(4):
        # A head or body that never ends, then lingering, then closing.
        connection.gate.advance(100.0)
        await connection.settle()
    closed, written = connection.transport.closed, connection.transport.written
    await connection.lose()
    assert not connection.state.tasks
    # What answers HEAD cannot be told apart from what comes after it; the probes cover it.
    heads = b"HEAD" in b"".join(chunks)
    final = written.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    return app, [] if heads else answers(final), closed


def assert_clean(scope: dict[str, Any]) -> None:
    names = [name for name, _ in scope["headers"]]
    hosts = names.count(b"host")
    assert hosts == 1 or (hosts == 0 and scope["http_version"] == "1.0")
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert all(FIELD_NAME.match(name) for name in names), names
    assert all(FIELD_VALUE.match(value) for _, value in scope["headers"]), scope
    assert scope["http_version"] in {"1.0", "1.1"}
    assert scope["raw_path"].startswith(b"/") or scope["raw_path"] == b"*"
    assert scope["raw_path"] == b"*" or check_target(scope["raw_path"]) is None
    assert re.fullmatch(rb"[!-\"$-~]*", scope["query_string"])


def test_a_target_of_any_bytes_is_refused_or_clean() -> None:
    """One byte at a time, so that no character is left to chance."""

    async def refused(byte: int) -> bool:
        app = App()
        connection = MemoryConnection(app)
        await connection.feed(b"GET /a" + bytes([byte]) + b"b?c HTTP/1.1\r\nHost: a\r\n\r\n")
        await connection.lose()
        for scope in app.scopes:
            assert_clean(scope)
        return not app.scopes

    accepted = bytes(byte for byte in range(256) if not asyncio.run(refused(byte)))
    assert accepted == bytes(byte for byte in range(0x21, 0x7F) if byte not in b"#%\\")
