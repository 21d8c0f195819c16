"""How the command line speaks: plain text, and errors as error, cause and hint."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from gateway.config import ConfigError
from gateway.identity.errors import IdentityError
from gateway.protocol.listening import ListenError
from portico.contract import ContractError
from portico.crossref.store import ReferencesError
from portico.redis.embedded.errors import EmbeddedRedisError
from portico.sandbox.running import SandboxesError
from system_apis.tryton.sandbox.errors import SandboxError

FINE, FINDINGS, USAGE, CANNOT_RUN = 0, 1, 2, 3
INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended


class CannotRunError(Exception):
    """A command that cannot do its work: what failed, why, and what to do."""

    def __init__(self, error: str, cause: str, hint: str) -> None:
        super().__init__(error)
        self.error = error
        self.cause = cause
        self.hint = hint


def complain(error: str, cause: str, hint: str) -> None:
    """Print what went wrong on standard error."""
    sys.stdout.flush()
    print(f"error: {error}\ncause: {cause}\nhint:  {hint}", file=sys.stderr, flush=True)


def fail(command: Callable[[], int]) -> int:
    """Run a command; turn the errors of a user into words and an exit code."""
    try:
        code = command()
        sys.stdout.flush()
    except ContractError as error:
        _list_findings(error)
        return FINDINGS
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except _USER_ERRORS as error:
        complain(*_in_words(error))
        return CANNOT_RUN
    return code


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
