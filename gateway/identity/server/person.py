"""Who is signed in, as sessions keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.identity.server.authorization import SignedIn
from gateway.identity.server.users import UserRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is signed in, and the scopes that clients may get for them (None: no limit)."""

    signed_in: SignedIn
    scopes: frozenset[str] | None = None

    @classmethod
    def of_user(cls, record: UserRecord, authenticated_at: int) -> Person:
        """Return a person of the configuration."""
        signed_in = SignedIn(
            subject=record.subject,
            name=record.name,
            authenticated_at=authenticated_at,
            user=record.username,
            stamp=record.stamp,
        )
        return cls(signed_in=signed_in, scopes=record.scopes)

    @classmethod
    def kept(cls, members: Mapping[str, Any]) -> Person | None:
        """Return the person of a session, None for one of a version that knew other members."""
        others = {name: value for name, value in members.items() if name != "scopes"}
        try:
            scopes, signed_in = members["scopes"], SignedIn(**others)
        except (KeyError, TypeError):
            return None
        return cls(signed_in=signed_in, scopes=None if scopes is None else frozenset(scopes))

    def members(self) -> Mapping[str, Any]:
        """Return what a session keeps."""
        who = self.signed_in
        return {
            "subject": who.subject,
            "name": who.name,
            "authenticated_at": who.authenticated_at,
            "user": who.user,
            "stamp": who.stamp,
            "scopes": None if self.scopes is None else sorted(self.scopes),
        }

    def limited(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """Return those scopes that this person can give."""
        if self.scopes is None:
            return scopes
        return tuple(scope for scope in scopes if scope in self.scopes)
