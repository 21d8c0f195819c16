"""Guessing client secrets: how often an address and a client may fail at the token endpoint."""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.identity.failure_limit import FailureLimit, network_of

if TYPE_CHECKING:
    from collections.abc import Callable

# A person who mistypes stays below, a program that guesses does not.
FAILURES_PER_ADDRESS = "20/minute;200/hour"
# Guesses from many addresses together; more than all instances of one deployment would make.
FAILURES_PER_CLIENT = "100/minute"
_MAX_PROVEN = 4096


class BruteForceGuard:
    """Counts failed authentications of one process and says when to refuse without a look.

    A client that is being attacked stays usable from the networks where it succeeded before:
    otherwise anyone who knows a client id could lock its owner out.
    """

    __slots__ = ("_addresses", "_clients", "_proven")

    def __init__(
        self,
        *,
        per_address: str = FAILURES_PER_ADDRESS,
        per_client: str = FAILURES_PER_CLIENT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._addresses = FailureLimit(
            per_address, scope="address", key_function=network_of, clock=clock
        )
        self._clients = FailureLimit(per_client, scope="client", key_function=_hashed, clock=clock)
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    def address_wait_seconds(self, address: str) -> int:
        """Return how long the address has to wait before it may authenticate, 0 if it may now."""
        return self._addresses.wait_seconds(address)

    def client_wait_seconds(self, client_id: str, address: str) -> int:
        """Return how long the client has to wait at this address, 0 if it may try now."""
        if (client_id, network_of(address)) in self._proven:
            return 0
        return self._clients.wait_seconds(client_id)

    def failed(self, client_id: str, address: str) -> None:
        """Count a failure against the address and, if one was named, the client."""
        self._addresses.record(address)
        if client_id:
            self._clients.record(client_id)

    def succeeded(self, client_id: str, address: str) -> None:
        """Remember that the client proved itself at this address."""
        pair = (client_id, network_of(address))
        self._proven[pair] = None
        self._proven.move_to_end(pair)
        if len(self._proven) > _MAX_PROVEN:
            self._proven.popitem(last=False)

    def __repr__(self) -> str:
        return f"<BruteForceGuard addresses {self._addresses!r}, clients {self._clients!r}>"


def _hashed(client_id: str) -> str:
    # What is sent as an id may be long and strange; its hash is neither.
    return sha256(client_id.encode()).hexdigest()
