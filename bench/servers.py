"""The programs that are measured, each an ASGI application under the gateway's own server.

`python -m bench.servers NAME PORT [UPSTREAM]` serves bare, upstream, or a gateway whose name says
what it does: in-process or proxied, with limited and keyed where requests have limits and keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn

from bench import order
from gateway.access_log import AccessLog
from gateway.app import build_router
from gateway.config import Config
from gateway.config.secrets import SecretStore
from gateway.control import control_app
from gateway.endpoints import Backend, ServiceBackend, UpstreamBackend
from gateway.identity.keys import KeyRing
from gateway.identity.resource_metadata import Resources
from gateway.identity.tokens import TokenIssuer
from gateway.identity.trust import Trust, built_in
from gateway.identity.verifier import TokenVerifier
from gateway.pipeline import Pipeline
from gateway.protocol.serve import ServeEvents, run, serve
from gateway.stores import open_stores
from gateway.traffic import open_traffic
from gateway.upstream.options import UpstreamOptions
from gateway.upstream.upstream import Upstream
from portico.client.tiers import TierClient
from portico.contract import Contract, load, load_foreign
from portico.server.bind import bind
from portico.server.call import Call
from portico.server.service import ResponseCheck, Service
from portico.server.validation import Validation

ISSUER = "http://127.0.0.1:8080"
AUDIENCE = "portico"
HELLO = b"hello, world"


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answer a fixed text, as the ceiling of what this server can do."""
    del receive
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"12")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": HELLO})


async def upstream(scope: Any, receive: Any, send: Any) -> None:
    """Answer the order, as a local upstream that costs little."""
    while (await receive()).get("more_body"):
        pass
    length = str(len(order.BODY)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": order.BODY})
    del scope


async def create_order(
    call: Call[None],
    *,
    customer_id: str,
    body: dict[str, Any],
    expand: list[str] | None = None,
    limit: int = 20,
    x_shop_id: str = "",
) -> dict[str, Any]:
    """Answer the order that was sent."""
    del call, customer_id, expand, limit, x_shop_id
    return body


def _handlers() -> types.ModuleType:
    module = types.ModuleType(create_order.__module__)
    module.create_order = create_order  # type: ignore[attr-defined]  # a module made here
    return module


def order_contract(*, foreign: bool = False, keyed: bool = False) -> Contract:
    """Return the compiled contract of the measured order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "process" / "bench.v1.json"
        path.parent.mkdir()
        path.write_text(json.dumps(order.contract("/process/bench/v1", keyed=keyed)))
        if foreign:
            return load_foreign(path, name="bench", base_path="/process/bench/v1")
        return load(path)


def order_service(*, keyed: bool = False) -> Service:
    """Return the order API as it runs in a process."""
    contract = order_contract(keyed=keyed)
    return Service(contract, bind(contract, _handlers()), None, Validation())


def measured_config(data: Path, *, limited: bool = True, recorded: bool = True) -> Config:
    """Return a configuration with two limits that are never used up, and the embedded Redis."""
    limits = {"limits": "1000000/second;1000000000/day"}
    settings: dict[str, Any] = {
        "data": data,
        "embedded": {"tryton": False, "redis": limited or recorded},
        "idempotency": {"max_keys_per_client": 0},
    }
    if limited:
        settings["rate_limits"] = {"plans": {"standard": {"requests": limits}}}
    return Config.model_validate(settings)


def _backend(name: str, upstream_url: str) -> Backend:
    keyed = "keyed" in name
    if "proxied" in name:
        contract = order_contract(foreign=True, keyed=keyed)
        hop = Upstream(UpstreamOptions(name="bench", urls=(upstream_url,)))
        return UpstreamBackend(
            contract,
            hop,
            ResponseCheck(contract.name, Validation()),
            timeout_seconds=30,
            body_bytes=1024 * 1024,
            checked_bytes=1024 * 1024,
        )
    service = order_service(keyed=keyed)
    client = TierClient(service.contract.name, {})
    return ServiceBackend(service, client, timeout_seconds=30, body_bytes=1024 * 1024)


@contextlib.asynccontextmanager
async def _gateway(holder: list[Any], name: str, upstream_url: str) -> AsyncIterator[None]:
    keys = KeyRing(Path(os.environ["BENCH_KEYS"]))
    log = AccessLog()
    router = build_router([_backend(name, upstream_url)])
    endpoints = list(router.targets())
    verifier = TokenVerifier(*built_in(keys, ISSUER))
    trust = Trust(Config(), verifier=verifier, audience=AUDIENCE)
    async with contextlib.AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portico-")))
        config = measured_config(data, limited="limited" in name, recorded="keyed" in name)
        stores = await stack.enter_async_context(
            open_stores(config, SecretStore(data), "/portal/problems/")
        )
        holder.append(
            Pipeline(
                router,
                control_app([], ready=lambda: "", type_base="/portal/problems/"),
                authenticator=trust.authenticator(
                    endpoints,
                    contracts={},
                    closed=(),
                    resources=Resources(public_url=ISSUER, issuers=[ISSUER]),
                ),
                cors=None,
                access_log=log,
                type_base="/portal/problems/",
                traffic=await stack.enter_async_context(open_traffic(config, stores, endpoints)),
            )
        )
        yield
    log.stop()


def token(keys: Path) -> str:
    """Return an access token that the measured gateways accept."""
    issuer = TokenIssuer(KeyRing(keys), issuer=ISSUER, audience=AUDIENCE)
    return issuer.mint("bench", "bench", AUDIENCE, ["bench:write"], 3600)


def main(name: str, port: int, upstream_url: str) -> int:
    """Serve one of the programs until a signal."""
    if name in {"bare", "upstream"}:
        app = bare if name == "bare" else upstream
        config = uvicorn.Config(
            app, port=port, http="httptools", loop="uvloop", log_level="warning", access_log=False
        )
        uvicorn.Server(config).run()
        return 0
    holder: list[Any] = []

    async def app_of_gateway(scope: Any, receive: Any, send: Any) -> None:
        await holder[0](scope, receive, send)

    events = ServeEvents(ready=lambda: print("ready", file=sys.stderr, flush=True))
    return run(
        serve(
            app_of_gateway,
            host="127.0.0.1",
            port=port,
            lifespan=lambda: _gateway(holder, name, upstream_url),
            events=events,
        )
    )


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
