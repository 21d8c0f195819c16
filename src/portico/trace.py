"""W3C Trace Context: parsing, children and rendering (https://www.w3.org/TR/trace-context-2/)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_KNOWN_FLAGS = 0x03  # sampled and random; every other flag is zeroed when passed on
_MAX_STATE_MEMBERS = 32


class Trace:
    """One hop of a trace: its id, the span of this hop and the vendor state passed through."""

    __slots__ = ("flags", "span_id", "state", "trace_id")

    def __init__(self, trace_id: str, span_id: str, flags: int = 0, state: str = "") -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags
        self.state = state

    @classmethod
    def start(cls) -> Trace:
        """Return a new trace with random ids and the random flag set."""
        ids = random_id(24)
        return cls(ids[:32], ids[32:], 0x02)

    @classmethod
    def parse(cls, parents: Sequence[str], states: Sequence[str] = ()) -> Trace | None:
        """Return the trace named by the `traceparent` header lines, or None if it is not valid.

        More than one line, zero ids, version ff and a version 00 with trailing data are invalid;
        an invalid parent drops the state too (Trace Context 3.2.2 and 3.3).
        """
        if len(parents) != 1:
            return None
        match = _TRACEPARENT.match(parents[0].strip())
        if match is None:
            return None
        version, trace_id, span_id, flags, tail = match.groups()
        if version == "ff" or (version == "00" and tail):
            return None
        if not trace_id.strip("0") or not span_id.strip("0"):
            return None
        return cls(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS, _combine(states))

    def child(self) -> Trace:
        """Return the trace of the next hop: same trace, new span."""
        return Trace(self.trace_id, random_id(8), self.flags, self.state)

    def headers(self) -> list[tuple[str, str]]:
        parent = f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"
        if not self.state:
            return [("traceparent", parent)]
        return [("traceparent", parent), ("tracestate", self.state)]

    def __repr__(self) -> str:
        return f"<Trace {self.trace_id} {self.span_id}>"


def random_id(size_bytes: int) -> str:
    """Return hexadecimal digits that are unlikely to repeat, not secret, and not all zero."""
    # A fifth of the time that formatting the number takes.
    return (random.getrandbits(8 * size_bytes) or 1).to_bytes(size_bytes, "big").hex()


_CURRENT: ContextVar[Trace | None] = ContextVar("portico.trace", default=None)


def enter(trace: Trace) -> None:
    """Let what this task does from now on belong to a trace."""
    _CURRENT.set(trace)


def current() -> Trace:
    """Return the trace that this task belongs to, or a new one."""
    return _CURRENT.get() or Trace.start()


def _combine(states: Sequence[str]) -> str:
    members = [member.strip() for state in states for member in state.split(",")]
    members = [member for member in members if member]
    keys = [member.partition("=")[0] for member in members]
    if len(set(keys)) != len(keys):
        return ""
    return ",".join(members[:_MAX_STATE_MEMBERS])
