"""Whether a connector can do its work: reachability, clock, credentials, permissions, limits."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from portico.connectors.connection import Connection
from portico.connectors.failures import (
    BrokenError,
    ConnectorError,
    CredentialsError,
    MissingError,
    NotPermittedError,
    OutOfTimeError,
    QuotaError,
    RefusedError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from portico.connectors.messages import Errand, Request

# Signatures of webhooks are accepted for five minutes, assertions for three: stay well below.
MAX_CLOCK_SECONDS = 30.0
# Less than this share of a limit left is worth a word.
LOW_SHARE = 0.1
# What to do in words of the system: by its own code of a failure, or by the failure.
Remedies = Mapping[str | type[ConnectorError], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A read that needs a permission, named as the system's administrator knows it."""

    permission: str
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was found. `remedy` is what to do where it is not well."""

    name: str
    well: bool
    detail: str
    remedy: str = ""


async def check_up(
    connection: Connection,
    probes: Sequence[Probe],
    errand: Errand,
    *,
    remedies: Remedies | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Check]:
    """Return what is well and what is not; nothing is written to the system."""
    checks: list[Check] = []
    for probe in probes:
        began = clock()
        try:
            await connection.send(probe.request, errand)
        except ConnectorError as error:
            if isinstance(error, NotPermittedError):
                checks += _reached(began, clock(), checks)
            checks.append(_failed(connection, probe, error, remedies or {}))
            # Also who is refused needs to know: it may be because of the clock.
            checks += _clock(connection, clock(), checks)
            if not _concerns_one(error):
                break
            continue
        checks += _reached(began, clock(), checks)
        checks += _clock(connection, clock(), checks)
        checks.append(Check(name="permission", well=True, detail=probe.permission))
    return [*checks, *_limits(connection)]


def _concerns_one(error: ConnectorError) -> bool:
    """Tell whether other probes may succeed all the same."""
    if isinstance(error, NotPermittedError | MissingError):
        return True
    # What the system has no code for is something that all of them would meet.
    return isinstance(error, RefusedError | BrokenError) and bool(error.code)


def _reached(began: float, ended: float, known: Sequence[Check]) -> list[Check]:
    if any(check.name == "reachable" for check in known):
        return []
    took = f"answers in {(ended - began) * 1000:.0f} ms"
    return [
        Check(name="reachable", well=True, detail=took),
        Check(name="credentials", well=True, detail="accepted"),
    ]


def _clock(connection: Connection, now: float, known: Sequence[Check]) -> list[Check]:
    """Compare the clocks, once, by the Date of the last answer, which is to the second."""
    if any(check.name == "clock" for check in known):
        return []
    try:
        theirs = parsedate_to_datetime(connection.server_date).timestamp()
    except ValueError:
        return []
    difference = now - theirs
    return [
        Check(
            name="clock",
            well=abs(difference) <= MAX_CLOCK_SECONDS,
            detail=f"{difference:+.0f} s from theirs",
            remedy="synchronize the clock of this machine; what it signs would be refused",
        )
    ]


_REMEDIES: tuple[tuple[type[ConnectorError], str, str], ...] = (
    (CredentialsError, "credentials", "authorize the app again and put in what you are given"),
    (UnauthenticatedError, "credentials", "check the key or secret; it may have been replaced"),
    (NotPermittedError, "permission", "give the user or the key of this API the permission"),
    (QuotaError, "limits", "wait for the allowance to begin anew, or get a larger one"),
    (ThrottledError, "limits", "wait; let fewer processes share the credential"),
    (UnavailableError, "reachable", "check the address, the network, and the vendor's status page"),
    (OutOfTimeError, "reachable", "check the network and the vendor's status page"),
    (ConnectorError, "permission", "compare the settings of this API with the system"),
)
# Why no connection was made, and what to do, by what the operating system or TLS said.
_CAUSES: tuple[tuple[type[Exception], str, str], ...] = (
    (socket.gaierror, "there is no such host", "correct the host in the settings, or the DNS here"),
    (
        ssl.SSLCertVerificationError,
        "its certificate is not trusted",
        "correct the host in the settings, or name the issuer's certificate in ca_file",
    ),
    (ssl.SSLError, "it does not speak TLS there", "correct scheme and port of the address"),
    (
        ConnectionRefusedError,
        "nothing listens there",
        "correct host and port in the settings, or start what should listen",
    ),
)


def _failed(
    connection: Connection, probe: Probe, error: ConnectorError, remedies: Remedies
) -> Check:
    name, remedy = next(
        (name, remedy) for kind, name, remedy in _REMEDIES if isinstance(error, kind)
    )
    detail = error.message
    if name == "permission":
        detail = f"{probe.permission}: {detail}"
    elif name == "reachable":
        detail = f"{connection.asked}: {detail}"
        for kind, why, then in _CAUSES:
            if any(isinstance(cause, kind) for cause in _causes(error)):
                return Check(name=name, well=False, detail=f"{detail}: {why}", remedy=then)
    known = remedies.get(error.code) or remedies.get(type(error))
    return Check(name=name, well=False, detail=detail, remedy=known or remedy)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what led to an error, the error first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or getattr(cause, "os_error", None)


def _limits(connection: Connection) -> list[Check]:
    return [
        Check(
            name="limits",
            well=allowance.used <= allowance.total * (1 - LOW_SHARE),
            detail=f"{allowance.name}: {allowance.used} of {allowance.total} used",
            remedy="ask less often, or get a larger allowance",
        )
        for allowance in connection.allowances.values()
    ]
