"""The seam to httpx: the pool serves any client of httpx, and any transport serves an upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.upstream.failures import UpstreamProblem
from gateway.upstream.options import UpstreamOptions
from gateway.upstream.upstream import Upstream
from portico.problems import BAD_UPSTREAM, DEADLINE_EXCEEDED, SYSTEM_UNAVAILABLE, ProblemType
from portico.transport.pool import PooledTransport
from portico.transport.wire import Incoming, Outgoing
from tests.gateway.upstream.doubles import OK, Wire, request, serving, whole

pytestmark = pytest.mark.anyio


def pool() -> PooledTransport:
    return PooledTransport(max_connections=4, max_waiting=4, idle_seconds=4.0)


def over(transport: httpx.AsyncBaseTransport) -> Upstream:
    options = UpstreamOptions(name="billing", urls=("http://upstream.test/v2",))
    return Upstream(options, transport)


async def test_a_client_of_httpx_works_over_the_pool() -> None:
    seen: list[bytes] = []

    async def script(wire: Wire) -> None:
        seen.append(await wire.request())
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        await wire.send(b"Set-Cookie: a=1\r\nContent-Length: 8\r\n\r\n")
        await wire.send(b'{"a": 1}')
        seen.append(await wire.request())
        await wire.send(OK)

    async def parts() -> AsyncIterator[bytes]:
        yield b"part"

    async with serving(script) as double, httpx.AsyncClient(transport=pool()) as client:
        response = await client.get(double.url + "/a", params={"q": "x y"})
        assert response.json() == {"a": 1}
        assert response.cookies["a"] == "1"
        assert (await client.post(double.url, content=parts())).text == "ok"
    assert seen[0].startswith(b"GET /a?q=x+y HTTP/1.1\r\nHost: 127.0.0.1")
    assert seen[1].endswith(b"4\r\npart\r\n0\r\n\r\n")


async def test_the_failures_of_the_pool_are_those_of_httpx() -> None:
    async def silent(wire: Wire) -> None:
        await wire.rest()

    async with serving(silent) as double, httpx.AsyncClient(transport=pool()) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(double.url, timeout=0.1)
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")


async def test_an_upstream_works_over_any_transport() -> None:
    def handler(sent: httpx.Request) -> httpx.Response:
        assert sent.extensions["target"] == b"/v2/items?page=2"
        assert sent.headers["via"] == "1.1 portico"
        assert sent.content == b"abc"
        return httpx.Response(201, headers={"X-A": "1"}, content=b"made")

    upstream = over(httpx.MockTransport(handler))
    response = await upstream.forward(request("POST", query=b"page=2", body=b"abc"))
    assert (response.status, response.body) == (201, b"made")
    assert (b"x-a", b"1") in response.headers


async def test_a_body_streams_over_any_transport() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async def handler(sent: httpx.Request) -> httpx.Response:
        assert await sent.aread() == b"onetwo"
        return httpx.Response(200, content=parts())

    response = await over(httpx.MockTransport(handler)).forward(request("POST", body=parts()))
    assert not isinstance(response.body, bytes)
    assert await whole(response) == b"onetwo"
    await response.aclose()


@pytest.mark.parametrize(
    ("raised", "kind", "sent"),
    [
        (httpx.ConnectError("refused"), SYSTEM_UNAVAILABLE, False),
        (httpx.ConnectTimeout("slow"), SYSTEM_UNAVAILABLE, False),
        (httpx.PoolTimeout("full"), SYSTEM_UNAVAILABLE, False),
        (httpx.ReadTimeout("slow"), DEADLINE_EXCEEDED, True),
        (httpx.WriteTimeout("slow"), DEADLINE_EXCEEDED, True),
        (httpx.ReadError("closed"), BAD_UPSTREAM, True),
        (httpx.WriteError("closed"), BAD_UPSTREAM, True),
        (httpx.RemoteProtocolError("noise"), BAD_UPSTREAM, True),
    ],
)
async def test_each_failure_says_whether_something_may_have_been_sent(
    raised: httpx.TransportError, kind: ProblemType, *, sent: bool
) -> None:
    def handler(_request: httpx.Request) -> httpx.Response:
        raise raised

    with pytest.raises(UpstreamProblem) as problem:
        await over(httpx.MockTransport(handler)).forward(request("POST"))
    assert (problem.value.kind, problem.value.sent) == (kind, sent)
    assert "upstream.test" not in problem.value.detail


async def test_a_request_made_for_the_wire_is_a_whole_request_of_httpx() -> None:
    url = httpx.URL("http://upstream.test/a")
    made = Outgoing("POST", url, [(b"Host", b"h"), (b"X-A", b"1")], b"abc", {"target": b"/b"})
    assert isinstance(made, httpx.Request)
    assert made.headers["x-a"] == "1"
    assert await made.aread() == b"abc"
    assert made.extensions == {"target": b"/b"}
    assert repr(made) == "<Outgoing('POST', 'http://upstream.test/a')>"
    with pytest.raises(AttributeError):
        made.nothing  # noqa: B018  # the access is the test


async def test_a_response_read_from_the_wire_is_a_whole_response_of_httpx() -> None:
    read = Incoming(
        404, ((b"Content-Type", b"text/plain"),), b"gone", {"http_version": b"HTTP/1.1"}
    )
    assert isinstance(read, httpx.Response)
    assert read.is_client_error
    assert await read.aread() == b"gone"
    assert read.text == "gone"
    assert read.headers["content-type"] == "text/plain"
    with pytest.raises(AttributeError):
        read.nothing  # noqa: B018  # the access is the test
