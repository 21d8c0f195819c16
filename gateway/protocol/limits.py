"""Every number of the connection layer, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, fields

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
# Zero switches these off or is their natural smallest value; every other number must be positive.
_MAY_BE_ZERO = frozenset({"drain_delay_seconds", "max_discarded_bytes", "max_lingering"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolLimits:
    """The sizes, counts and times one process allows its clients."""

    max_target_bytes: int = 8_192
    """RFC 9112 section 3 asks for at least 8,000; longer ones carry data that belongs in a body."""

    max_header_bytes: int = 32_768
    """A 16 KiB token and a browser's cookies fit; common reverse proxies pass on as much."""

    max_header_fields: int = 100
    """Browsers behind several proxies send about 40."""

    header_seconds: float = 10.0
    """From the first byte of a request to the end of its header section, and from the opening of a
    connection to its first byte. A lost packet costs about 3 seconds, so two may be lost."""

    progress_seconds: float = 10.0
    """The window in which `progress_bytes` of a body must arrive, or of a response leave."""

    progress_bytes: int = 2_048
    """With the window above 205 bytes per second, less than the slowest mobile link in use."""

    idle_seconds: float = 75.0
    """Longer than the 60 seconds after which load balancers drop idle connections, so that they
    close first and never send a request into a connection that is just closing."""

    max_connections: int = 4_096
    """An idle connection costs about 10 KiB, so all of them cost about 40 MiB."""

    max_connections_per_peer: int = 256
    """An office behind one address; a browser opens 6."""

    uncounted_peers: frozenset[str] = _LOOPBACK
    """Addresses without a cap of their own: a reverse proxy carries everyone's connections."""

    max_requests: int = 1_024
    """Requests being answered at once; beyond it the answer would come after the deadline."""

    max_pipelined: int = 32
    """Requests waiting behind one another on a connection. Browsers send none."""

    max_discarded_bytes: int = 262_144
    """What is read of a body that nobody wants, so that the connection can be used again. More
    than one read of the socket, less than what is worth paying for."""

    linger_seconds: float = 2.0
    """How long the rest of a refused request is read and dropped. Closing at once would reset the
    connection and could destroy the answer before the client has read it."""

    max_lingering: int = 256
    """Connections that linger at once; beyond it refused connections are closed at once."""

    retry_after_seconds: int = 1
    """The Retry-After of a process that is over its limits: requests end within a second."""

    backlog: int = 2_048
    """Connections the kernel holds while the process is busy, as uvicorn and nginx choose."""

    grace_seconds: float = 10.0
    """How long requests may run on after a signal to stop; supervisors kill after 10 to 30."""

    force_seconds: float = 1.0
    """How long clean-up may take after a second signal."""

    drain_delay_seconds: float = 0.0
    """How long new connections are still taken after a signal to stop, while readiness already
    fails. Set it to the interval of the load balancer's health check."""

    tick_seconds: float = 0.5
    """The sweeper's period, and so the precision of every time above."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, frozenset) or value > 0:
                continue
            if value < 0 or field.name not in _MAY_BE_ZERO:
                raise ValueError(f"{field.name} must be greater than 0, found {value!r}")
