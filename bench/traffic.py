"""What limits and a key add to a request: the admission, the completion, and a record's memory."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from time import process_time_ns
from typing import Any

import uvloop

from bench import idempotency
from bench.servers import measured_config, order_service
from gateway.admission import Admission
from gateway.app import build_router
from gateway.config.secrets import SecretStore
from gateway.endpoints import Endpoint, ServiceBackend
from gateway.exchange import Exchange
from gateway.limits import RequestLimits
from gateway.stores import open_stores
from gateway.traffic import open_traffic
from portico.client.tiers import TierClient
from portico.idempotency.attempt import Attempt
from portico.idempotency.claim import Claim
from portico.idempotency.policy import Policy
from portico.idempotency.scope import Scope

CALLS = 16_000
ROUNDS = 5
CONCURRENT = 32
POLICY = Policy()
Row = dict[str, float | str]


def measure() -> dict[str, Row]:
    """Return the CPU of this process for an admission and a completion, and what a record takes."""
    with tempfile.TemporaryDirectory(prefix="portico-") as folder:
        results = uvloop.run(_measure(Path(folder)))
    records = idempotency.measure()
    for name in ("idempotency.record", "idempotency.record.overhead"):
        results[name] = records[name]
    return results


async def _measure(data: Path) -> dict[str, Row]:
    config = measured_config(data)
    async with open_stores(config, SecretStore(data), "/portal/problems/") as stores:
        service = order_service(keyed=True)
        client = TierClient(service.contract.name, {})
        backend = ServiceBackend(service, client, timeout_seconds=30, body_bytes=1 << 20)
        (endpoint,) = build_router([backend]).targets()
        async with open_traffic(config, stores, [endpoint]) as traffic:
            if traffic.admission is None or traffic.limits is None:
                raise RuntimeError("both limits and records are configured")
            steps = _Steps(traffic.admission, traffic.limits, endpoint)
            results: dict[str, Row] = {}
            for label, concurrent in (("32", CONCURRENT), ("alone", 1)):
                results[f"admission.{label}"] = {"cpu_us": await _cost(steps.admit, concurrent)}
                results[f"completion.{label}"] = {"cpu_us": await _cost(steps.complete, concurrent)}
            return results


class _Steps:
    """One request after the other, each with a key of its own."""

    def __init__(self, admission: Admission, limits: RequestLimits, endpoint: Endpoint) -> None:
        self._admission = admission
        self._limits = limits
        self._endpoint = endpoint
        self._numbers = count()
        self._exchange = _exchange()
        self._claims: list[Claim] = []

    async def admit(self) -> None:
        exchange = self._exchange
        attempt = Attempt(
            scope=Scope(client_id="shop", subject="shop"),
            key=f"8e03978e-40d5-43e8-bc93-{next(self._numbers):012d}",
            fingerprint=b"1:6Gk0m5Cz1nH3tqVjP1s4cN5o7Qm2hZqLZ8c7g4b2dTA",
            operation=self._endpoint.name,
            request_id="0b6f1c3a5d7e4f2a",
        )
        demand = self._limits.demand(exchange, self._endpoint, b"")
        if demand is None:
            raise RuntimeError("the plan has limits")
        claim = await self._admission.admit(exchange, demand, attempt, POLICY)
        if not isinstance(claim, Claim):
            raise TypeError("every key is new")
        self._claims.append(claim)

    async def complete(self) -> None:
        await self._claims.pop().complete(201, idempotency.HEADERS, idempotency.RESPONSE)


def _exchange() -> Exchange:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": []}
    return Exchange({**scope, "client": ("192.0.2.7", 1)}, receive)


async def _cost(step: Callable[[], Awaitable[None]], concurrent: int) -> float:
    """Return the CPU µs of a step, the median of some rounds."""

    async def some() -> None:
        for _ in range(CALLS // concurrent):
            await step()

    spent = []
    for _ in range(ROUNDS):
        begin = process_time_ns()
        await asyncio.gather(*[some() for _ in range(concurrent)])
        spent.append((process_time_ns() - begin) / (CALLS // concurrent * concurrent) / 1000)
    return round(statistics.median(spent), 1)
