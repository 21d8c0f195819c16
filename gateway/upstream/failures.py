"""The failures of the hop: what an httpx transport raises becomes a problem, in one place."""

from __future__ import annotations

import ssl

import httpx

from portico.problems import (
    BAD_UPSTREAM,
    DEADLINE_EXCEEDED,
    MALFORMED_REQUEST,
    SYSTEM_UNAVAILABLE,
    Problem,
    ProblemType,
)


class UpstreamProblem(Problem):
    """A failure of the hop to an upstream.

    `sent` is False only if certainly nothing left the gateway that could have had an effect: then
    the request may be repeated, whatever its method. The problem names the upstream, never its
    host.
    """

    def __init__(
        self, kind: ProblemType, detail: str, *, upstream: str, sent: bool, retry_after: int = 0
    ) -> None:
        headers = (("retry-after", str(retry_after)),) if retry_after else ()
        super().__init__(kind, detail, headers=headers, extensions={"upstream": upstream})
        self.upstream = upstream
        self.sent = sent


# What is raised before a connection exists; everything else may have been sent.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# What speaks against one base URL; a full pool is a matter of all of them.
UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout)


def deadline_exceeded(name: str, *, sent: bool) -> UpstreamProblem:
    """Return the problem of a request whose time is up."""
    return UpstreamProblem(
        DEADLINE_EXCEEDED, f"{name} did not answer in time", upstream=name, sent=sent
    )


def as_problem(exc: httpx.TransportError, *, name: str, retry_after: int) -> Problem:
    """Return the problem for what the transport raised about the upstream `name`."""
    if isinstance(exc, httpx.PoolTimeout):
        detail = f"every connection to {name} is in use"
        return _unavailable(name, detail, retry_after=1)
    if isinstance(exc, httpx.ConnectTimeout):
        return _unavailable(name, f"{name} did not accept a connection in time", retry_after)
    if isinstance(exc, httpx.ConnectError):
        if _is_about_tls(exc):
            detail = f"no secure connection to {name} could be made"
            return UpstreamProblem(BAD_UPSTREAM, detail, upstream=name, sent=False)
        return _unavailable(name, f"{name} cannot be reached", retry_after)
    if isinstance(exc, httpx.TimeoutException):
        return deadline_exceeded(name, sent=True)
    if isinstance(exc, httpx.LocalProtocolError):
        return Problem(MALFORMED_REQUEST, str(exc))
    if isinstance(exc, httpx.RemoteProtocolError):
        detail = f"{name} sent what is not a valid answer"
    else:
        detail = f"{name} closed the connection before its answer was complete"
    return UpstreamProblem(BAD_UPSTREAM, detail, upstream=name, sent=True)


def _unavailable(name: str, detail: str, retry_after: int) -> UpstreamProblem:
    return UpstreamProblem(
        SYSTEM_UNAVAILABLE, detail, upstream=name, sent=False, retry_after=retry_after
    )


def _is_about_tls(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLError | ssl.CertificateError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
