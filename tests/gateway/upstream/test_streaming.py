"""Bodies that flow: both ways, at the pace of the slower end, in little memory."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from gateway.upstream.failures import UpstreamProblem
from portico.problems import (
    BAD_UPSTREAM,
    CONTENT_TOO_LARGE,
    DEADLINE_EXCEEDED,
    MALFORMED_REQUEST,
    Problem,
)
from tests.gateway.upstream.doubles import OK, Wire, always, request, serving, upstream, whole

pytestmark = pytest.mark.anyio

PART = b"x" * 16_384
PARTS = 192
SIZE = len(PART) * PARTS  # 3 MiB
# What may be on the way: buffers of the kernel on both sides, of asyncio, and what is read ahead.
DOWN_ON_THE_WAY = 1_500_000
# Towards the upstream the gateway's kernel may hold 4 MiB (tcp_wmem), so that takes a larger body.
UP_ON_THE_WAY = 6_000_000
UP_SIZE = len(PART) * 1024
LENGTH = (b"content-length", b"%d" % UP_SIZE)


class Source:
    """A body that knows how much of it was taken."""

    def __init__(self, parts: int) -> None:
        self._left = parts
        self.taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        self.taken += len(PART)
        return PART


async def settled(measure: object, attribute: str) -> int:
    """Return an attribute once it has stopped to grow."""
    before = -1
    while (now := int(getattr(measure, attribute))) != before:
        before = now
        await asyncio.sleep(0.1)
    return now


class Download:
    """The script of an upstream that sends 3 MiB and knows how far it has come."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self.sent = 0

    async def __call__(self, wire: Wire) -> None:
        wire.shrink_send_buffer()
        await wire.request()
        await wire.send(self._head)
        for _ in range(PARTS):
            await wire.send(PART)
            self.sent += len(PART)


