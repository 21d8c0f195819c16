"""Calls between tiers under their keys: the same records as at the edge, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import orjson

from portico.contract.media import is_json
from portico.idempotency.attempt import Attempt, Standing
from portico.idempotency.claim import Claim
from portico.idempotency.fingerprint import document_fingerprint
from portico.idempotency.policy import Policy
from portico.idempotency.replay import Answer
from portico.idempotency.runner import run
from portico.idempotency.scope import Scope
from portico.idempotency.store import IdempotencyStore
from portico.problems import MEDIA_TYPE, Problem
from portico.server.call import Call, Reply

# How long a call of one tier by another waits for an earlier one under the same key.
TIER_WAIT_SECONDS = 5.0
# Runs the handler; it hands `claim.upstream_key` to it and derives the keys of inner calls from it.
Invoke = Callable[[Claim], Awaitable[Reply]]
# Returns the answer that a call led to, None when it had no effect; raises where nobody knows.
ReconcileCall = Callable[[Call[Any], Claim], Awaitable[Answer | None]]


class KeyedOperation:
    """An operation of a tier that runs at most once for its caller's key; made at start-up.

    `name` is `process/orders.v1/createOrder`, `key_name` its parameter for the key. A call that
    meets a running one waits for it up to `wait_seconds`, as a caller that was restarted does.
    `reconcile` finds out what an interrupted call led to. See `run` for `detached`.
    """

    __slots__ = ("detached", "key_name", "name", "policy", "reconcile", "store", "wait_seconds")

    def __init__(
        self,
        store: IdempotencyStore,
        policy: Policy,
        name: str,
        key_name: str,
        *,
        wait_seconds: float = TIER_WAIT_SECONDS,
        reconcile: ReconcileCall | None = None,
        detached: bool = True,
    ) -> None:
        self.detached = detached
        self.store = store
        self.policy = policy
        self.name = name
        self.key_name = key_name
        self.wait_seconds = wait_seconds
        self.reconcile = reconcile

    async def invoke(
        self,
        call: Call[Any],
        document: Mapping[str, Any],
        invoke: Invoke,
        *,
        standing: Claim | Standing | None = None,
    ) -> Reply:
        """Return the reply to a call; `call.idempotency_key` is the key that was sent.

        A reply of 400 and above is what the operation came to, stored like any other. Raises
        Problem for all other failures.
        """
        type_base = self.store.options.type_base

        async def execute(claim: Claim) -> Answer:
            return to_answer(await invoke(claim))

        def render(problem: Problem) -> Answer:
            body = problem.body(type_base=type_base, request_id=call.request_id)
            headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers]
            headers.append((b"content-type", MEDIA_TYPE.encode()))
            return Answer(problem.status, headers, body)

        answer = await run(
            self.store,
            self._attempt(call, document),
            self.policy,
            execute,
            render=render,
            reconcile=None if self.reconcile is None else partial(self.reconcile, call),
            standing=standing,
            detached=self.detached,
        )
        return to_reply(answer)

    def _attempt(self, call: Call[Any], document: Mapping[str, Any]) -> Attempt:
        return Attempt(
            scope=Scope(client_id=call.caller.client_id, subject=call.caller.subject),
            key=call.idempotency_key,
            fingerprint=document_fingerprint(self.name, document),
            operation=self.name,
            request_id=call.request_id,
            wait_seconds=min(self.wait_seconds, max(0.0, call.deadline.remaining())),
        )

    def __repr__(self) -> str:
        return f"<KeyedOperation {self.name}>"


def to_answer(reply: Reply) -> Answer:
    """Return a reply of a handler as it is stored."""
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers
    ]
    if reply.media_type:
        headers.append((b"content-type", reply.media_type.encode("latin-1")))
    body = reply.body
    if body is None:
        return Answer(reply.status, headers)
    if isinstance(body, bytes | AsyncIterator):
        return Answer(reply.status, headers, body)
    return Answer(reply.status, headers, orjson.dumps(body))


def to_reply(answer: Answer) -> Reply:
    """Return what is stored as the reply of a handler."""
    media_type = (answer.header(b"content-type") or b"").decode("latin-1")
    body: object = answer.body
    if body == b"":
        body = None
    elif isinstance(body, bytes) and is_json(media_type):
        body = orjson.loads(body)
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in answer.headers
        if name != b"content-type"
    ]
    return Reply(status=answer.status, body=body, headers=headers, media_type=media_type)
