"""uvicorn's httptools protocol with one reading of every request, bounds, and refusals as problems.

Together with `connection.py` it replaces the parts of `HttpToolsProtocol` that read requests and
watch the clock; responses stay uvicorn's (`cycle.py`). What is used of uvicorn is pinned by
`tests/gateway/protocol/test_uvicorn_contract.py`. Field checks are in `framing.py`, path checks in
`target.py`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from gateway.protocol.connection import (
    BODY,
    HEAD,
    NOTHING,
    REFUSED,
    GuardedConnection,
    headers_too_large,
    target_too_long,
)
from gateway.protocol.cycle import Cycle, OldCycle
from gateway.protocol.framing import FRAMING_FIELDS, Framing, read_framing
from gateway.protocol.target import split_target
from portico.problems import (
    HEADERS_TOO_LARGE,
    INTERNAL_ERROR,
    MALFORMED_REQUEST,
    NOT_IMPLEMENTED,
    TOO_MANY_REQUESTS,
    Problem,
)

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from gateway.protocol.gate import Gate

_logger = logging.getLogger(__name__)

# A header field costs its bytes and the colon, the space and the line end around them.
_FIELD_OVERHEAD: Final = 4
_NO_FRAMING = Framing(
    host=b"", chunked=False, has_body=False, expects_continue=False, names_upgrade=False
)
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ ")


def protocol_class(gate: Gate) -> type[GuardedProtocol]:
    """Return the class for `uvicorn.Config(http=...)` whose connections share `gate`."""
    return type("GatedProtocol", (GuardedProtocol,), {"gate": gate})


class GuardedProtocol(GuardedConnection):
    """One connection. A request reaches the application only if it can be read in one way."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.head_may_be_large = False
        self.framing = _NO_FRAMING
        self.framing_fields: list[tuple[bytes, bytes]] = []
        self.known_fields: list[tuple[bytes, bytes]] | None = None  # what `framing` was read from

    def data_received(self, data: bytes) -> None:
        if self.phase >= REFUSED:
            self._drop(len(data))
            return
        phase, latest = self.phase, self.latest
        self.head_may_be_large = self.timed == HEAD or len(data) > self.limits.max_header_bytes
        upgraded_at = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            upgraded_at = upgrade.args[0]
        except httptools.HttpParserError as error:
            starts_here = phase == NOTHING and self.latest is latest
            self._refuse(_problem(error, data if starts_here else b""))
            return
        if upgraded_at:
            # An Upgrade may be ignored (RFC 9110 section 7.8): the next request follows it. This
            # nests no deeper than `max_pipelined`.
            self.data_received(data[upgraded_at:])
            return
        if self.phase == HEAD:
            # Only a chunk that holds nothing else surely belongs to this head.
            alone = phase != BODY and self.latest is latest
            self._await_head(len(data) if alone else 0)
        elif self.phase == BODY:
            self._await_body(len(data))

    # The parser calls these.

    def on_message_begin(self) -> None:
        self.phase = HEAD
        self.url = b""
        self.headers = []
        self.framing_fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        field = (name, value.rstrip())  # the parser strips only the space before a value
        self.headers.append(field)
        if name in FRAMING_FIELDS:
            self.framing_fields.append(field)

    def on_headers_complete(self) -> None:
        limits = self.limits
        if (
            self.head_may_be_large
            or len(self.url) > limits.max_target_bytes
            or len(self.headers) > limits.max_header_fields
        ):
            self._check_sizes()
        version = self.parser.get_http_version()
        if self.framing_fields != self.known_fields or version != "1.1":
            self._read_framing(version)
        method = self.parser.get_method()
        raw_path, query = split_target(method, self.url, self.framing.host)
        if len(self.pipeline) >= limits.max_pipelined:
            raise Problem(
                TOO_MANY_REQUESTS,
                f"more than {limits.max_pipelined} requests wait on this connection",
                headers=[("retry-after", str(limits.retry_after_seconds))],
            )
        self._queue(self._cycle(version, self._scope(version, method, raw_path, query)))
        self.phase = BODY
        if self.framing.chunked:
            # Trailer fields must not join the fields that were checked (RFC 9110 section 6.5.1).
            self.headers = []
            self.framing_fields = []

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        cycle: Any = self.latest
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self.phase = self.timed = NOTHING
        cycle: Any = self.latest
        if cycle.response_complete:
            self.since = self.gate.now
        else:
            cycle.more_body = False
            cycle.message_event.set()

    # Reading a head.

    def _check_sizes(self) -> None:
        limits = self.limits
        if len(self.url) > limits.max_target_bytes:
            raise target_too_long(limits)
        if len(self.headers) > limits.max_header_fields:
            raise Problem(
                HEADERS_TOO_LARGE,
                f"the header section may have {limits.max_header_fields} fields at most",
            )
        size = sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in self.headers)
        if size > limits.max_header_bytes:
            raise headers_too_large(limits)

    def _read_framing(self, version: str) -> None:
        framing = read_framing(version, self.framing_fields)
        if framing.has_body and self.parser.should_upgrade():
            # The parser would take the body for what follows the upgrade: a smuggled request.
            raise Problem(MALFORMED_REQUEST, "a request with a body cannot ask for an Upgrade")
        self.framing = framing
        self.expect_100_continue = framing.expects_continue
        # The same fields mean the same next time, except that Connection decides on an Upgrade.
        repeatable = version == "1.1" and not framing.names_upgrade
        self.known_fields = self.framing_fields if repeatable else None

    def _scope(self, version: str, method: bytes, raw_path: bytes, query: bytes) -> HTTPScope:
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": method.decode("ascii"),
            "root_path": self.root_path,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }

    def _cycle(self, version: str, scope: HTTPScope) -> Cycle:
        cycle = (Cycle if version == "1.1" else OldCycle)(
            scope=scope,
            transport=self.outlet,  # type: ignore[arg-type]  # as much of one as a cycle uses
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,  # the pipeline writes it, with what it knows
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version == "1.1" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.gate = self.gate
        return cycle


def _problem(error: httptools.HttpParserError, start: bytes) -> Problem:
    """Return what to answer when parsing stopped; `start` begins the request, if it is known."""
    if isinstance(error.__context__, Problem):
        return error.__context__
    if isinstance(error, httptools.HttpParserCallbackError):
        _logger.error("reading a request failed", exc_info=error.__context__)
        return Problem(INTERNAL_ERROR)
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(start):
        return Problem(NOT_IMPLEMENTED)
    return Problem(MALFORMED_REQUEST, f"the request is not valid HTTP/1.1: {error}")
