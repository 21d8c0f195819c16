"""Calls between tiers under their keys: the same records as at the edge, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import orjson

from portico.contract.media import is_json
from portico.idempotency.attempt import Attempt, Standing
from portico.idempotency.claim import Claim
from portico.idempotency.fingerprint import document_fingerprint
from portico.idempotency.policy import Policy
from portico.idempotency.replay import Answer
from portico.idempotency.runner import Reconcile, run
from portico.idempotency.scope import Scope
from portico.idempotency.store import IdempotencyStore
from portico.problems import MEDIA_TYPE, Problem
from portico.server.call import Call, Reply

# Runs the handler; it hands `claim.upstream_key` to it and derives the keys of inner calls from it.
Invoke = Callable[[Claim], Awaitable[Reply]]


async def invoke_once(
    store: IdempotencyStore,
    policy: Policy,
    operation: str,
    call: Call[Any],
    document: Mapping[str, Any],
    invoke: Invoke,
    *,
    wait_seconds: float = 0.0,
    reconcile: Reconcile | None = None,
    standing: Claim | Standing | None = None,
) -> Reply:
    """Return the reply of an operation of a tier that runs at most once for its caller's key.

    `call.idempotency_key` is the key that was sent. A reply of 400 and above is one that the
    operation came to, stored like any other. Raises Problem for all other failures.
    """
    attempt = Attempt(
        scope=Scope(client_id=call.caller.client_id, subject=call.caller.subject),
        key=call.idempotency_key,
        fingerprint=document_fingerprint(operation, document),
        operation=operation,
        request_id=call.request_id,
        wait_seconds=min(wait_seconds, max(0.0, call.deadline.remaining())),
    )

    async def execute(claim: Claim) -> Answer:
        return to_answer(await invoke(claim))

    def render(problem: Problem) -> Answer:
        body = problem.body(type_base=store.options.type_base, request_id=call.request_id)
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers]
        return Answer(problem.status, [(b"content-type", MEDIA_TYPE.encode()), *headers], body)

    answer = await run(
        store, attempt, policy, execute, render=render, reconcile=reconcile, standing=standing
    )
    return to_reply(answer)


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
