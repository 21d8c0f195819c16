"""What an upstream receives, byte by byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from portico.problems import (
    LOOP_DETECTED,
    MALFORMED_REQUEST,
    NOT_IMPLEMENTED,
    Problem,
)
from tests.gateway.upstream.doubles import OK, Wire, request, serving, upstream

pytestmark = pytest.mark.anyio


async def received(sent: Any, *, derived_key: str = "", prefix: str = "", **options: Any) -> bytes:
    """Return the bytes that arrive for a request."""
    seen: list[bytes] = []

    async def script(wire: Wire) -> None:
        seen.append(await wire.request())
        await wire.send(OK)

    async with serving(script) as double, upstream(double.url + prefix, **options) as billing:
        response = await billing.forward(sent, derived_key=derived_key)
        await response.aclose()
    authority = double.url.removeprefix("http://").encode()
    return seen[0].replace(authority, b"upstream.test")


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_request_is_what_the_client_sent_plus_what_marks_the_hop() -> None:
    sent = request(headers=((b"accept", b"text/plain"), (b"x-note", b"caf\xe9")), query=b"page=2")
    assert await received(sent, prefix="/v2/") == (
        b"GET /v2/items?page=2 HTTP/1.1\r\n"
        b"host: upstream.test\r\n"
        b"accept: text/plain\r\n"
        b"x-note: caf\xe9\r\n"
        b"forwarded: for=192.0.2.1;proto=https;host=api.example.com;by=_portico\r\n"
        b"x-forwarded-for: 192.0.2.1\r\n"
        b"x-forwarded-proto: https\r\n"
        b"x-forwarded-host: api.example.com\r\n"
        b"via: 1.1 portico\r\n"
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize("path", [b"/a%2Fb", b"/a%20b;v=1", b"/%C3%A9", b"/a//b/", b"/"])
async def test_the_path_is_passed_on_raw(path: bytes) -> None:
    assert (await received(request(path=path))).startswith(b"GET " + path + b" HTTP/1.1\r\n")


@pytest.mark.parametrize("query", [b"a=1&a=2", b"q=a+b%20c&empty=", b"[]=|'\"<>{}", b"&&"])
async def test_the_query_is_passed_on_raw(query: bytes) -> None:
    assert (await received(request(query=query))).startswith(b"GET /items?" + query + b" HTTP/1.1")


@pytest.mark.parametrize(
    "path", [b"/../admin", b"/%2e%2e/admin", b"/a/..;x/b", b"/..%2fadmin", b"/a\\..\\b", b"/a b"]
)
async def test_a_path_that_could_leave_the_base_url_is_refused(path: bytes) -> None:
    async with upstream("http://127.0.0.1:1/public") as billing:
        with pytest.raises(Problem) as raised:
            await billing.forward(request(path=path))
    assert raised.value.kind is MALFORMED_REQUEST


async def test_bytes_go_with_their_length() -> None:
    sent = await received(request("POST", body=b"abc", headers=((b"content-length", b"99"),)))
    assert sent.endswith(b"content-length: 3\r\n\r\nabc")
    assert b"99" not in sent


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_missing_body_is_said_where_one_is_expected(method: str) -> None:
    assert b"content-length: 0\r\n" in await received(request(method))


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
async def test_a_missing_body_is_not_mentioned_elsewhere(method: str) -> None:
    assert b"content-length" not in await received(request(method))


async def test_a_stream_of_unknown_length_is_chunked() -> None:
    sent = await received(request("POST", body=parts(b"one", b"", b"three")))
    assert b"transfer-encoding: chunked\r\n" in sent
    assert sent.endswith(b"\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n")


async def test_a_stream_of_known_length_keeps_it() -> None:
    sent = request("POST", body=parts(b"one", b"two"), headers=((b"content-length", b"6"),))
    assert (await received(sent)).endswith(b"content-length: 6\r\n\r\nonetwo")


async def test_expect_is_not_forwarded() -> None:
    sent = request("PUT", body=b"x", headers=((b"expect", b"100-continue"),))
    assert b"expect" not in await received(sent)


async def test_the_derived_key_replaces_that_of_the_client() -> None:
    """IDM-36: the key of the client ends here."""
    sent = request("POST", headers=((b"idempotency-key", b"client"),))
    seen = await received(sent, derived_key="derived")
    assert b"idempotency-key: derived\r\n" in seen
    assert b"client" not in seen


async def test_the_host_of_the_client_is_kept_if_asked_for() -> None:
    assert b"\r\nhost: api.example.com\r\n" in await received(request(), preserve_host=True)


async def test_no_header_is_invented() -> None:
    names = {line.split(b":")[0] for line in (await received(request())).split(b"\r\n")[1:-2]}
    assert not names & {b"user-agent", b"accept", b"accept-encoding", b"connection", b"cookie"}


async def test_environment_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await received(request())).startswith(b"GET /items HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        ((b"x-note", b"a\r\nx-admin: 1"),),
        ((b"x-note", b"a\nx-admin: 1"),),
        ((b"x-note", b"a\0b"),),
        ((b"x-note: 1\r\nx-admin", b"1"),),
        ((b"x note", b"1"),),
        ((b"", b"1"),),
    ],
)
async def test_a_header_that_would_end_its_line_is_refused(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    async with serving() as double, upstream(double.url) as billing:
        with pytest.raises(Problem) as raised:
            await billing.forward(request(headers=headers))
    assert raised.value.kind is MALFORMED_REQUEST


@pytest.mark.parametrize("query", [b"a b", b"a\r\nb"])
async def test_a_query_that_would_end_the_request_line_is_refused(query: bytes) -> None:
    async with serving() as double, upstream(double.url) as billing:
        with pytest.raises(Problem) as raised:
            await billing.forward(request(query=query))
    assert raised.value.kind is MALFORMED_REQUEST


async def test_a_method_that_would_end_the_request_line_is_refused() -> None:
    async with serving() as double, upstream(double.url) as billing:
        with pytest.raises(Problem) as raised:
            await billing.forward(request("GET /admin"))
    assert raised.value.kind is MALFORMED_REQUEST


async def test_a_request_that_came_through_this_gateway_is_a_loop() -> None:
    async with upstream("http://127.0.0.1:1") as billing:
        with pytest.raises(Problem) as raised:
            await billing.forward(request(headers=((b"via", b"1.0 fred, 1.1 Portico (x)"),)))
    assert raised.value.kind is LOOP_DETECTED


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
async def test_methods_that_are_not_for_a_gateway_are_refused(method: str) -> None:
    async with upstream("http://127.0.0.1:1") as billing:
        with pytest.raises(Problem) as raised:
            await billing.forward(request(method))
    assert raised.value.kind is NOT_IMPLEMENTED


async def test_websocket_is_refused_and_other_upgrades_are_ignored() -> None:
    headers = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"))
    async with upstream("http://127.0.0.1:1") as billing:
        with pytest.raises(Problem) as raised:
            await billing.forward(request(headers=headers))
    assert raised.value.kind is NOT_IMPLEMENTED

    headers = ((b"connection", b"Upgrade, HTTP2-Settings"), (b"upgrade", b"h2c"))
    assert b"upgrade" not in (await received(request(headers=headers))).lower()


async def test_redirects_are_passed_on_and_cookies_are_not_remembered() -> None:
    seen: list[bytes] = []

    async def script(wire: Wire) -> None:
        while True:
            seen.append(await wire.request())
            await wire.send(
                b"HTTP/1.1 302 Found\r\nLocation: /other\r\nSet-Cookie: a=1\r\n"
                b"Content-Length: 0\r\n\r\n"
            )

    async with serving(script) as double, upstream(double.url, cookies="pass") as billing:
        for _ in range(2):
            response = await billing.forward(request())
            assert response.status == 302
            assert (b"location", b"/other") in response.headers
    assert len(seen) == 2
    assert b"cookie" not in seen[1].lower()
