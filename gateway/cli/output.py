"""How the command line speaks: plain text, and errors as error, cause and hint."""

from __future__ import annotations

import sys
from collections.abc import Callable

from gateway.config import ConfigError
from gateway.identity.errors import IdentityError
from gateway.protocol.listening import ListenError
from portico.contract import ContractError
from system_apis.tryton.sandbox.errors import SandboxError

FINE, FINDINGS, USAGE, CANNOT_RUN = 0, 1, 2, 3


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
        return command()
    except ContractError as error:
        for finding in error.findings:
            print(finding, file=sys.stderr)
        count = len(error.findings)
        print(f"{count} finding{'s' if count > 1 else ''}", file=sys.stderr)
        return FINDINGS
    except ConfigError as error:
        complain(f"the configuration does not start: {error.where}", error.cause, error.hint)
    except ListenError as error:
        complain(f"cannot listen on {error.host}:{error.port}", error.cause, error.hint)
    except IdentityError as error:
        complain("the identity settings do not start", str(error), error.hint)
    except SandboxError as error:
        complain("an embedded system does not start", str(error), error.hint or "see the log")
    except CannotRunError as error:
        complain(error.error, error.cause, error.hint)
    except BrokenPipeError:
        return FINE  # whoever read the output has seen enough
    return CANNOT_RUN
