"""What is on the wire: fields, cookies, packed bodies, addresses."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from portico import __version__
from portico.connectors.failures import BrokenError, UnreachableError
from portico.connectors.wire import MAX_ORIGINS, ConnectionSettings, open_wire
from portico.deadline import Deadline
from tests.support.script import Script, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portico.connectors.messages import Answer
    from portico.connectors.wire import Wire

pytestmark = pytest.mark.anyio


@pytest.fixture
async def wire(script: Script) -> AsyncIterator[Wire]:
    settings = ConnectionSettings.model_validate({"base_url": f"http://127.0.0.1:{script.port}"})
    async with open_wire(settings, "bench") as opened:
        yield opened


async def ask(
    wire: Wire, script: Script, path: str = "/", method: str = "GET", **headers: str
) -> Answer:
    url = f"http://127.0.0.1:{script.port}{path}"
    return await wire.exchange(method, url, headers=headers, deadline=Deadline.after(5))


def fields(request: bytes) -> list[str]:
    return request.decode().lower().rstrip().split("\r\n")[1:]


async def test_a_request_has_each_field_once(wire: Wire, script: Script) -> None:
    script.answers = [answer(200, b"{}")] * 3
    await ask(wire, script, accept="application/json", x="1")
    await ask(wire, script)
    await ask(wire, script, method="POST")

    common = [f"host: 127.0.0.1:{script.port}", "accept-encoding: gzip, deflate"]
    common += ["connection: keep-alive", f"user-agent: portico/{__version__}"]
    wanted = (
        ["accept: application/json", "x: 1"],
        ["accept: */*"],
        ["accept: */*", "content-length: 0"],
    )
    found = [sorted(fields(request)) for request in script.requests]
    assert found == [sorted([*common, *each]) for each in wanted]


async def test_cookies_come_back_to_who_gave_them(wire: Wire, script: Script) -> None:
    script.answers = [
        answer(200, b"{}", "set-cookie: session=1; path=/a", "set-cookie: context=2; path=/"),
        *[answer(200, b"{}")] * 2,
        answer(200, b"{}", "set-cookie: context=; path=/; max-age=0"),
        answer(200, b"{}"),
    ]
    await ask(wire, script, "/a")
    await ask(wire, script, "/a/b?c=d")
    await ask(wire, script, "/a", cookie="own=3")
    await ask(wire, script, "/b")
    await ask(wire, script, "/b")

    found = [
        [field for field in fields(each) if field.startswith("cookie:")] for each in script.requests
    ]
    assert found == [
        [],
        ["cookie: session=1; context=2"],
        ["cookie: own=3"],
        ["cookie: context=2"],
        [],
    ]


async def test_a_cookie_without_a_path_is_for_what_is_beside(wire: Wire, script: Script) -> None:
    script.answers = [answer(200, b"{}", "set-cookie: session=1"), *[answer(200, b"{}")] * 2]
    for path in ("/a/login", "/a/b", "/b"):
        await ask(wire, script, path)

    assert [b"cookie: session=1" in each.lower() for each in script.requests] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_a_packed_body_is_unpacked(wire: Wire, script: Script, size: int) -> None:
    body = b'{"a": "%b"}' % (b"x" * size)
    script.answers = [answer(200, gzip.compress(body), "content-encoding: gzip")]

    assert (await ask(wire, script)).body == body


async def test_a_body_that_is_too_long_unpacked_is_cut_off(wire: Wire, script: Script) -> None:
    body = gzip.compress(bytes(17 * 1024 * 1024))
    script.answers = [answer(200, body, "content-encoding: gzip")]

    with pytest.raises(BrokenError, match="more than"):
        await ask(wire, script)


async def test_a_body_that_is_not_packed_as_it_says_is_broken(wire: Wire, script: Script) -> None:
    script.answers = [answer(200, b"{}", "content-encoding: gzip")]

    with pytest.raises(BrokenError):
        await ask(wire, script)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a/../b?c=/../d", "/b?c=/../d"),
        ("/.well-known/x", "/.well-known/x"),
        ("?a=1", "/?a=1"),
        ("", "/"),
    ],
)
async def test_an_address_is_asked_for_as_it_is_meant(
    wire: Wire, script: Script, path: str, target: str
) -> None:
    script.answers = [answer(200, b"{}")]
    await ask(wire, script, path)

    assert script.requests[0].split(b" ")[1].decode() == target


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "127.0.0.1/x", "http:///x"])
async def test_an_address_that_is_none_is_broken(wire: Wire, url: str) -> None:
    with pytest.raises(BrokenError):
        await wire.exchange("GET", url, headers={}, deadline=Deadline.after(5))


async def test_origins_that_are_kept_are_few(wire: Wire, script: Script) -> None:
    for number in range(20):  # nothing listens there
        url = f"http://127.0.0.{number + 2}:{script.port}/"
        with pytest.raises(UnreachableError):
            await wire.exchange("GET", url, headers={}, deadline=Deadline.after(5))

    assert len(wire._origins) <= MAX_ORIGINS
