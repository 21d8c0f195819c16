"""A gateway in one process that takes deliveries of Stripe's, and ends where it is told to.

It is the whole of it but for the sockets that callers connect to: door, journal, process, system
APIs, connectors, and HTTP to the sandboxes, which are elsewhere and live on.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Gateway
from gateway.config import Config
from gateway.config.secrets import SecretStore
from gateway.identity.tokens import TokenIssuer
from gateway.issuing import AUDIENCE, key_ring
from portico.sandbox.signatures import hex_hmac_sha256
from tests.portico.workflow.kills.forking import CrashPoints, serve, tell_and_end

VENDORS = "127.0.0.1"
GATEWAY = "https://gateway.test"
APIS = ["process/order-to-cash", "system/stripe", "system/quickbooks", "system/salesforce"]
RUNS = "/process/order-to-cash/v1/runs"
FINAL = {"done", "refused", "ignored", "cancelled", "dead"}
SECONDS = 90.0
# Made once: compiling the contracts takes longer than all that a child does.
PREPARED = Gateway(
    Config.model_validate(
        {
            "data": Path(tempfile.gettempdir()) / "unused",
            "embedded": {"tryton": False, "redis": False, "sandboxes": False},
        }
    ),
    only=APIS,
)


async def counted(command: dict[str, Any], points: CrashPoints) -> dict[str, Any]:
    """Return how the runs ended, and how many points there were."""
    return {"runs": await run(command, points), "points": points.count}


async def run(command: dict[str, Any], points: CrashPoints) -> dict[str, Any]:
    """Take the deliveries, all at once, and return how their runs ended."""
    gateway = PREPARED
    config = command["config"]
    gateway.config = Config.model_validate({**config, "data": Path(config["data"])})
    gateway.secrets = SecretStore(gateway.config.data)
    async with gateway.run(GATEWAY):
        transport = httpx.ASGITransport(app=gateway)
        async with httpx.AsyncClient(transport=transport, base_url=GATEWAY, timeout=60.0) as http:
            if points.at:
                points.around_http(VENDORS)
            sent = [_deliver(http, body, command["secret"]) for body in command["deliveries"]]
            await asyncio.gather(*sent)
            async with asyncio.timeout(SECONDS):
                return await _ended(http, _token(gateway.config), command["runs"])


async def _deliver(http: httpx.AsyncClient, body: str, secret: str) -> None:
    """Send a delivery as Stripe does, again until it is taken."""
    while True:
        now = int(time.time())
        signature = hex_hmac_sha256(secret, f"{now}.{body}".encode())
        headers = {"stripe-signature": f"t={now},v1={signature}"}
        answer = await http.post("/webhooks/stripe", content=body, headers=headers)
        if answer.status_code == 200:
            return
        await asyncio.sleep(0.1)


async def _ended(http: httpx.AsyncClient, token: str, runs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    headers = {"authorization": f"Bearer {token}"}
    while len(found) < len(runs):
        for name in runs:
            answer = await http.get(f"{RUNS}/{name}", headers=headers)
            if answer.is_success and answer.json()["phase"] in FINAL:
                found[name] = answer.json()
        await asyncio.sleep(0.05)
    return found


def _token(config: Config) -> str:
    issuer = TokenIssuer(key_ring(config), issuer=GATEWAY, audience=AUDIENCE)
    return issuer.mint("ada", "tests", AUDIENCE, ["order-to-cash:read"], 300)


def child(command: dict[str, Any], points: CrashPoints) -> None:
    logging.disable()
    asyncio.run(tell_and_end(command["id"], counted(command, points)))


if __name__ == "__main__":
    serve(child)