@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n" % SIZE, b"Connection: close\r\n"])
async def test_a_download_waits_for_its_reader_and_stays_out_of_memory(framing: bytes) -> None:
    script = Download(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
    async with serving(script) as double, upstream(double.url) as billing:
        response = await billing.forward(request())
        assert not isinstance(response.body, bytes)
        assert await settled(script, "sent") < DOWN_ON_THE_WAY

        tracemalloc.start()
        received = 0
        async for part in response.body:
            received += len(part)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await response.aclose()
    assert received == SIZE
    assert peak < 1_000_000


@pytest.mark.parametrize("headers", [(), (LENGTH,)])
async def test_an_upload_waits_for_the_upstream_and_stays_out_of_memory(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    gate = asyncio.Event()
    source = Source(parts=UP_SIZE // len(PART))

    async def script(wire: Wire) -> None:
        head = await wire.head()
        await gate.wait()
        received = 0
        while received < UP_SIZE:
            received += len(await wire.read(len(PART)))
        assert (b"chunked" in head) is (not headers)
        await wire.send(OK)
        await wire.is_closed()

    async with serving(script) as double, upstream(double.url) as billing:
        tracemalloc.start()
        task = asyncio.create_task(billing.forward(request("POST", body=source, headers=headers)))
        assert await settled(source, "taken") < UP_ON_THE_WAY
        gate.set()
        assert (await task).status == 200
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert source.taken == UP_SIZE
    assert peak < 1_000_000


async def test_each_part_is_passed_on_when_it_comes() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number, gate in enumerate(gates):
            await gate.wait()
            await wire.send(b"1\r\n%d\r\n" % number)
        await wire.send(b"0\r\n\r\n")

    async with serving(script) as double, upstream(double.url) as billing:
        response = await billing.forward(request())
        assert not isinstance(response.body, bytes)
        for number, gate in enumerate(gates):
            gate.set()
            assert await anext(response.body) == b"%d" % number
        assert await whole(response) == b""


async def test_a_body_of_known_length_is_whole_up_to_256_kib() -> None:
    async def script(wire: Wire) -> None:
        for size in (262_144, 262_145):
            await wire.request()
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            await wire.send(*[b"x" * 4096] * (size // 4096), b"x" * (size % 4096))
        await wire.is_closed()

    async with serving(script) as double, upstream(double.url) as billing:
        small = await billing.forward(request())
        assert isinstance(small.body, bytes)
        large = await billing.forward(request())
        assert not isinstance(large.body, bytes)
        assert len(small.body) + 1 == len(await whole(large))
        assert double.connections == 1


async def test_an_upstream_may_answer_before_it_has_read_everything() -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield PART
                await asyncio.sleep(0.001)
        finally:
            stopped.set()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await wire.is_closed()

    async with serving(script, always()) as double, upstream(double.url) as billing:
        response = await billing.forward(request("POST", body=endless()))
        assert (response.status, response.body) == (413, b"no")
        await stopped.wait()
        # The rest of the upload would be read as the next request.
        assert (await billing.forward(request())).status == 200
        assert double.connections == 2


async def test_what_the_source_raises_comes_out_and_the_connection_ends() -> None:
    cut = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.rest()
        cut.set()

    async def source() -> AsyncIterator[bytes]:
        yield PART
        raise Problem(CONTENT_TOO_LARGE)

    async with serving(script) as double, upstream(double.url) as billing:
        with pytest.raises(Problem) as raised:
            await billing.forward(request("POST", body=source()))
        assert raised.value.kind is CONTENT_TOO_LARGE
        await cut.wait()
        assert "0 of 100" in repr(billing)


@pytest.mark.parametrize("declared", [b"5", b"100000"])
async def test_a_body_that_is_not_as_long_as_declared_is_cut_off(declared: bytes) -> None:
    cut: list[bytes] = []

    async def script(wire: Wire) -> None:
        await wire.head()
        cut.append(await wire.rest())

    async with serving(script) as double, upstream(double.url) as billing:
        sent = request("POST", body=Source(parts=1), headers=((b"content-length", declared),))
        with pytest.raises(Problem) as raised:
            await billing.forward(sent)
        assert raised.value.kind is MALFORMED_REQUEST
        await asyncio.sleep(0.05)
    assert len(cut[0]) <= int(declared)


async def test_an_upstream_that_does_not_read_ends_at_the_write_time_out() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await asyncio.sleep(10)

    async with serving(script) as double, upstream(double.url, write_seconds=0.2) as billing:
        with pytest.raises(UpstreamProblem) as raised:
            await billing.forward(request("POST", body=Source(parts=2_000)))
    assert raised.value.kind is DEADLINE_EXCEEDED
    assert raised.value.sent


async def test_a_source_that_stops_ends_at_the_deadline() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield PART
        await asyncio.sleep(10)

    async with serving(always()) as double, upstream(double.url) as billing:
        with pytest.raises(UpstreamProblem) as raised:
            await billing.forward(request("POST", body=source(), seconds=0.2))
    assert raised.value.kind is DEADLINE_EXCEEDED


async def test_an_upload_may_take_longer_than_the_answer_to_it() -> None:
    async def source() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"part"
            await asyncio.sleep(0.1)

    async with serving(always()) as double, upstream(double.url, read_seconds=0.2) as billing:
        assert (await billing.forward(request("POST", body=source()))).body == b"ok"


async def test_the_answer_to_an_upload_has_its_own_time_out() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.is_closed()

    async with serving(script) as double, upstream(double.url, read_seconds=0.1) as billing:
        with pytest.raises(UpstreamProblem) as raised:
            await billing.forward(request("POST", body=Source(parts=1)))
    assert raised.value.kind is DEADLINE_EXCEEDED


async def test_an_upstream_that_closes_during_an_upload_is_a_bad_upstream() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.read(len(PART))

    async with serving(script) as double, upstream(double.url) as billing:
        with pytest.raises(UpstreamProblem) as raised:
            await billing.forward(request("POST", body=Source(parts=2_000)))
    assert raised.value.kind is BAD_UPSTREAM
    assert raised.value.sent


async def test_a_cancelled_upload_stops_its_source() -> None:
    stopped = asyncio.Event()
    started = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        try:
            yield PART
            started.set()
            await asyncio.sleep(10)
        finally:
            stopped.set()

    async with serving(always()) as double, upstream(double.url) as billing:
        task = asyncio.create_task(billing.forward(request("POST", body=source())))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stopped.wait()
        assert "0 of 100" in repr(billing)
