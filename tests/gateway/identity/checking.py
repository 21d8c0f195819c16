"""Authorization fields sent through the authenticator, as the gateway would, without a server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from gateway.exchange import Exchange
from gateway.identity.authenticator import Authenticator
from gateway.identity.certificate import ClientCertificates
from gateway.identity.challenge import Challenge
from gateway.identity.claims import TokenCaller
from gateway.identity.dpop import ProofChecker
from gateway.identity.failure_limit import FailureLimit, network_of
from gateway.identity.guard import Guard
from gateway.identity.trust import built_in
from gateway.identity.verifier import FAILURES_PER_ADDRESS, TokenVerifier
from gateway.pipeline import NO_PROXIES
from portico.contract.security import needing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.endpoints import Endpoint
    from gateway.identity.keys import KeyRing


@dataclass(frozen=True)
class _Operation:
    """Stands for the operation of an API that any token for it opens."""

    api: str


@dataclass
class Checker:
    """What one gateway says to the tokens of its built-in issuer, whose keys are in memory."""

    keys: KeyRing
    issuer: str
    audience: str
    failures_per_address: str = FAILURES_PER_ADDRESS
    clock: Callable[[], float] = time.time
    challenge: Challenge = field(default_factory=lambda: Challenge("portico"))
    verifier: TokenVerifier = field(init=False)

    def __post_init__(self) -> None:
        self.verifier = TokenVerifier(
            *built_in(self.keys, self.issuer),
            failures_per_address=self.failures_per_address,
            clock=self.clock,
        )

    def verify(
        self, authorization: Sequence[bytes], api: str = "process/orders.v1", address: str = ""
    ) -> TokenCaller:
        """Return the caller of a request with these Authorization fields; raises Problem."""
        exchange = Exchange(
            {
                "type": "http",
                "method": "GET",
                "raw_path": b"/",
                "query_string": b"",
                "headers": [(b"authorization", value) for value in authorization],
                "client": (address, 1),
            },
            _no_body,
        )
        exchange.read_headers()
        operation = cast("Endpoint", _Operation(api))
        pending = self._authenticator(operation, api).admit(exchange, operation)
        if pending is not None:
            finish(pending)
        return cast(TokenCaller, exchange.caller)

    def _authenticator(self, operation: Endpoint, api: str) -> Authenticator:
        guard = Guard(
            api=api,
            requirement=needing(()),
            audiences=frozenset({self.audience, api}),
            challenge=self.challenge,
            callers=None,
            outside=True,
            step_up=None,
            plain=True,
            open=False,
            keys=(),
            certificate=False,
        )
        return Authenticator(
            self.verifier,
            {operation: guard},
            public_url=self.issuer,
            proofs=ProofChecker(None),
            certificates=ClientCertificates("", NO_PROXIES),
            api_keys=None,
            key_failures=FailureLimit("1000/minute", scope="key", key_function=network_of),
        )


async def _no_body() -> Any:
    raise AssertionError("nobody reads the body")


def finish(pending: Awaitable[None]) -> None:
    """Run to its end what waits for nothing: the keys of the built-in issuer are in memory."""
    iterator = pending.__await__()
    try:
        next(iterator)
    except StopIteration:
        return
    raise AssertionError("the verification of a token of our own waited for something")
