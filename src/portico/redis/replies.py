"""The parser of redis-py, with all replies that have arrived in one step.

By its own way each reply takes three coroutines, and as many looks at time-outs that are not set.
What is used of redis-py is pinned by `tests/portico/redis/test_replies.py`.
"""

from __future__ import annotations

from hiredis import PushNotification
from redis._parsers.hiredis import NOT_ENOUGH_DATA, _AsyncHiredisParser
from redis.asyncio.connection import AbstractConnection


class ReplyParser(_AsyncHiredisParser):
    """Give this to a connection as its `parser_class`."""

    async def read_replies(self) -> list[object]:
        """Return the replies that have arrived, once there is one; those of errors are exceptions.

        Raises RedisError and OSError where the connection is of no more use.
        """
        replies = self._arrived()
        while not replies:
            await self.read_from_socket()  # type: ignore[no-untyped-call]  # redis-py declares none
            replies = self._arrived()
        return replies

    def _arrived(self) -> list[object]:
        """Take the whole replies out of what was read; a push answers no command."""
        replies = []
        while (reply := self._reader.gets()) is not NOT_ENOUGH_DATA:  # type: ignore[attr-defined]  # set on connect
            if not isinstance(reply, PushNotification):
                replies.append(reply)
        return replies


def parser_of(connection: AbstractConnection) -> ReplyParser:
    """Return the parser of a connection that was made with this one."""
    parser = connection._parser  # noqa: SLF001  # redis-py has no other way to it
    if not isinstance(parser, ReplyParser):
        raise TypeError("the connection was made with another parser")
    return parser
