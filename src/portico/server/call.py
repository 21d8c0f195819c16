"""What a handler sees: the call it answers and the reply it may give."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from portico.client.tiers import TierClient
    from portico.deadline import Deadline
    from portico.trace import Trace

R = TypeVar("R")
KEY_LENGTH = 40  # hexadecimal digits, 160 bits; systems of record have short reference fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is calling: `subject` is whom the call is for, `client_id` who makes it.

    `actors` are those through whom the call came before `client_id`, the latest first.
    """

    subject: str
    client_id: str
    scopes: frozenset[str] = frozenset()
    actors: tuple[str, ...] = ()


ANONYMOUS = Caller(subject="", client_id="")


@dataclass(slots=True, kw_only=True)
class Reply:
    """An answer other than the plain body of the only success status.

    `body` is JSON data, bytes for another media type, or an iterator of bytes to stream. A
    Location without a leading slash is relative to the base path of the API.
    """

    status: int = 200
    body: object = None
    headers: Sequence[tuple[str, str]] = ()
    media_type: str = ""


@dataclass(slots=True, kw_only=True)
class Call(Generic[R]):
    """One call of one operation, passed to its handler first.

    `resources` is what the API's `app.resources` opened: connectors, pools, caches.
    `idempotency_key` is the caller's key, or empty; every inner call derives its own from it.
    `media_type` is the one that the caller prefers where the operation produces several.
    """

    operation_id: str
    caller: Caller
    deadline: Deadline
    trace: Trace
    request_id: str
    tiers: TierClient
    resources: R
    idempotency_key: str = ""
    media_type: str = ""
    _made: dict[str, int] | None = None  # how many keys each callee got; few calls need any

    async def invoke(
        self,
        api: str,
        operation_id: str,
        arguments: Mapping[str, object] | None = None,
        *,
        body: object = None,
        step: str = "",
    ) -> Reply:
        """Call an operation of another tier, one that the contract lists in `x-calls`.

        `arguments` are the callee's parameters by their names in the contract. `step` tells
        apart several writes of one operation within this call; without it they are counted.
        Raises Problem for every answer of 400 and above. The reply has the headers that the
        callee's contract declares, with lower-case names, and its body is JSON data or bytes.
        What is given and what is returned belongs to the receiver from then on.
        """
        return await self.tiers.invoke(
            self, api, operation_id, arguments or {}, body=body, step=step
        )

    def derive_key(self, api: str, operation_id: str, step: str = "") -> str:
        """Return the key that an inner write is made idempotent by, or empty without an own key.

        The same key, callee and step always give the same result, so a repeated request repeats
        the keys of all its inner calls.
        """
        if not self.idempotency_key:
            return ""
        if not step:
            made = self._made = self._made or {}
            target = f"{api} {operation_id}"
            ordinal = made.get(target, 0)
            made[target] = ordinal + 1
            step = str(ordinal)
        return combine(self.idempotency_key, api, operation_id, step)


def combine(*parts: str) -> str:
    """Return one key for several parts; each is preceded by its length, so none can run on."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return digest.hexdigest()[:KEY_LENGTH]
