"""What `ReplyParser` relies on in redis-py, and what it makes of bytes as they arrive."""

from __future__ import annotations

import asyncio

import pytest
import redis.exceptions as theirs
from redis.asyncio.connection import Connection

from portico.redis.replies import ReplyParser, parser_of

pytestmark = pytest.mark.anyio


class _Arriving(Connection):
    """A connection whose bytes the test feeds."""

    def __init__(self) -> None:
        super().__init__(parser_class=ReplyParser, protocol=3)
        self.stream = self._reader = asyncio.StreamReader()
        parser_of(self).on_connect(self)  # type: ignore[no-untyped-call]  # redis-py declares none

    def feed(self, data: bytes) -> None:
        self.stream.feed_data(data)

    def end(self) -> None:
        self.stream.feed_eof()


async def test_all_replies_that_have_arrived_come_at_once() -> None:
    connection = _Arriving()
    connection.feed(b":1\r\n$2\r\nab\r\n*2\r\n:2\r\n_\r\n:3")

    assert await parser_of(connection).read_replies() == [1, b"ab", [2, None]]

    connection.feed(b"3\r\n")
    assert await parser_of(connection).read_replies() == [33]


async def test_a_reply_that_is_not_whole_is_awaited() -> None:
    connection = _Arriving()
    connection.feed(b"$5\r\nab")
    reading = asyncio.create_task(parser_of(connection).read_replies())
    await asyncio.sleep(0)
    assert not reading.done()

    connection.feed(b"cde\r\n")

    assert await reading == [b"abcde"]


async def test_the_error_of_one_reply_leaves_those_around_it() -> None:
    connection = _Arriving()
    connection.feed(b":1\r\n-NOSCRIPT No matching script\r\n-LOADING soon\r\n:2\r\n")

    before, missing, loading, after = await parser_of(connection).read_replies()

    assert (before, after) == (1, 2)
    assert isinstance(missing, theirs.NoScriptError)
    assert isinstance(loading, theirs.BusyLoadingError)


async def test_a_push_answers_no_command() -> None:
    connection = _Arriving()
    connection.feed(b">2\r\n+invalidate\r\n_\r\n:7\r\n")

    assert await parser_of(connection).read_replies() == [7]


@pytest.mark.parametrize("data", [b"", b"$5\r\nab"])
async def test_the_end_of_a_connection_is_an_error(data: bytes) -> None:
    connection = _Arriving()
    connection.feed(data)
    connection.end()

    with pytest.raises(theirs.ConnectionError):
        await parser_of(connection).read_replies()


async def test_what_is_no_reply_is_an_error() -> None:
    connection = _Arriving()
    connection.feed(b"HTTP/1.1 400 Bad Request\r\n")

    with pytest.raises(theirs.InvalidResponse):
        await parser_of(connection).read_replies()


async def test_a_connection_with_another_parser_is_refused() -> None:
    with pytest.raises(TypeError):
        parser_of(Connection())
