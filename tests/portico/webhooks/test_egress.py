"""WH-06: deliveries go to public addresses only, and to those that were looked at."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import aiohttp.test_utils
import pytest
from aiohttp import web

from portico.webhooks.egress import Egress, ForbiddenAddressError, Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
LOOPBACK = Guard([ip_network("127.0.0.0/8"), ip_network("::1/128")])


@contextlib.asynccontextmanager
async def receiver(handler: object) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)  # type: ignore[arg-type]
    server = aiohttp.test_utils.TestServer(app)
    await server.start_server()
    assert server.port is not None
    try:
        yield server.port
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def egress(guard: Guard = LOOPBACK, **options: float) -> AsyncIterator[Egress]:
    opened = Egress(guard, **options)  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        await opened.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.1.2.3/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://192.0.2.1/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://[ff02::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2001:0:7f00:1::]/",
    ],
)
def test_WH_06_an_address_that_is_not_public_is_refused(url: str) -> None:  # noqa: N802
    with pytest.raises(ForbiddenAddressError, match="not a public address"):
        Guard().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://8.8.8.8/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https:///nowhere",
        "//example.com/",
        "https://user:secret@example.com/",
        "https://[bad/",
    ],
)
def test_WH_06_other_urls_are_refused(url: str) -> None:  # noqa: N802
    with pytest.raises(ForbiddenAddressError) as refusal:
        Guard().check_url(url)

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["https://8.8.8.8/", "https://[2600::]/", "https://example.com:8443/x"]
)
def test_WH_06_public_addresses_are_accepted(url: str) -> None:  # noqa: N802
    assert str(Guard().check_url(url)) == url


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1"])
async def test_WH_06_a_name_that_leads_inside_is_refused_when_it_is_resolved(host: str) -> None:  # noqa: N802
    """Also numbers that only a resolver takes for an address."""
    async with egress(Guard()) as opened:
        with pytest.raises(ForbiddenAddressError):
            await opened.post(f"https://{host}/hook", [], b"{}")


async def test_WH_06_the_connection_goes_to_the_address_that_was_looked_at(  # noqa: N802
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that leads elsewhere when it is asked for again is not asked for again."""
    asked: list[str] = []
    connected: list[object] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **keywords: Any) -> Any:
        asked.append(host)
        first = asked.count(host) == 1
        return real("127.0.0.1" if first else "127.0.0.2", *arguments, **keywords)

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer.get_extra_info("sockname"))
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)  # the network's, not ours
    async with server, egress(Guard([ip_network("127.0.0.1/32")])) as opened:
        with pytest.raises(OSError, match="Client"):  # nobody speaks TLS there
            await opened.post(f"https://rebinding.test:{port}/", [], b"{}")

    assert asked.count("rebinding.test") == 1
    assert connected == [("127.0.0.1", port)]


async def test_WH_06_redirects_are_not_followed() -> None:  # noqa: N802
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=302, headers={"location": "/inside"})

    async with receiver(handler) as port, egress() as opened:
        answer = await opened.post(f"http://127.0.0.1:{port}/hook", [], b"{}")

    assert answer.status == 302
    assert paths == ["/hook"]


async def test_the_bytes_and_headers_arrive_as_they_were_given() -> None:
    got: list[tuple[bytes, str]] = []

    async def handler(request: web.Request) -> web.Response:
        got.append((await request.read(), request.headers["webhook-id"]))
        return web.Response(status=429, headers={"retry-after": "7"}, text="x" * 10_000)

    async with receiver(handler) as port, egress() as opened:
        answer = await opened.post(
            f"http://127.0.0.1:{port}/hook", [("webhook-id", "msg_1")], b'{"a":1}'
        )

    assert got == [(b'{"a":1}', "msg_1")]
    assert (answer.status, answer.retry_after) == (429, "7")
    assert len(answer.excerpt) <= 512


async def test_a_receiver_that_is_silent_is_given_up_in_time() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with receiver(handler) as port, egress(total_seconds=0.2) as opened:
        with pytest.raises(TimeoutError):
            await opened.post(f"http://127.0.0.1:{port}/hook", [], b"{}")


async def test_a_receiver_that_is_not_there_is_an_error_of_the_network() -> None:
    async with egress() as opened:
        with pytest.raises(OSError, match="127"):
            await opened.post("http://127.0.0.1:1/hook", [], b"{}")
