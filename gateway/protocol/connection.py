"""How a connection waits, answers in order, refuses, lingers and ends; reading is in `http.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.protocol.cycle import Cycle, Outlet, nothing
from gateway.protocol.pace import Pace
from gateway.protocol.refusal import Refusal
from portico.problems import HEADERS_TOO_LARGE, REQUEST_TIMEOUT, URI_TOO_LONG, Problem

if TYPE_CHECKING:
    import asyncio

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from gateway.protocol.gate import Gate
    from gateway.protocol.limits import ProtocolLimits

# What a connection is reading. The first three are in step with the parser.
NOTHING: Final = 0  # between requests; one may be in flight
HEAD: Final = 1
BODY: Final = 2
REFUSED: Final = 3  # no longer parsed; the refusal waits for the answers before it
LINGERING: Final = 4  # answered and half-closed; the rest is read and dropped
CLOSING: Final = 5


class GuardedConnection(HttpToolsProtocol):
    """The life of a connection around what it reads."""

    gate: Gate  # set by `http.protocol_class`, because uvicorn calls the constructor

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits = self.gate.limits
        self.max_requests = config.limit_concurrency or self.limits.max_requests
        self.peer = ""
        self.phase: int = NOTHING
        self.timed: int = NOTHING  # the phase in which more bytes are awaited
        self.since = self.gate.now  # when the wait began that has a time to end in
        # Requests: the one being answered, and the one read last, which may wait in `pipeline`.
        self.active: Cycle | None = None
        self.latest: Cycle | None = None
        self.refusal: tuple[Problem, bool] | None = None
        self.head_bytes = 0  # of an unfinished head, as far as they surely belong to it
        self.body_bytes = 0  # of all requests on this connection
        self.body_bytes_before = 0  # the chunk that is being read
        self.body_overhead = 0  # chunk extensions and trailers since the last body byte
        self.skipped_from = 0  # `body_bytes` when the answer made the rest of the body useless
        self.dropped = 0
        self.arrival = Pace()
        self.departure = Pace()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.peer} phase={self.phase} queued={len(self.pipeline)}>"

    # The transport and the server call these.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        self.outlet = Outlet(transport, self._end_response)
        self.peer = self.client[0] if self.client else ""
        problem = self.gate.enter(self)
        if problem is not None:
            self._refuse(problem)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gate.leave(self)
        active, self.active = self.active, None
        if active is not None:
            active.disconnected = True
            active.message_event.set()
        self.pipeline.clear()
        self.outlet.close = nothing  # else the last cycle and this connection keep one another
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.departure.restart(self.gate.now, -self.transport.get_write_buffer_size())

    def shutdown(self) -> None:
        """End the connection as soon as the requests on it are answered."""
        if self.active is not None and self.latest is not None:
            self.latest.keep_alive = False
        elif self.phase == HEAD:
            self._refuse(self.gate.unavailable("the process is stopping"))
        elif self.phase == BODY:
            self._linger()
        elif self.phase != LINGERING:
            self._close()

    # Requests are answered one after the other.

    def _queue(self, cycle: Cycle) -> None:
        self.latest = cycle
        if self.active is None:
            self._begin(cycle)
        else:
            self.pipeline.appendleft((cycle, self.app))
            self.flow.pause_reading()

    def _begin(self, cycle: Cycle) -> None:
        self.active = cycle
        busy = len(self.tasks) >= self.max_requests
        self._start_asgi_task(cycle, cycle.answer_busy if busy else self.app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        answered, self.active = self.active, None
        if self.phase >= LINGERING or self.transport.is_closing():
            return
        if self.phase == BODY and answered is self.latest:
            self._skip_body()
        elif self.pipeline:
            cycle, _ = self.pipeline.pop()
            self._begin(cycle)  # type: ignore[arg-type]  # uvicorn's queue, filled by `_queue`
        elif self.refusal is not None:
            self._send_refusal(*self.refusal)
        else:
            self.flow.resume_reading()
            if self.phase == NOTHING:
                self.since = self.gate.now

    def _skip_body(self) -> None:
        """Read on past a body that the answer did not wait for."""
        if self.expect_100_continue:
            # The client may never send the body now, or send it: only closing is clear to both.
            self._linger()
        else:
            self.skipped_from = self.body_bytes
            self.flow.resume_reading()

    def _end_response(self) -> None:
        """Close after the answer of the active request, in place of `transport.close`."""
        if self.phase == BODY and self.active is self.latest:
            self._linger()
        else:
            self._close()

    # Refusing and ending.

    def _refuse(self, problem: Problem) -> None:
        """Answer what is being read with a problem, after all earlier answers; then close."""
        if self.phase == BODY and not self._abandon(self.latest):
            return
        head = (
            self.phase in {HEAD, BODY} and self.url != b"" and self.parser.get_method() == b"HEAD"
        )
        self.phase = REFUSED
        if self.active is None:
            self._send_refusal(problem, head)
        else:
            self.refusal = (problem, head)
            self.flow.pause_reading()

    def _abandon(self, cycle: Cycle | None) -> bool:
        """Take back a request whose body failed; tell whether it can still be answered."""
        if cycle is None or cycle.response_complete:
            self._linger()
            return False
        if cycle is not self.active:
            self.pipeline.popleft()
            return True
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            self._close()
            return False
        self.active = None
        return True

    def _send_refusal(self, problem: Problem, head: bool) -> None:
        writer = self.gate.writer
        request_id = writer.new_request_id()
        self.gate.on_refusal(
            Refusal(
                slug=problem.kind.slug,
                status=problem.status,
                detail=problem.detail,
                peer=self.peer,
                request_id=request_id,
            )
        )
        fields = self.server_state.default_headers
        self.transport.write(writer.last_response(problem, request_id, more=fields, head=head))
        self._linger()

    def _linger(self) -> None:
        """Close our half and read on for a while: closing at once could destroy the answer."""
        if self.transport.is_closing():
            return
        if not self.transport.can_write_eof() or not self.gate.may_linger(self):
            self._close()
            return
        self._enter_last_phase(LINGERING)
        self.transport.write_eof()
        self.flow.resume_reading()

    def _close(self) -> None:
        self._enter_last_phase(CLOSING)
        self.transport.close()

    def _enter_last_phase(self, phase: int) -> None:
        self.phase = phase
        self.since = self.gate.now
        self.dropped = 0
        self.departure.restart(self.since, -self.transport.get_write_buffer_size())

    def _drop(self, size: int) -> None:
        self.dropped += size
        if self.dropped > self.limits.max_discarded_bytes:
            self.flow.pause_reading()

    # Waiting for more bytes.

    def _await_head(self, size: int) -> None:
        if self.timed != HEAD:
            self.timed = HEAD
            self.since = self.gate.now
            self.head_bytes = 0
        self.head_bytes += size
        if len(self.url) > self.limits.max_target_bytes:
            self._refuse(target_too_long(self.limits))
        elif self.head_bytes - len(self.url) > self.limits.max_header_bytes:
            self._refuse(headers_too_large(self.limits))

    def _await_body(self, size: int) -> None:
        if self.timed != BODY:
            self.timed = BODY
            self.body_overhead = 0
            self.arrival.restart(self.gate.now, self.body_bytes)
        idle = self.body_bytes == self.body_bytes_before
        self.body_overhead = self.body_overhead + size if idle else 0
        self.body_bytes_before = self.body_bytes
        if self.body_overhead > self.limits.max_header_bytes:
            self._refuse(headers_too_large(self.limits))
        elif self._skipped_enough():
            self._linger()

    def _skipped_enough(self) -> bool:
        answered = self.latest is not None and self.latest.response_complete
        return answered and self.body_bytes - self.skipped_from > self.limits.max_discarded_bytes

    def sweep(self, now: float) -> None:
        """End what has been waited for too long; called on every tick of the gate's clock."""
        if self.phase >= LINGERING or self.flow.write_paused:
            self._sweep_departure(now)
        elif self.phase == HEAD:
            self._sweep_head(now)
        elif self.phase == BODY:
            self._sweep_body(now)
        elif self.active is None and self.phase == NOTHING:
            self._sweep_idle(now)

    def _sweep_departure(self, now: float) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            over = self.departure.too_slow(now, -unsent, self.limits)
        else:
            over = self.phase == LINGERING and now - self.since > self.limits.linger_seconds
        if over:
            self.transport.abort()

    def _sweep_head(self, now: float) -> None:
        if self.flow.read_paused:
            self.since = now  # we do not read, so the client cannot be late
        elif now - self.since > self.limits.header_seconds:
            self._refuse(_too_slow("the header section did not arrive in time"))

    def _sweep_body(self, now: float) -> None:
        cycle = self.latest
        waits_for_us = cycle is not None and cycle.waiting_for_100_continue
        if self.flow.read_paused or waits_for_us:
            self.arrival.restart(now, self.body_bytes)
        elif self.arrival.too_slow(now, self.body_bytes, self.limits):
            self._refuse(_too_slow("the body arrived too slowly"))

    def _sweep_idle(self, now: float) -> None:
        used = self.latest is not None
        allowed = self.limits.idle_seconds if used else self.limits.header_seconds
        if now - self.since > allowed:
            self._close()


def target_too_long(limits: ProtocolLimits) -> Problem:
    return Problem(
        URI_TOO_LONG, f"the request target may have {limits.max_target_bytes} bytes at most"
    )


def headers_too_large(limits: ProtocolLimits) -> Problem:
    return Problem(
        HEADERS_TOO_LARGE, f"the header section may have {limits.max_header_bytes} bytes at most"
    )


def _too_slow(detail: str) -> Problem:
    return Problem(REQUEST_TIMEOUT, detail)
