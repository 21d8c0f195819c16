"""The issuers whose tokens are accepted: their policies, and where their keys are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.identity.verification_keys import NO_KEYS, VerificationKey

if TYPE_CHECKING:
    from gateway.identity.issuers.introspection import Introspector
    from gateway.identity.keys import KeyRing, KeySnapshot
    from gateway.identity.token_policy import TokenPolicy


class KeySource(Protocol):
    """Knows the keys of one issuer."""

    async def find(self, key_id: object) -> VerificationKey | None:
        """Return the key of an id. Raises IssuerUnavailableError."""
        ...

    def fitting(self, algorithm: str) -> VerificationKey | None:
        """Return any key that may be used with an algorithm, for a check that must fail."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """An issuer, by its policy. `introspector` reads its opaque tokens, if it has such."""

    policy: TokenPolicy
    keys: KeySource
    introspector: Introspector | None = None


class RingKeys:
    """The keys of the built-in issuer, as they are in its ring."""

    __slots__ = ("_keys", "_ring", "_snapshot")

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._snapshot: KeySnapshot | None = None
        self._keys = NO_KEYS

    def renew(self) -> bool:
        """Take over the keys of the ring and return whether they are others than before."""
        snapshot = self._ring.snapshot
        if snapshot is self._snapshot:
            return False
        self._keys = snapshot.key_set
        self._snapshot = snapshot
        return True

    async def find(self, key_id: object) -> VerificationKey | None:
        self.renew()
        return self._keys.find(key_id)

    def fitting(self, algorithm: str) -> VerificationKey | None:
        self.renew()
        return self._keys.fitting(algorithm)
