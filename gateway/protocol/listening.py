"""The listening socket, and why there may be none."""

from __future__ import annotations

import errno
import logging
import resource
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.protocol.limits import ProtocolLimits

_logger = logging.getLogger(__name__)

_LAST_PORT = 65_535
# Files a process needs besides its clients: upstream connections, stores, logs.
_OTHER_FILES = 256


class ListenError(Exception):
    """The address cannot be listened on; `cause` says why and `hint` what to do."""

    def __init__(self, host: str, port: int, cause: str, hint: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {cause}; {hint}")
        self.host = host
        self.port = port
        self.cause = cause
        self.hint = hint


class PortTakenError(ListenError):
    """Another socket listens on the address."""


class PortForbiddenError(ListenError):
    """The process may not listen on the port."""


class AddressUnavailableError(ListenError):
    """The host is not an address of this machine, or the port is not a port."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; raise `ListenError`. Port 0 takes a free port."""
    family, address = _resolve(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it a restart fails while connections of the last run are in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise listen_error(host, port, error) from error
    return sock


def _resolve(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    if not 0 <= port <= _LAST_PORT:
        hint = f"use a port from 1 to {_LAST_PORT}, or 0 for a free one"
        raise AddressUnavailableError(host, port, "there is no such port", hint)
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        cause = f"the host is not an address ({error})"
        raise AddressUnavailableError(host, port, cause, "use 127.0.0.1") from error
    return family, address


def listen_error(host: str, port: int, error: OSError) -> ListenError:
    """Return the typed error for what the operating system said."""
    if error.errno == errno.EADDRINUSE:
        free = f"stop it, or choose another port: PORT={_next_port(port)} make run"
        return PortTakenError(host, port, "the port is taken by another process", free)
    if error.errno == errno.EACCES:
        return PortForbiddenError(
            host,
            port,
            "ports below 1024 need privileges",
            "choose another port: PORT=8080 make run",
        )
    return AddressUnavailableError(
        host, port, f"it is not an address of this machine ({error})", "use 127.0.0.1"
    )


def _next_port(port: int) -> int:
    return port + 1 if port < _LAST_PORT else 8_080


def fit_open_files(limits: ProtocolLimits) -> ProtocolLimits:
    """Raise the limit of open files to what the limits need, or lower the limits to what there is.

    A process that runs out of files cannot even refuse a connection.
    """
    needed = limits.max_connections + limits.max_lingering + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == needed:
        return limits
    fitting = max(1, allowed - limits.max_lingering - _OTHER_FILES)
    _logger.warning(
        "max_connections lowered from %d to %d: the process may open %d files only",
        limits.max_connections,
        fitting,
        allowed,
    )
    return replace(limits, max_connections=fitting)
