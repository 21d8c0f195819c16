"""The pool: reuse, staleness, bounds, and what is given back when something ends early."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from gateway.upstream.failures import UpstreamProblem
from gateway.upstream.upstream import Upstream
from portico.problems import BAD_UPSTREAM, DEADLINE_EXCEEDED, SYSTEM_UNAVAILABLE
from tests.gateway.upstream.doubles import (
    OK,
    Script,
    Wire,
    always,
    answering,
    free_port,
    request,
    serving,
    upstream,
    whole,
)

pytestmark = pytest.mark.anyio


async def problem_of(billing: Upstream, method: str = "GET") -> UpstreamProblem:
    with pytest.raises(UpstreamProblem) as raised:
        await whole(await billing.forward(request(method)))
    return raised.value


async def until(billing: Upstream, state: str) -> None:
    """Wait until the pool says `state` of itself."""
    async with asyncio.timeout(2):
        while state not in repr(billing):  # noqa: ASYNC110  # the state is all there is to see
            await asyncio.sleep(0.005)


async def test_a_connection_is_used_again() -> None:
    async with serving(always()) as double, upstream(double.url) as billing:
        for _ in range(5):
            assert (await billing.forward(request())).body == b"ok"
        assert double.connections == 1


async def test_a_connection_the_upstream_wants_closed_is_not_used_again() -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with serving(answering(last)) as double, upstream(double.url) as billing:
        for _ in range(3):
            assert (await billing.forward(request())).body == b"ok"
        assert double.connections == 3


async def test_an_idle_connection_is_closed_in_time() -> None:
    closed = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        assert await wire.is_closed()
        closed.set()

    async with serving(script) as double, upstream(double.url, idle_seconds=0.05) as billing:
        await billing.forward(request())
        async with asyncio.timeout(2):
            await closed.wait()


async def closes_instead_of_answering_again(wire: Wire) -> None:
    """Answer once; close when the next request has arrived, as after a keep-alive time-out."""
    await wire.request()
    await wire.send(OK)
    await wire.head()


async def resets_instead_of_answering_again(wire: Wire) -> None:
    await wire.request()
    await wire.send(OK)
    await wire.head()
    wire.reset()


STALE = [closes_instead_of_answering_again, resets_instead_of_answering_again]


@pytest.mark.parametrize("stale", STALE)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_safe_request_survives_a_stale_connection(stale: Script, method: str) -> None:
    async with serving(stale, always()) as double, upstream(double.url) as billing:
        await billing.forward(request())
        assert (await billing.forward(request(method))).status == 200
        assert double.connections == 2


@pytest.mark.parametrize("stale", STALE)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_write_is_never_sent_twice(stale: Script, method: str) -> None:
    async with serving(stale, always()) as double, upstream(double.url) as billing:
        await billing.forward(request())
        problem = await problem_of(billing, method)
        assert double.connections == 1
    assert problem.kind is BAD_UPSTREAM
    assert problem.sent


async def test_the_second_attempt_gets_a_fresh_connection_and_is_the_last() -> None:
    gate = asyncio.Event()

    async def held(wire: Wire) -> None:
        await wire.request()
        await gate.wait()
        await wire.send(OK)
        await wire.head()

    async def rude(wire: Wire) -> None:
        await wire.head()

    async with serving(held, held, held, rude) as double, upstream(double.url) as billing:
        first = [asyncio.create_task(billing.forward(request())) for _ in range(3)]
        await until(billing, "3 of 100")
        gate.set()
        await asyncio.gather(*first)
        # Three stale connections wait in the pool: one is tried, the others are not.
        problem = await problem_of(billing)
        assert double.connections == 4
    assert problem.kind is BAD_UPSTREAM


async def test_a_fresh_connection_that_closes_is_not_retried() -> None:
    async def rude(wire: Wire) -> None:
        await wire.head()

    async with serving(rude) as double, upstream(double.url) as billing:
        assert (await problem_of(billing)).kind is BAD_UPSTREAM
        assert double.connections == 1


async def test_nothing_is_retried_once_a_byte_of_the_answer_was_seen() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\nX-A")

    async with serving(script, always()) as double, upstream(double.url) as billing:
        await billing.forward(request())
        assert (await problem_of(billing)).kind is BAD_UPSTREAM
        assert double.connections == 1


async def test_what_arrives_on_an_idle_connection_answers_no_request() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        await wire.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate")
        await wire.is_closed()

    async with serving(script, always()) as double, upstream(double.url) as billing:
        await billing.forward(request())
        await asyncio.sleep(0.05)
        assert (await billing.forward(request("POST"))).status == 200
        assert double.connections == 2


async def test_requests_queue_for_a_place_and_are_refused_when_none_comes() -> None:
    gate = asyncio.Event()

    async def slow(wire: Wire) -> None:
        while True:
            await wire.request()
            await gate.wait()
            await wire.send(OK)

    options = {"max_connections": 2, "max_waiting": 2, "pool_seconds": 0.2}
    async with serving(slow) as double, upstream(double.url, **options) as billing:
        running = [asyncio.create_task(billing.forward(request())) for _ in range(2)]
        await until(billing, "2 of 2, 0 waiting")
        queued = [asyncio.create_task(problem_of(billing, "POST")) for _ in range(2)]
        await until(billing, "2 of 2, 2 waiting")

        at_once = await problem_of(billing)
        in_time = await asyncio.gather(*queued)
        for problem in (at_once, *in_time):
            assert problem.kind is SYSTEM_UNAVAILABLE
            assert not problem.sent
            assert ("retry-after", "1") in problem.headers

        waiting = asyncio.create_task(billing.forward(request()))
        await until(billing, "2 of 2, 1 waiting")
        gate.set()
        assert (await waiting).body == b"ok"
        await asyncio.gather(*running)
        await until(billing, "0 of 2, 0 waiting")
        assert double.connections == 2


async def test_a_cancelled_request_closes_its_connection_and_frees_its_place() -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def silent(wire: Wire) -> None:
        await wire.request()
        asked.set()
        assert await wire.is_closed()
        closed.set()

    async with serving(silent) as double, upstream(double.url) as billing:
        task = asyncio.create_task(billing.forward(request()))
        await asked.wait()
        assert "1 of 100" in repr(billing)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(2):
            await closed.wait()
        await until(billing, "0 of 100")


async def test_a_response_closed_before_its_end_closes_its_connection() -> None:
    closed = asyncio.Event()

    async def endless(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.send(b"part")
        assert await wire.is_closed()
        closed.set()

    async with serving(endless) as double, upstream(double.url) as billing:
        response = await billing.forward(request())
        assert not isinstance(response.body, bytes)
        assert await anext(response.body) == b"part"
        await response.aclose()
        await response.aclose()
        async with asyncio.timeout(2):
            await closed.wait()
        with pytest.raises(StopAsyncIteration):
            await anext(response.body)
        await until(billing, "0 of 100")


async def test_a_response_that_was_forgotten_gives_its_place_back() -> None:
    async def endless(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\npart")
        await wire.is_closed()

    async with serving(endless) as double, upstream(double.url) as billing:
        response = await billing.forward(request())
        assert "1 of 100" in repr(billing)
        del response
        assert "0 of 100" in repr(billing)


async def test_an_upstream_nobody_listens_at_is_unavailable_and_was_sent_nothing() -> None:
    """IDM-34: a refused connection is known to have carried nothing."""
    async with upstream(f"http://127.0.0.1:{free_port()}") as billing:
        problem = await problem_of(billing, "POST")
    assert problem.kind is SYSTEM_UNAVAILABLE
    assert not problem.sent
    assert problem.detail == "billing cannot be reached"
    assert problem.extensions == {"upstream": "billing"}
    assert ("retry-after", "5") in problem.headers


async def test_a_connection_that_is_not_accepted_in_time_was_sent_nothing() -> None:
    """IDM-34: so is one that was never made."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        # Nobody accepts: once the backlog is full the kernel lets further connections wait. It is
        # when one had to; how many fit, and how soon they are counted, is for the kernel to say.
        with contextlib.suppress(TimeoutError):
            for _ in range(100):
                sockets.enter_context(socket.create_connection(address, 0.5))
        url = f"http://{address[0]}:{address[1]}"
        async with upstream(url, connect_seconds=0.2) as billing:
            problem = await problem_of(billing, "POST")
            assert (problem.kind, problem.sent) == (SYSTEM_UNAVAILABLE, False)
        async with upstream(url) as billing:
            with pytest.raises(UpstreamProblem) as raised:
                await billing.forward(request("POST", seconds=0.2))
            assert (raised.value.kind, raised.value.sent) == (DEADLINE_EXCEEDED, False)
            assert "0 ejected" in repr(billing)


async def test_the_next_base_url_takes_over_and_the_dead_one_rests() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    async with serving(always()) as double:
        options = {"eject_seconds": 30.0}
        async with upstream(dead, double.url, **options) as billing:
            for _ in range(4):
                assert (await billing.forward(request("POST"))).body == b"ok"
            assert "2 targets, 1 ejected" in repr(billing)


async def test_base_urls_take_turns() -> None:
    async with serving(always()) as one, serving(always()) as two:
        async with upstream(one.url, two.url) as billing:
            for _ in range(4):
                await billing.forward(request())
        assert (one.connections, two.connections) == (1, 1)
