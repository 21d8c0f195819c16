"""Whether a connector can do its work: reachability, clock, credentials, permissions, limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from portico.connectors.connection import Connection
from portico.connectors.failures import (
    ConnectorError,
    CredentialsError,
    NotPermittedError,
    OutOfTimeError,
    QuotaError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from portico.connectors.messages import Answer, Errand, Request

# Signatures of webhooks are accepted for five minutes, assertions for three: stay well below.
MAX_CLOCK_SECONDS = 30.0
# Less than this share of a limit left is worth a word.
LOW_SHARE = 0.1


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
    clock: Callable[[], float] = time.time,
) -> list[Check]:
    """Return what is well and what is not; nothing is written to the system."""
    checks: list[Check] = []
    for probe in probes:
        began = clock()
        try:
            answer = await connection.send(probe.request, errand)
        except ConnectorError as error:
            checks.append(_failed(probe, error))
            if not isinstance(error, NotPermittedError):
                # Whatever it is, the other probes would meet it too.
                return checks
            continue
        if not any(check.name == "reachable" for check in checks):
            checks += _first_answer(answer, began, clock())
        checks.append(Check(name="permission", well=True, detail=probe.permission))
    return [*checks, *_limits(connection)]


def _first_answer(answer: Answer, began: float, ended: float) -> list[Check]:
    took = f"answers in {(ended - began) * 1000:.0f} ms"
    return [
        Check(name="reachable", well=True, detail=took),
        Check(name="credentials", well=True, detail="accepted"),
        *_clock(answer, ended),
    ]


def _clock(answer: Answer, now: float) -> list[Check]:
    """Compare the clocks by the Date of an answer, which is to the second."""
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return []
    difference = now - theirs
    return [
        Check(
            name="clock",
            well=abs(difference) <= MAX_CLOCK_SECONDS,
            detail=f"{difference:+.0f} s from theirs",
            remedy="synchronize the clock of this machine; signed messages would be refused",
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
)


def _failed(probe: Probe, error: ConnectorError) -> Check:
    for kind, name, remedy in _REMEDIES:
        if isinstance(error, kind):
            named = f"{probe.permission}: {error.message}" if name == "permission" else ""
            return Check(name=name, well=False, detail=named or error.message, remedy=remedy)
    remedy = "compare the settings of this API with the system"
    return Check(name=probe.permission, well=False, detail=error.message, remedy=remedy)


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
