"""When signing keys are made, begin to sign and go: decided here, done by the key ring.

A key says in its JWK from when on it signs (`nbf`) and until when it is published (`exp`), in
seconds of the epoch. A new one is published before it signs, for longer than any verifier keeps a
key set; the old one stays until its last token has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Member = Mapping[str, Any]

# Verifiers keep a key set for up to an hour, and look again before they give a new key up.
PUBLISH_SECONDS = 2 * 3600
# Tokens live an hour at most; clocks differ by a minute.
RETIRE_SECONDS = 3600 + 120


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationSchedule:
    """How long a key signs; 0 is for ever."""

    period_seconds: int = 0
    publish_seconds: int = PUBLISH_SECONDS
    retire_seconds: int = RETIRE_SECONDS


def signs_from(member: Member) -> int:
    """Return from when on a key signs; one that does not say always could."""
    value = member.get("nbf", 0)
    return value if isinstance(value, int) else 0


def signing(members: Sequence[Member], now: float) -> int:
    """Return the index of the key that signs now: the last one to begin, the first of equals."""
    begun = [index for index, member in enumerate(members) if signs_from(member) <= now]
    if not begun:
        return min(range(len(members)), key=lambda index: signs_from(members[index]))
    return max(begun, key=lambda index: (signs_from(members[index]), -index))


def advanced(
    members: Sequence[Member],
    now: float,
    schedule: RotationSchedule,
    algorithm: str,
    make: Callable[[int], Member],
) -> list[Member] | None:
    """Return the keys as they should be now, None where nothing is to be done."""
    kept = _published(members, now)
    newest = max(kept, key=signs_from)
    begins = signs_from(newest) + schedule.period_seconds
    is_other = newest.get("alg", "ES256") != algorithm
    is_old = schedule.period_seconds > 0 and begins - schedule.publish_seconds <= now
    if signs_from(newest) <= now and (is_old or is_other):
        due = 0 if is_other else begins
        at = max(int(now) + schedule.publish_seconds, due)
        return _succeeded(kept, make(at), at + schedule.retire_seconds)
    return kept if len(kept) < len(members) else None


def rotated(
    members: Sequence[Member],
    now: float,
    schedule: RotationSchedule,
    make: Callable[[int], Member],
    *,
    at_once: bool,
) -> list[Member]:
    """Return the keys with a new one that an operator asks for.

    `at_once` is for a key that was stolen: the new one signs now, and no other counts any more.
    """
    if at_once:
        return [make(int(now))]
    at = int(now) + schedule.publish_seconds
    # One that waits to sign is not needed any more, and nothing is signed with it yet.
    signed = [member for member in _published(members, now) if signs_from(member) <= now]
    return _succeeded(signed or list(members), make(at), at + schedule.retire_seconds)


def _published(members: Sequence[Member], now: float) -> list[Member]:
    current = signing(members, now)
    return [
        member
        for index, member in enumerate(members)
        if index == current or not isinstance(member.get("exp"), int) or member["exp"] > now
    ]


def _succeeded(members: Sequence[Member], new: Member, ends: int) -> list[Member]:
    old = [member if "exp" in member else {**member, "exp": ends} for member in members]
    return [*old, new]
