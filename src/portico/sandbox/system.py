"""What the frame asks of each sandbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.responses import Response
from starlette.types import ASGIApp

from portico.sandbox.company import Company
from portico.sandbox.permissions import Permissions
from portico.sandbox.state import State
from portico.sandbox.webhooks import Webhooks

# Returns a secret by its name; it is made on first use and stays the same.
Secret = Callable[[str], str]


class SystemSandbox(Protocol):
    """One vendor's system: its protocol, and how it words what the frame makes go wrong."""

    @property
    def state(self) -> State: ...
    @property
    def app(self) -> ASGIApp: ...
    @property
    def webhooks(self) -> Webhooks | None:
        """The webhooks of the system, None if it has none."""
        ...

    @property
    def permissions(self) -> Permissions:
        """What the credential may do; the sandbox refuses the rest as the vendor does."""
        ...

    @property
    def unlimited_paths(self) -> frozenset[str]:
        """The paths whose requests no limit counts, such as that of tokens in some systems."""
        ...

    def seed(self, company: Company) -> None:
        """Fill an empty state."""
        ...

    def throttled(self, retry_after_seconds: float | None) -> Response:
        """Return the answer to a request over the limit."""
        ...

    def unavailable(self) -> Response:
        """Return the answer while the system is out of order."""
        ...

    def revoke_tokens(self) -> None:
        """Let no access token given out before be accepted."""
        ...


class SandboxKind(Protocol):
    """How a sandbox is made, and reached by its connector."""

    @property
    def api(self) -> str:
        """The API that wraps the system, such as `system/stripe.v1`."""
        ...

    def build(self, state: State, secret: Secret) -> SystemSandbox: ...

    def settings(self, base_url: str) -> Mapping[str, object]:
        """Return the settings of the API for a sandbox at a URL, secrets by reference."""
        ...
