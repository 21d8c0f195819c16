"""What becomes of a record, by how its operation ended."""

from __future__ import annotations

from portico.idempotency.claim import Claim
from portico.idempotency.policy import Disposition, Sending
from portico.idempotency.problems import (
    IN_DOUBT,
    IN_FLIGHT,
    KEY_QUOTA,
    NOT_REPLAYABLE,
    RECORD_UNREADABLE,
    STORE_UNAVAILABLE,
)
from portico.problems import (
    CONFLICT,
    RECORD_CHANGED,
    SYSTEM_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    UNAVAILABLE,
    Problem,
)

# These say that the request was turned away before anything was done.
_TURNED_AWAY = frozenset(
    kind.slug
    for kind in (UNAVAILABLE, SYSTEM_UNAVAILABLE, STORE_UNAVAILABLE, TOO_MANY_REQUESTS, KEY_QUOTA)
)
_TURNED_AWAY_STATUSES = frozenset({408, 425, 429})
# Records that somebody else holds or changes at the moment, where they say when to come again.
_CONFLICTS = frozenset({CONFLICT.slug, RECORD_CHANGED.slug})
# A callee knows the request but has no result for it: neither has this operation, then.
_UNDECIDED_BELOW = frozenset(
    kind.slug for kind in (IN_FLIGHT, IN_DOUBT, NOT_REPLAYABLE, RECORD_UNREADABLE)
)
# The request was sent on, and what became of it is not known.
_NO_ANSWER_STATUSES = frozenset({502, 504})


def judge_problem(problem: Problem, claim: Claim) -> Disposition:
    """Return what becomes of the record of an operation that raised a problem."""
    slug = problem.kind.slug
    turned_away = (
        slug in _TURNED_AWAY
        or problem.status in _TURNED_AWAY_STATUSES
        or (slug in _CONFLICTS and problem.says_when)
    )
    unknown = slug in _UNDECIDED_BELOW or problem.status in _NO_ANSWER_STATUSES
    return _judge(problem.status, claim, turned_away=turned_away, unknown=unknown)


def judge_status(status: int, claim: Claim) -> Disposition:
    """Return what becomes of the record of an operation that answered with a status."""
    return _judge(
        status,
        claim,
        turned_away=status in _TURNED_AWAY_STATUSES,
        unknown=status in _NO_ANSWER_STATUSES,
    )


def judge_exception(claim: Claim) -> Disposition:
    """Return what becomes of the record of an operation that failed unexpectedly."""
    return claim.policy.on_exception if claim.begun else Disposition.RELEASE


def _judge(status: int, claim: Claim, *, turned_away: bool, unknown: bool) -> Disposition:
    """Decide by whether anything may have been done.

    1. It is known that the operation had not begun to act: a failure frees the key.
    2. Nobody marks the beginning: being turned away frees the key.
    3. It was turned away half way: free only if running again does no harm.
    4. It was sent on without an answer: in doubt.
    """
    policy = claim.policy
    failed = turned_away or unknown or status >= 500
    if failed and not claim.begun:
        return Disposition.RELEASE
    if turned_away and policy.sending is Sending.ASSUMED:
        return Disposition.RELEASE
    if turned_away:
        return Disposition.RELEASE if policy.reexecutable else Disposition.IN_DOUBT
    if unknown:
        return Disposition.IN_DOUBT
    return policy.on_error if status >= 500 else Disposition.STORE
