"""What knowing a caller costs: a token seen before, one never seen, a proof, a token from its key.

`python -m bench identity`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time_ns
from typing import Any

from starlette.applications import Starlette

from bench.servers import AUDIENCE, ISSUER, order_service
from bench.serving import resident_mib
from gateway.app import build_router
from gateway.config import Config
from gateway.endpoints import Endpoint, ServiceBackend
from gateway.exchange import Exchange
from gateway.identity.authenticator import Authenticator
from gateway.identity.clients import ClientRecord, ClientRegistry, hash_secret
from gateway.identity.keys import KeyRing, SigningAlgorithm
from gateway.identity.resource_metadata import Resources
from gateway.identity.server.routes import ServerParts, routes
from gateway.identity.tokens import TokenIssuer
from gateway.identity.trust import Trust, built_in
from gateway.identity.verifier import TokenVerifier
from portico.client.tiers import TierClient

ROUNDS = 7
CALLS = 20_000
FRESH = 300
DISTINCT = 20_000
SECRET = "a-secret-of-the-measurement"
ALGORITHMS: tuple[SigningAlgorithm, ...] = ("ES256", "RS256", "EdDSA")
Row = dict[str, float | str]


def measure() -> dict[str, Row]:
    """Return the cost of each way, in CPU time of this process."""
    with tempfile.TemporaryDirectory() as folder:
        keys = KeyRing(Path(folder) / "keys.json")
        rows: dict[str, Row] = {"identity.cached": {"cpu_us": _cached(keys)}, **_memory(keys)}
        for algorithm in ALGORITHMS:
            ring = KeyRing(Path(folder) / f"{algorithm}.json", algorithm)
            rows[f"identity.fresh_{algorithm.lower()}"] = {"cpu_us": asyncio.run(_fresh(ring))}
        rows["identity.client_credentials"] = {"cpu_us": asyncio.run(_client_credentials(keys))}
    return rows


def _issuer(keys: KeyRing) -> TokenIssuer:
    return TokenIssuer(keys, issuer=ISSUER, audience=AUDIENCE)


def _authenticator(keys: KeyRing) -> tuple[Authenticator, Endpoint]:
    service = order_service()
    client = TierClient(service.contract.name, {})
    backend = ServiceBackend(service, client, timeout_seconds=30, body_bytes=1024)
    endpoints = list(build_router([backend]).targets())
    trust = Trust(Config(), verifier=TokenVerifier(*built_in(keys, ISSUER)), audience=AUDIENCE)
    authenticator = trust.authenticator(
        endpoints,
        contracts={},
        closed=(),
        resources=Resources(public_url=ISSUER, issuers=[ISSUER]),
    )
    return authenticator, endpoints[0]


async def _nothing() -> Any:
    raise RuntimeError("nobody reads the body")


def _exchange(token: str) -> Exchange:
    scope = {
        "method": "POST",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer " + token.encode())],
        "client": ("127.0.0.1", 1),
    }
    exchange = Exchange(scope, _nothing)
    exchange.read_headers()
    return exchange


def _finish(pending: Awaitable[None] | None) -> None:
    """Run to its end what waits for nothing: there is no Redis and no other issuer."""
    if pending is not None and next(pending.__await__(), None) is not None:
        raise RuntimeError("the check of a token waited for something")


def _cached(keys: KeyRing) -> float:
    authenticator, endpoint = _authenticator(keys)
    token = _issuer(keys).mint("bench", "bench", AUDIENCE, ["bench:write"], 3600)
    exchange = _exchange(token)
    _finish(authenticator.admit(exchange, endpoint))

    def once() -> None:
        if authenticator.admit(exchange, endpoint) is not None:
            raise RuntimeError("the token is not in the cache")

    return _median(once, CALLS)


def _median(call: Callable[[], None], calls: int) -> float:
    spent = []
    for _ in range(ROUNDS + 1):
        begin = process_time_ns()
        for _ in range(calls):
            call()
        spent.append((process_time_ns() - begin) / calls / 1000)
    return round(statistics.median(spent[1:]), 2)  # the first round warms


async def _fresh(keys: KeyRing) -> float:
    """Return what a token costs that nobody has seen."""
    verifier = TokenVerifier(*built_in(keys, ISSUER))
    issuer = _issuer(keys)
    spent = []
    for _ in range(ROUNDS):
        tokens = [issuer.mint("b", "b", AUDIENCE, ["bench:write"], 600) for _ in range(FRESH)]
        begin = process_time_ns()
        for token in tokens:
            await verifier.verify(token.encode())
        spent.append((process_time_ns() - begin) / FRESH / 1000)
    return round(statistics.median(spent), 2)


async def _client_credentials(keys: KeyRing) -> float:
    """Return what the token endpoint costs, from the request to the answer."""
    record = ClientRecord(
        client_id="bench", secret_hashes=(hash_secret(SECRET),), scopes=frozenset({"bench:write"})
    )
    parts = ServerParts(
        issuer=_issuer(keys), keys=keys, clients=ClientRegistry([record]), scopes=["bench:write"]
    )
    application = Starlette(routes=routes(parts))
    spent = []
    for _ in range(ROUNDS):
        begin = process_time_ns()
        for _ in range(FRESH):
            await _ask_for_token(application)
        spent.append((process_time_ns() - begin) / FRESH / 1000)
    return round(statistics.median(spent), 2)


async def _ask_for_token(application: Starlette) -> None:
    body = b"grant_type=client_credentials&scope=bench%3Awrite"
    pair = b64encode(f"bench:{SECRET}".encode())
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/oauth2/token",
        "raw_path": b"/oauth2/token",
        "query_string": b"",
        "root_path": "",
        "scheme": "https",
        "headers": [
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"authorization", b"Basic " + pair),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 443),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"the token endpoint answered {message['status']}")

    await application(scope, receive, send)


def _memory(keys: KeyRing) -> dict[str, Row]:
    """Return what is left of a flood of distinct tokens when the cache has been full twice."""
    authenticator, endpoint = _authenticator(keys)
    issuer = _issuer(keys)

    def flood() -> None:
        for _ in range(DISTINCT):
            token = issuer.mint("bench", "bench", AUDIENCE, ["bench:write"], 3600)
            _finish(authenticator.admit(_exchange(token), endpoint))

    flood()
    gc.collect()
    before = resident_mib(os.getpid())
    flood()
    gc.collect()
    grown = max(0.0, resident_mib(os.getpid()) - before)
    return {"identity.20000_tokens": {"value": round(grown, 1), "unit": "MiB"}}
