"""Writes that count only once other servers, or the disk, have them."""

from __future__ import annotations

import asyncio

from portico.redis.errors import ErrorReply, Reason, RedisUnavailable, failure_from
from portico.redis.lane import Lane
from portico.redis.options import Acknowledgement
from portico.redis.waiting import Request, Waiting
from portico.redis.wire import pack

# Beyond the time the server itself gives its replicas.
_ANSWER_SECONDS = 1.0


class Acknowledging:
    """Writes on one lane, with one WAIT or WAITAOF behind those that are written together."""

    def __init__(self, lane: Lane, wanted: Acknowledgement) -> None:
        self.lane = lane
        self._wanted = wanted
        self._packed = _wait_command(wanted)
        self._last: Waiting | None = None

    async def ask(self, request: Request, timeout_seconds: float) -> object:
        """Return the reply once enough copies exist.

        Raises RedisUnavailable with the reply where they do not: then it was executed.
        """
        written, wait = self._submit(request, timeout_seconds)
        reply = await written.future
        shortfall = await self._shortfall(written, wait)
        if shortfall:
            raise RedisUnavailable(Reason.NOT_REPLICATED, shortfall, sent=True, reply=reply)
        return reply

    def _submit(self, request: Request, timeout_seconds: float) -> tuple[Waiting, Waiting]:
        written = self.lane.submit(request.packed, timeout_seconds, repeatable=request.repeatable)
        if self._last is not None and self.lane.let_pass(self._last):
            return written, self._last
        self._last = self._wait_for(written, timeout_seconds)
        return written, self._last

    def _wait_for(self, written: Waiting, timeout_seconds: float) -> Waiting:
        seconds = timeout_seconds + self._wanted.timeout_seconds + _ANSWER_SECONDS
        try:
            wait = self.lane.submit(self._packed, seconds)
        except RedisUnavailable:
            written.future.cancel()  # so that it is not written either
            raise
        wait.retrieve()
        return wait

    async def _shortfall(self, written: Waiting, wait: Waiting) -> str:
        try:
            # Shielded: others wait for the same reply.
            copies = await asyncio.shield(wait.future)
        except ErrorReply as reply:
            return str(failure_from(reply.error))
        except RedisUnavailable as error:
            return error.detail
        # A new connection has written nothing, and so it waits for nothing.
        if wait.session != written.session:
            return "the connection was lost before the copies were confirmed"
        return self._missing(copies)

    def _missing(self, copies: object) -> str:
        wanted = self._wanted
        on_disk, replicas = copies if isinstance(copies, list) else (0, copies)
        if not isinstance(replicas, int) or replicas < wanted.replicas:
            return f"{replicas} of {wanted.replicas} replicas confirmed the write in time"
        if wanted.local_disk and not on_disk:
            return "the write is not on the disk of the primary in time"
        return ""


def _wait_command(wanted: Acknowledgement) -> bytes:
    milliseconds = max(1, round(wanted.timeout_seconds * 1000))
    if wanted.local_disk:
        return pack((b"WAITAOF", 1, wanted.replicas, milliseconds))
    return pack((b"WAIT", wanted.replicas, milliseconds))
