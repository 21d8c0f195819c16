"""The errors of users, in words. Every part of the gateway has some of its own."""

from __future__ import annotations

import sys

from gateway.cli.output import CANNOT_RUN, FINDINGS, CannotRunError, complain
from gateway.config import ConfigError
from gateway.identity.errors import IdentityError
from gateway.protocol.listening import ListenError
from portico.contract import ContractError
from portico.crossref.store import ReferencesError
from portico.redis.embedded.errors import EmbeddedRedisError
from portico.sandbox.running import SandboxesError
from system_apis.tryton.sandbox.errors import SandboxError

_USER_ERRORS = (
    ConfigError,
    ListenError,
    IdentityError,
    EmbeddedRedisError,
    SandboxError,
    SandboxesError,
    ReferencesError,
    CannotRunError,
    OSError,
)


def explain(error: Exception) -> int | None:
    """Say what went wrong and return the exit code, None for what is no mistake of a user."""
    if isinstance(error, ContractError):
        _list_findings(error)
        return FINDINGS
    if isinstance(error, _USER_ERRORS):
        complain(*_in_words(error))
        return CANNOT_RUN
    return None


def _list_findings(error: ContractError) -> None:
    for finding in error.findings:
        print(finding, file=sys.stderr)
    count = len(error.findings)
    print(f"{count} finding{'s' if count > 1 else ''}", file=sys.stderr)


def _in_words(error: Exception) -> tuple[str, str, str]:
    """Return error, cause and hint."""
    if isinstance(error, ConfigError):
        return f"the configuration does not start: {error.where}", error.cause, error.hint
    if isinstance(error, ListenError):
        return f"cannot listen on {error.host}:{error.port}", error.cause, error.hint
    if isinstance(error, IdentityError):
        return "the identity settings do not start", str(error), error.hint
    if isinstance(error, EmbeddedRedisError):
        return "the embedded Redis does not start", str(error), error.hint
    if isinstance(error, SandboxError):
        return "an embedded system does not start", str(error), error.hint or "see the log"
    if isinstance(error, ReferencesError):
        hint = "check references.url, and that its database runs and may be written to"
        return "the cross-references cannot be opened", str(error).strip(), hint
    if isinstance(error, SandboxesError):
        hint = "stop what listens there, or set embedded.sandboxes to false"
        return "the sandboxes do not start", str(error), hint
    if isinstance(error, CannotRunError):
        return error.error, error.cause, error.hint
    name = getattr(error, "filename", None) or "a file"
    cause = getattr(error, "strerror", None) or str(error)
    return f"{name} cannot be used", cause, "check the path and its permissions"
