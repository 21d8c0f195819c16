"""What one operation asks of its callers, compiled once: alternatives, layers, fresh sign-in."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.identity.challenge import BEARER, DPOP, Challenge
from gateway.identity.claims import TokenCaller
from portico.contract import ContractError, Finding
from portico.problems import CALLER_NOT_ALLOWED, Problem
from portico.server.call import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portico.client.layers import Callers
    from portico.contract import Contract, Operation, Requirement
    from portico.contract.security import Alternative

STEP_UP = "x-step-up"
Place = tuple[str, str]
# Schemes of challenges to callers who need no token; there is no registered one for either.
_KEY_SCHEME = "ApiKey"
_CERTIFICATE_SCHEME = "ClientCertificate"
# What can stand in a list in a quoted string of a challenge.
_ACR_VALUE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
_STEP_UP_MEMBERS = frozenset({"acrValues", "maxAgeSeconds"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCaller(Caller):
    """A caller proven by an API key, with the plan of its limits."""

    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """How a user must have signed in (RFC 9470): how, if it matters, and how long ago at most."""

    acr_values: tuple[str, ...] = ()
    max_age_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request has proven: each part is good, whether or not it is enough.

    `keys` are the callers by the places of their API keys.
    """

    token: TokenCaller | None = None
    scheme: str = BEARER
    keys: Mapping[Place, KeyCaller]
    certificate: Caller | None = None

    def caller(self) -> Caller | None:
        """Return who is calling, by the part that says most."""
        return self.token or next(iter(self.keys.values()), None) or self.certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Decides about the callers of one operation.

    `audiences` are those that name this API. `callers` are the tiers that may call it, and
    `outside` tells whether others may. `plain` says that a token alone decides, `open` that nobody
    needs any credentials.
    """

    api: str
    requirement: Requirement
    audiences: frozenset[str]
    challenge: Challenge
    callers: Callers | None
    outside: bool
    step_up: StepUp | None
    plain: bool
    open: bool
    keys: tuple[Place, ...]
    certificate: bool

    def admit_token(self, caller: TokenCaller, scheme: str = BEARER) -> None:
        """Raise 401 for a token for elsewhere, 403 for one of a caller who may not call."""
        if self.audiences.isdisjoint(caller.audiences):
            raise self.challenge.invalid_token("the token is for another audience", scheme)
        if is_tier(caller, self.api):
            if self.callers is not None:
                self.callers.check(caller.client_id)
        elif not self.outside:
            raise self._outsider()

    def admit_scopes(self, caller: TokenCaller) -> None:
        """Raise 403 for a token that lacks a scope, 401 for a sign-in that is not enough."""
        if not self.requirement.allows(caller.scopes):
            raise self.challenge.insufficient_scope(self.requirement.scopes())
        self.check_sign_in(caller)

    def admit(self, credentials: Credentials) -> Caller | None:
        """Return the caller of a request by the first alternative that lets it in.

        Raises Problem: 401 where none is covered, 403 where one is, but for its scopes.
        """
        caller = credentials.caller()
        if not self.outside and credentials.token is None:
            # Whatever else the contract lets in, it is not of the tier above.
            raise self.challenge.missing() if caller is None else self._outsider()
        covered = [one for one in self.requirement.alternatives if _covers(credentials, one)]
        if not self.requirement.anonymous and not any(_holds(credentials, one) for one in covered):
            if not covered:
                raise self.challenge.missing()
            raise self.challenge.insufficient_scope(_scopes(covered[0]), credentials.scheme)
        if credentials.token is not None:
            self.check_sign_in(credentials.token)
        return caller

    def check_sign_in(self, caller: TokenCaller) -> None:
        """Raise 401 for a user who signed in too long ago or in another way than is asked for.

        A tier is not asked: the API that the user called has decided.
        """
        wanted = self.step_up
        if wanted is None or is_tier(caller, self.api):
            return
        too_weak = bool(wanted.acr_values) and caller.acr not in wanted.acr_values
        oldest = None if wanted.max_age_seconds is None else time.time() - wanted.max_age_seconds
        too_old = oldest is not None and caller.authenticated_at < oldest
        if too_weak or too_old:
            raise self.challenge.step_up(
                "the user has to sign in again for this operation",
                wanted.acr_values,
                wanted.max_age_seconds,
            )

    def _outsider(self) -> Problem:
        return Problem(CALLER_NOT_ALLOWED, f"{self.api} takes calls of the tier above only")


def is_tier(caller: Caller, api: str) -> bool:
    """Tell whether another API is calling: only tokens from tier to tier are for an API by name.

    No client has an id with a slash.
    """
    return "/" in caller.client_id and isinstance(caller, TokenCaller) and api in caller.audiences


def build_guard(
    contract: Contract,
    operation: Operation,
    *,
    audiences: frozenset[str],
    metadata_url: str,
    callers: Callers | None,
    outside: bool,
    dpop_required: bool,
) -> Guard:
    """Return the guard of an operation. Raises ContractError for an `x-step-up` that is none."""
    requirement = operation.security
    keys = tuple(dict.fromkeys(need.place for one in requirement.alternatives for need in one.keys))
    certificate = any(one.certificate for one in requirement.alternatives)
    return Guard(
        api=contract.name,
        requirement=requirement,
        audiences=audiences,
        challenge=Challenge(
            "portico",
            resource_metadata=metadata_url,
            accepts=_schemes(requirement, dpop_required=dpop_required),
        ),
        callers=callers,
        outside=outside,
        step_up=_step_up(contract, operation),
        plain=not keys and not certificate,
        open=requirement.anonymous and outside and not keys and not certificate,
        keys=keys,
        certificate=certificate,
    )


def _covers(credentials: Credentials, alternative: Alternative) -> bool:
    """Tell whether everything an alternative asks for was presented."""
    return (
        (credentials.token is not None or not alternative.token)
        and all(need.place in credentials.keys for need in alternative.keys)
        and (credentials.certificate is not None or not alternative.certificate)
    )


def _holds(credentials: Credentials, alternative: Alternative) -> bool:
    """Tell whether what was presented has the scopes of an alternative that it covers."""
    token = credentials.token
    return (token is None or alternative.scopes <= token.scopes) and all(
        need.scopes <= credentials.keys[need.place].scopes for need in alternative.keys
    )


def _scopes(alternative: Alternative) -> frozenset[str]:
    return alternative.scopes.union(*(need.scopes for need in alternative.keys))


def _schemes(requirement: Requirement, *, dpop_required: bool) -> tuple[str, ...]:
    """Return the schemes that a request without credentials is asked for, without repetition."""
    token = DPOP if dpop_required else BEARER
    found = [
        scheme
        for one in requirement.alternatives
        for scheme, asked in (
            (token, one.token),
            (_KEY_SCHEME, bool(one.keys)),
            (_CERTIFICATE_SCHEME, one.certificate),
        )
        if asked
    ]
    return tuple(dict.fromkeys(found)) or (token,)


def _step_up(contract: Contract, operation: Operation) -> StepUp | None:
    node = contract.document["paths"][operation.template].get(operation.method.lower(), {})
    described = node.get(STEP_UP)
    if described is None:
        return None
    if isinstance(described, dict) and described and described.keys() <= _STEP_UP_MEMBERS:
        acr_values, max_age = described.get("acrValues", []), described.get("maxAgeSeconds")
        if _are_texts(acr_values) and (max_age is None or (type(max_age) is int and max_age >= 0)):
            return StepUp(acr_values=tuple(acr_values), max_age_seconds=max_age)
    finding = Finding(
        position=contract.position(*operation.pointer, STEP_UP),
        rule="malformed-step-up",
        message=f"{operation.operation_id} has an {STEP_UP} that cannot be read",
        hint="write acrValues: a list of texts, maxAgeSeconds: a whole number, or both",
    )
    raise ContractError([finding])


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) and _ACR_VALUE.match(item) for item in value
    )
