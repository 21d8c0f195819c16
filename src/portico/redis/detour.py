"""The way of a command after an error reply that says where, or with what, to try again."""

from __future__ import annotations

import asyncio

import redis.exceptions as theirs

from portico.redis.errors import ErrorReply, Reason, RedisUnavailable, failure_from
from portico.redis.node import Node
from portico.redis.topology import Topology
from portico.redis.waiting import Request

# A missing script and a moved slot, and both once more while the cluster changes.
_MAX_STEPS = 5
_TRY_AGAIN_SECONDS = 0.02


class Detour:
    """One command on its way: none of the servers that sent it on has executed it."""

    def __init__(self, topology: Topology, request: Request, deadline: float) -> None:
        self._topology = topology
        self._request = request
        self._deadline = deadline
        self._steps = 0
        self._asking = False
        # Whether it was also written to a connection that was lost, and may be executed there.
        self._repeated = False

    async def follow(self, node: Node, reply: ErrorReply) -> object:
        """Return the reply of the server that takes it. Raises RedisUnavailable, RedisRefused."""
        while self._steps < _MAX_STEPS:
            self._repeated = self._repeated or reply.repeated
            node = await self._step(node, reply.error)
            try:
                return await node.ask(self._request, self._remaining(), asking=self._asking)
            except ErrorReply as again:
                reply = again
            except RedisUnavailable as trouble:
                self._topology.doubt()
                raise self._unavailable(trouble, sent=trouble.sent) from trouble
        raise failure_from(reply.error, repeated=self._repeated) from reply.error

    async def _step(self, node: Node, error: theirs.RedisError) -> Node:
        """Return whom to ask next. Raises where there is nobody."""
        self._steps += 1
        script = self._request.script
        if isinstance(error, theirs.NoScriptError) and script is not None:
            await self._load(node)
            return node
        if isinstance(error, theirs.AskError):
            self._asking = not isinstance(error, theirs.MovedError)
            return self._topology.redirect(error, node)
        if isinstance(error, theirs.TryAgainError):
            # The keys are on their way to another server: that takes what it takes.
            self._steps -= 1
            await asyncio.sleep(min(_TRY_AGAIN_SECONDS, self._remaining()))
            return node
        raise failure_from(error, repeated=self._repeated) from error

    async def _load(self, node: Node) -> None:
        script = self._request.script
        if script is None:
            return
        try:
            await node.load(script, self._remaining())
        except ErrorReply as reply:
            raise failure_from(reply.error, repeated=self._repeated) from reply.error
        except RedisUnavailable as trouble:
            raise self._unavailable(trouble, sent=False) from trouble

    def _remaining(self) -> float:
        remaining = self._deadline - asyncio.get_running_loop().time()
        if remaining <= 0:
            trouble = RedisUnavailable(Reason.TIMEOUT, "no reply in time", sent=False)
            raise self._unavailable(trouble, sent=False)
        return remaining

    def _unavailable(self, trouble: RedisUnavailable, *, sent: bool) -> RedisUnavailable:
        sent = sent or self._repeated
        return RedisUnavailable(trouble.reason, trouble.detail, sent=sent, reply=trouble.reply)
