"""What tokens say and how long they live: the policy that all grants share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.identity.server.errors import InvalidTargetError
from gateway.identity.tokens import SERVICE_LIFETIME_SECONDS, AccessToken, TokenIssuer

if TYPE_CHECKING:
    from gateway.identity.clients import ClientRecord

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name


class Issuance:
    """Decides on audience and life of access tokens, and words the answers that carry them.

    `resources` are the addresses that may be asked for (RFC 8707): the gateway's own and one for
    each API. `names` are the APIs that a client may be allowed to exchange tokens for.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        *,
        resources: Collection[str],
        names: Collection[str],
        lifetime_seconds: int = SERVICE_LIFETIME_SECONDS,
    ) -> None:
        self.issuer = issuer
        self._resources = frozenset(resources)
        self._names = frozenset(names)
        self._lifetime_seconds = lifetime_seconds

    def audiences(self, resources: Sequence[str]) -> tuple[str, ...]:
        """Return what a token is for: the resources asked for, or the gateway as a whole.

        Raises InvalidTargetError for one that is not ours: compared as text, because two spellings
        of one address are two audiences (RFC 8707 section 2).
        """
        known = self._resources | {self.issuer.audience}
        if not known.issuperset(resources):
            raise InvalidTargetError("a resource is not an address that tokens are issued for")
        return tuple(dict.fromkeys(resources)) or (self.issuer.audience,)

    def exchange_audiences(
        self, client: ClientRecord, resources: Sequence[str], audiences: Sequence[str]
    ) -> tuple[str, ...]:
        """Return what an exchanged token is for. Names need a permission of the client."""
        for audience in audiences:
            allowed = audience in client.audiences and audience in self._names
            if audience != self.issuer.audience and not allowed:
                raise InvalidTargetError("the client may not get tokens for an audience")
        addresses = self.audiences(resources) if resources else ()
        return (*addresses, *dict.fromkeys(audiences)) or (self.issuer.audience,)

    def is_at_the_edge(self, audience: str) -> bool:
        """Tell whether an audience is the gateway or a resource, and no API by its name."""
        return audience not in self._names

    def lifetime_seconds(self, audiences: Sequence[str]) -> int:
        """Return how long a token for the audiences lives."""
        longest = [self.issuer.longest_seconds(audience) for audience in audiences]
        return min([self._lifetime_seconds, *longest])

    def answer(self, token: AccessToken) -> dict[str, object]:
        """Return the members of a token response (RFC 6749 section 5.1)."""
        answer: dict[str, object] = {
            "access_token": self.issuer.issue(token),
            "token_type": _scheme(token.confirmation),
            "expires_in": token.lifetime_seconds,
        }
        if token.scopes:
            answer["scope"] = " ".join(sorted(token.scopes))
        return answer


def _scheme(confirmation: Mapping[str, object] | None) -> str:
    """Return the scheme by which a token is presented (RFC 9449 section 5)."""
    return "DPoP" if confirmation is not None and "jkt" in confirmation else "Bearer"
