"""One request and its response: uvicorn's cycle, with problems where it answers in plain text."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from portico.problems import INTERNAL_ERROR, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from uvicorn._types import ASGI3Application, ASGISendEvent

    from gateway.protocol.gate import Gate

_logger = logging.getLogger(__name__)

REQUEST_ID = "portico.request_id"
"""The scope key under which an application may leave its request id for a later 500."""
CYCLE = "portico.cycle"
"""The scope key of the cycle itself, for an application that reads and answers in one step."""

# Responses without content: uvicorn knows them.
_WITHOUT_CONTENT = frozenset({204, 304})


class Outlet:
    """The part of a transport that a cycle uses; `close` first asks the connection how."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Cycle(RequestResponseCycle):
    """A request in flight; whatever its application does, an answer is a response or a problem."""

    gate: Gate  # set by the connection; the constructor is uvicorn's

    def whole_body(self) -> bytes | None:
        """Return the request body if all of it is here, as `receive` would; None if not."""
        if self.more_body or self.waiting_for_100_continue or self.disconnected:
            return None
        self.message_event.clear()
        body = bytes(self.body)
        self.body = bytearray()
        return body

    def respond(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a whole response at once; return False where `send` has to do it.

        The fields have their Content-Length. What takes two messages, two coroutines and a look
        at each field otherwise is one write here.
        """
        if (
            self.response_started
            or self.disconnected
            or not self.keep_alive
            or self.flow.write_paused
            or status in _WITHOUT_CONTENT
            or self.scope["method"] == "HEAD"
        ):
            return False
        named = dict(fields)
        if named.get(b"content-length") != b"%d" % len(body):
            return False
        if not (
            named.keys() <= self.gate.known_fields or all(map(self.gate.knows_field, named.keys()))
        ):
            return False
        if b"date" not in named:
            fields = self.default_headers + fields
        lines = b"".join([b"%b: %b\r\n" % field for field in fields])
        if lines.count(b"\n") != len(fields) or lines.count(b"\r") != len(fields) or b"\0" in lines:
            return False  # `send` names what is wrong
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], lines, body))
        self.message_event.set()
        self.on_response()
        return True

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message; a Date that the application passes on is the only one."""
        if message["type"] == "http.response.start" and _has(message.get("headers", ()), b"date"):
            self.default_headers = []
        await super().send(message)

    async def run_asgi(self, app: ASGI3Application) -> None:
        extensions: Any = self.scope  # ASGI lets applications add keys
        extensions[CYCLE] = self
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            # Only the end of the grace period cancels requests.
            await self._fail(self.gate.unavailable("the process stopped before the answer"))
            raise
        except Exception:  # the outermost guard: nothing may leave as text or as a traceback
            if not self.disconnected:  # else nobody is left to answer, and the failure follows
                _logger.exception("request %s failed", self._request_id())
            await self._fail(Problem(INTERNAL_ERROR))
        else:
            if not self.response_complete and not self.disconnected:
                _logger.error("request %s was left without an answer", self._request_id())
                await self._fail(Problem(INTERNAL_ERROR))
        finally:
            # So that the connection, this cycle and its scope can be freed.
            self.on_response = nothing
            del extensions[CYCLE]

    async def answer_busy(self, *_: object) -> None:
        """Answer, in the place of the application, that there are too many requests already."""
        problem = self.gate.unavailable("the process answers as many requests as it takes")
        await self.send_problem(problem)

    async def send_problem(self, problem: Problem) -> None:
        """Answer with a problem; the response must not have started."""
        fields, body = self.gate.writer.content(problem, self._request_id())
        await self.send(
            {"type": "http.response.start", "status": problem.status, "headers": fields}
        )
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _fail(self, problem: Problem) -> None:
        if self.response_started:
            self.transport.close()  # the client sees that the response is cut short
        else:
            await self.send_problem(problem)

    def _request_id(self) -> str:
        extensions: Any = self.scope
        known = extensions.get(REQUEST_ID)
        if isinstance(known, str):
            return known
        new = extensions[REQUEST_ID] = self.gate.writer.new_request_id()
        return str(new)


class OldCycle(Cycle):
    """A request of HTTP/1.0: without Content-Length its response ends with the connection."""

    unframed = False

    def respond(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Return False: how the message ends is seen by `send`."""
        del status, fields, body
        return False

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            self.unframed = not _has(message.get("headers", ()), b"content-length")
            # Known to be False, uvicorn does not choose chunks, which HTTP/1.0 cannot read.
            self.chunked_encoding = False if self.unframed else None
        elif self.unframed and message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


def _has(fields: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bool:
    return any(name.lower() == wanted for name, _ in fields)


def nothing() -> None:
    """Take the place of the connection's callback once a cycle has ended."""
