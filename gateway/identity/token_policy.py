"""What the tokens of one issuer have to be, and what their claims mean here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# More would hide a clock that is wrong instead of tolerating one that drifts.
MAX_LEEWAY_SECONDS = 60
# Hosts that follow network time differ by less.
LEEWAY_SECONDS = 5.0

# What the keys of the built-in issuer may sign with.
_BUILT_IN_ALGORITHMS = frozenset({"ES256", "RS256", "EdDSA", "Ed25519"})

ClaimPath = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """How tokens of an issuer are read.

    `audience` is what they have to be for, and `stands_for` the audience that means here; tokens
    of the built-in issuer have audiences of ours as they are. `profile` says that they are RFC
    9068 access tokens; others need not say so in their header, and may lack the id of the token
    and call the client by another name. `prefix` goes before subject and client, so that no two
    issuers name the same caller.
    """

    issuer: str
    algorithms: frozenset[str]
    audience: str = ""
    stands_for: str = ""
    leeway_seconds: float = LEEWAY_SECONDS
    profile: bool = True
    scope_claims: tuple[ClaimPath, ...] = (("scope",),)
    scope_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefix: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ValueError(
                f"leeway of {self.leeway_seconds} s, expected 0 to {MAX_LEEWAY_SECONDS}"
            )


def built_in_policy(issuer: str, leeway_seconds: float = LEEWAY_SECONDS) -> TokenPolicy:
    """Return the policy for tokens of the built-in issuer, whatever its key ring signs with."""
    return TokenPolicy(
        issuer=issuer, algorithms=_BUILT_IN_ALGORITHMS, leeway_seconds=leeway_seconds
    )


def claim_path(text: str) -> ClaimPath:
    """Return where a claim is: its name, or a JSON Pointer (RFC 6901) into an object.

    >>> claim_path("/realm_access/roles")
    ('realm_access', 'roles')
    """
    if not text.startswith("/"):
        return (text,)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))
