"""The rows of the cross-reference, and what a claim can lead to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from portico.connectors.failures import ConflictError, LockedError

State = Literal["pending", "linked", "conflict", "tombstone"]
# Hexadecimal digits of an operation id: QuickBooks takes 50 characters for a request id.
OPERATION_ID_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A canonical record in one instance of one system.

    The instance is part of it: sandboxes and companies of one system use the same ids for
    different records.
    """

    entity: str
    canonical_id: str
    system: str
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What is known of a record in a system."""

    key: Key
    external_id: str
    external_key: str
    state: State
    version: str
    written_hash: str

    def is_echo(self, *, version: str, read_hash: str) -> bool:
        """Tell whether a change that came in is what we wrote ourselves.

        `read_hash` is that of the canonical projection, as `written_hash` was of the one written.
        """
        return version in {self.version} - {""} or read_hash in {self.written_hash} - {""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to create a record, for a time.

    `operation_id` is the same for every attempt at one record; send it as the system's idempotency
    key. `resumed` tells that an earlier attempt may have created the record already: look it up.
    """

    key: Key
    external_key: str
    operation_id: str
    owner: str
    resumed: bool


class ClaimedError(LockedError):
    """Another attempt at the same record is under way."""


class ClaimLostError(LockedError):
    """The claim was taken over meanwhile, because its time was up."""


class DeletedError(ConflictError):
    """The record was deleted; an old message must not bring it back."""


class TakenError(ConflictError):
    """The external record or key belongs to another canonical record."""


def operation_id(key: Key, generation: int) -> str:
    """Return the id of creating a record, the same whoever asks; a refusal begins a new one."""
    digest = hashlib.sha256()
    for part in (key.entity, key.canonical_id, key.system, key.instance, str(generation)):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return digest.hexdigest()[:OPERATION_ID_LENGTH]
