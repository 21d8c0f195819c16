"""What tests of the store share: requests, operations that count, and stores beside each other."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from portico.idempotency.attempt import Attempt, Standing
from portico.idempotency.fingerprint import BodyMode, Fingerprinter
from portico.idempotency.operators import Operators
from portico.idempotency.policy import Policy
from portico.idempotency.replay import Answer
from portico.idempotency.runner import run
from portico.idempotency.scope import Locator, Scope
from portico.idempotency.store import IdempotencyStore, StoreOptions
from portico.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portico.idempotency.claim import Claim
    from portico.idempotency.runner import Reconcile
    from portico.redis.client import RedisClient

SHOP = Scope(client_id="shop", subject="shop")
OPERATION = "process/orders.v1/createOrder"
# Of leases that run out in a test, and of those that must not, however busy the machine is.
SHORT_SECONDS = 0.05
STEADY = Policy(lease_seconds=10, retention_seconds=60)
CREATED = [
    (b"content-type", b"application/json"),
    (b"location", b"/process/orders/v1/orders/17"),
]


def fingerprint(mode: BodyMode = BodyMode.RAW, **changes: Any) -> bytes:
    """Return the fingerprint of a request that creates an order, with changes."""
    given: dict[str, Any] = {
        "method": "POST",
        "operation": OPERATION,
        "template": "/process/orders/v1/orders",
        "raw_path": b"/process/orders/v1/orders",
        "content_type": "application/json",
        "body": b'{"sku":"chair","quantity":2}',
        **changes,
    }
    always = {name: given.pop(name) for name in ("method", "operation", "template")}
    return Fingerprinter(**always, mode=mode).take(given.pop("raw_path"), **given)


def attempt(key: str = "first", **changes: Any) -> Attempt:
    """Return an attempt of the shop to create an order."""
    given: dict[str, Any] = {
        "scope": SHOP,
        "key": key,
        "fingerprint": fingerprint(),
        "operation": OPERATION,
        "request_id": "0b6f1c3a5d7e4f2a",
    }
    return Attempt(**{**given, **changes})


def render(problem: Problem) -> Answer:
    body = problem.body(type_base="/portal/problems/", request_id="0b6f1c3a5d7e4f2a")
    return Answer(problem.status, [(b"content-type", MEDIA_TYPE.encode())], body)


@dataclass(slots=True)
class Operation:
    """An operation that counts its runs. `gate` holds it, `failure` is what it raises."""

    answer: Answer = field(default_factory=lambda: Answer(201, list(CREATED), b'{"id":"17"}'))
    failure: BaseException | None = None
    gate: asyncio.Event | None = None
    marks: bool = False
    runs: int = 0
    claim: Claim | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, claim: Claim) -> Answer:
        self.claim = claim
        if self.marks:
            await claim.dispatched()
        self.runs += 1
        self.started.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        answer = self.answer
        return Answer(answer.status, list(answer.headers), answer.body, answer.aclose)


class Setting:
    """Stores of several processes, as they would be, on one server."""

    def __init__(self, client: RedisClient, options: StoreOptions | None = None) -> None:
        self.client = client
        self.locator = Locator(os.urandom(32))
        self.options = options
        self._stores: list[IdempotencyStore] = []
        self.store = self.another()
        self.operators = Operators(client, self.locator)

    def another(
        self, client: RedisClient | None = None, options: StoreOptions | None = None
    ) -> IdempotencyStore:
        """Return the store of another process with the same secret."""
        store = IdempotencyStore(client or self.client, self.locator, options or self.options)
        self._stores.append(store)
        return store

    async def run(
        self,
        operation: Operation,
        wanted: Attempt | None = None,
        policy: Policy = STEADY,
        *,
        store: IdempotencyStore | None = None,
        reconcile: Reconcile | None = None,
        detached: bool = True,
    ) -> Answer:
        return await run(
            store or self.store,
            wanted or attempt(),
            policy,
            operation,
            render=render,
            reconcile=reconcile,
            detached=detached,
        )

    async def refused(self, operation: Operation, *given: Any, **named: Any) -> Problem:
        """Return the problem of an attempt that must be refused."""
        try:
            answer = await self.run(operation, *given, **named)
        except Problem as problem:
            return problem
        raise AssertionError(f"answered {answer.status}")

    async def claimed(self, wanted: Attempt | None = None, policy: Policy = STEADY) -> Claim:
        found = await self.store.claim(wanted or attempt(), policy)
        assert not isinstance(found, Standing), found.verdict
        return found

    async def state(self, wanted: Attempt | None = None) -> str:
        """Return the state of a record as it is stored, empty where there is none."""
        raw = await self.raw(wanted)
        return raw[2:3].decode()

    async def raw(self, wanted: Attempt | None = None) -> bytes:
        reply = await self.client.execute("GET", self.name(wanted))
        return reply if isinstance(reply, bytes) else b""

    async def set_raw(self, raw: bytes, wanted: Attempt | None = None) -> None:
        await self.client.execute("SET", self.name(wanted), raw)

    def name(self, wanted: Attempt | None = None) -> bytes:
        return self.store.locate(wanted or attempt()).record

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


def header(problem: Problem, name: str) -> str | None:
    """Return a header field of a problem."""
    return next((value for key, value in problem.headers if key == name), None)


async def dies(setting: Setting, wanted: Attempt | None = None, policy: Policy = STEADY) -> Claim:
    """Return the claim of a process that is gone: nobody renews its short lease."""
    claim = await setting.claimed(wanted, replace(policy, lease_seconds=SHORT_SECONDS))
    setting.store.forget(claim)
    return claim


async def expiry() -> None:
    """Wait until the lease of one that is gone has ended."""
    await asyncio.sleep(SHORT_SECONDS + 0.03)


def stream(*chunks: bytes, ends: BaseException | None = None) -> AsyncIterator[bytes]:
    """Return a body in chunks, which may end badly."""

    async def chunked() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        if ends is not None:
            raise ends

    return chunked()
