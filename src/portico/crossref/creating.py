"""Creating a record once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from portico.connectors.failures import (
    BrokenError,
    ConnectorError,
    DuplicateError,
    OutOfTimeError,
    RefusedError,
)
from portico.crossref.records import Claim, ClaimLostError, Key, Link
from portico.crossref.store import CrossReferences

T = TypeVar("T")

# An attempt ends with the deadline of its call; what it sent may arrive a little later.
LEASE_MARGIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """A record that a system holds. `created` tells whether this call made it."""

    external_id: str
    record: T
    version: str = ""
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation(Generic[T]):
    """How one record is created in one system.

    `look_up` searches the system for the external key. `create` is given the operation id, to be
    sent as the idempotency key of a `keyed` system, which answers a repetition with the record it
    made. In any other system attempts exclude one another.
    """

    key: Key
    external_key: str
    look_up: Callable[[], Awaitable[Found[T] | None]]
    create: Callable[[str], Awaitable[Found[T]]]
    keyed: bool


async def create_once(
    references: CrossReferences, creation: Creation[T], seconds: float
) -> Found[T] | Link:
    """Return the record that was created or found, or the link if there was one already.

    `seconds` is how long this attempt can last at most. Raises ConnectorError.
    """
    lease_seconds = 0.0 if creation.keyed else seconds + LEASE_MARGIN_SECONDS
    claim = await references.claim(creation.key, creation.external_key, lease_seconds)
    if isinstance(claim, Link):
        return claim
    try:
        # Always: an earlier attempt may have got that far, or the record be older than the claim.
        found = await creation.look_up()
        if found is None:
            found = await creation.create(claim.operation_id)
    except ConnectorError as error:
        await _after_failure(references, claim, error)
        raise
    try:
        await references.link(claim, found.external_id, version=found.version)
    except ClaimLostError:
        # A keyed system gave the attempt that took over the same record, which it links.
        if not creation.keyed:
            raise
    return found


async def _after_failure(references: CrossReferences, claim: Claim, error: ConnectorError) -> None:
    """Let the next attempt begin at once, unless this one may still take effect."""
    # Where another attempt took over, the claim is its own to settle.
    with suppress(ClaimLostError):
        if isinstance(error, RefusedError | DuplicateError):
            # The next one may be corrected, and is another operation to the system.
            await references.release(claim)
        elif not (error.in_doubt or isinstance(error, OutOfTimeError | BrokenError)):
            await references.give_up(claim)
