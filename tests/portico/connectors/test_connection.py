"""How a connection goes about tokens, limits, outages and time."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from starlette.responses import JSONResponse, Response

from portico.connectors.connection import open_connection
from portico.connectors.credentials import bearer
from portico.connectors.failures import (
    BrokenError,
    OutOfTimeError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    problem_of,
)
from portico.connectors.messages import Job, Pairs, read, write
from portico.deadline import Deadline
from portico.trace import Trace
from tests.portico.connectors.conftest import Post, job
from tests.portico.connectors.parcels.connector import DIALECT, Settings
from tests.support.script import Script, answer
from tests.support.serving import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portico.connectors.connection import Connection

pytestmark = pytest.mark.anyio

CREATE = write("things.create", "things", json={"name": "x"})


def settings_at(port: int) -> Settings:
    return Settings.model_validate(
        {
            "base_url": f"http://127.0.0.1:{port}",
            "client_id": "us",
            "client_secret": "a secret",
        }
    )


@pytest.fixture
async def connection(script: Script) -> AsyncIterator[Connection]:
    settings = settings_at(script.port)
    async with open_connection(settings, DIALECT, lambda _: bearer("t")) as opened:
        yield opened


async def test_many_first_requests_fetch_one_token(post: Post) -> None:
    post.service.add("R-1")

    await asyncio.gather(*(post.parcels.get("1", job()) for _ in range(20)))

    assert post.service.issued == 1


async def test_a_revoked_token_is_renewed_once_for_all(post: Post) -> None:
    post.service.add("R-1")
    await post.parcels.get("1", job())
    post.service.tokens.clear()

    await asyncio.gather(*(post.parcels.get("1", job()) for _ in range(20)))

    assert post.service.issued == 2


async def test_a_token_that_is_never_accepted_is_the_operators_problem(post: Post) -> None:
    post.service.instead += [Response(status_code=401), Response(status_code=401)]

    with pytest.raises(UnauthenticatedError) as raised:
        await post.parcels.get("1", job())

    assert problem_of(raised.value).status == 502
    assert post.service.issued == 2


async def test_a_token_is_replaced_before_it_ends(post: Post) -> None:
    post.service.add("R-1")
    post.service.lifetime_seconds = 0
    await post.parcels.get("1", job())
    await post.parcels.get("1", job())

    assert post.service.issued == 2


async def test_a_short_wait_is_sat_out_and_everyone_waits(post: Post) -> None:
    post.service.add("R-1")
    post.service.instead.append(Response(status_code=429, headers={"retry-after": "0.3"}))
    began = monotonic()

    first = asyncio.create_task(post.parcels.get("1", job()))
    await asyncio.sleep(0.1)
    await asyncio.gather(first, post.parcels.get("1", job()))

    assert monotonic() - began >= 0.3
    assert len([path for _, path, _ in post.service.seen if path == "/parcels/1"]) == 3


async def test_a_long_wait_is_passed_on_and_kept(post: Post) -> None:
    post.service.instead.append(Response(status_code=429, headers={"retry-after": "60"}))

    for _ in range(2):
        with pytest.raises(ThrottledError) as raised:
            await post.parcels.get("1", job())
        problem = problem_of(raised.value)
        assert problem.status == 503
        assert dict(problem.headers)["Retry-After"] == "60"
    assert len([path for _, path, _ in post.service.seen if path == "/parcels/1"]) == 1


async def test_a_write_without_a_key_is_not_repeated_when_in_doubt(
    script: Script, connection: Connection
) -> None:
    script.answers = [None, answer(201, b"{}")]

    with pytest.raises(UnavailableError) as raised:
        await connection.send(CREATE, job())

    assert raised.value.in_doubt
    assert problem_of(raised.value).status == 502
    assert len(script.requests) == 1


async def test_a_read_whose_connection_keeps_breaking_is_a_503(
    script: Script, connection: Connection
) -> None:
    script.answers = [None] * 4

    with pytest.raises(UnavailableError) as raised:
        await connection.send(read("things.get", "things"), job())

    assert not raised.value.in_doubt
    assert problem_of(raised.value).status == 503
    assert len(script.requests) == 3  # then it is known to be down


async def test_a_500_is_not_retried_blindly(script: Script, connection: Connection) -> None:
    script.answers = [answer(500, b"<html>", "content-type: text/html")]

    with pytest.raises(BrokenError) as raised:
        await connection.send(CREATE, job())

    assert problem_of(raised.value).status == 502


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("things", [("q", "a b'c\"d&é")], "/things?q=a%20b%27c%22d%26%C3%A9"),
        # As in a link to the next page, which systems do not always quote.
        ("things?after=a b&q=é", (), "/things?after=a%20b&q=%C3%A9"),
        ("things?after=1#part", (), "/things?after=1"),
        ("thing(' ')?after=1", (), "/thing('%20')?after=1"),
        ("things", (), "/things"),
    ],
)
async def test_what_is_asked_is_quoted_once(
    script: Script, connection: Connection, path: str, query: Pairs, target: str
) -> None:
    script.answers = [answer(200, b"{}")]

    await connection.send(read("things.list", path, query), job())

    assert script.requests[0].partition(b"\r\n")[0].decode() == f"GET {target} HTTP/1.1"


async def test_a_line_break_in_a_link_is_refused(script: Script, connection: Connection) -> None:
    with pytest.raises(BrokenError):
        await connection.send(read("things.list", "things?a=1\r\nx: y"), job())

    assert script.requests == []


async def test_the_trace_goes_along(script: Script, connection: Connection) -> None:
    script.answers = [answer(201, b"{}")]
    trace = Trace("1" * 32, "2" * 16)

    await connection.send(CREATE, Job(deadline=Deadline.after(5), trace=trace))

    assert b"traceparent: 00-" + b"1" * 32 in script.requests[0].lower()
    assert b"2" * 16 not in script.requests[0]


async def test_an_outage_is_told_at_once_after_three_failures() -> None:
    settings = settings_at(free_port())
    async with open_connection(settings, DIALECT, lambda _: bearer("t")) as connection:
        with pytest.raises(UnavailableError):
            await connection.send(CREATE, job())
        began = monotonic()
        with pytest.raises(UnavailableError) as raised:
            await connection.send(CREATE, job())

    assert monotonic() - began < 0.05
    assert not raised.value.in_doubt
    assert problem_of(raised.value).status == 503


async def test_an_answer_that_does_not_come_is_a_504() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    settings = settings_at(server.sockets[0].getsockname()[1])
    async with (
        server,
        open_connection(settings, DIALECT, lambda _: bearer("t")) as connection,
    ):
        with pytest.raises(OutOfTimeError) as raised:
            await connection.send(CREATE, job(0.2))

    assert problem_of(raised.value).status == 504


async def test_a_body_that_is_too_long_is_cut_off(script: Script, connection: Connection) -> None:
    script.answers = [answer(200, b"0" * (16 * 1024 * 1024 + 1))]

    with pytest.raises(BrokenError, match="more than"):
        await connection.send(CREATE, job())


async def test_failures_are_counted_by_operation(post: Post) -> None:
    post.service.instead.append(
        JSONResponse({"failure": {"code": "other", "text": "no"}}, status_code=400)
    )
    with pytest.raises(Exception, match="no"):
        await post.parcels.get("1", job())

    counters = post.parcels.connection.counters.of("parcels.get")
    assert (counters.calls, counters.tries) == (1, 1)
    assert counters.failures == {"RefusedError": 1}
