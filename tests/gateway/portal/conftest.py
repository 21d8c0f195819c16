"""A small catalogue, and the portal over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from gateway.portal import Entry, describe, routes

PUBLIC_URL = "https://api.example.com"


def contract(title: str, **members: Any) -> dict[str, Any]:
    """Return a contract with two operations behind one token endpoint of the gateway."""
    flow = {
        "tokenUrl": "/oauth2/token",
        "scopes": {"parcels:read": "Read parcels.", "parcels:write": "Send parcels."},
    }
    parcels = {
        "get": {
            "operationId": "listParcels",
            "summary": "List parcels",
            "tags": ["Parcels & Post"],
            "security": [{"oauth2": ["parcels:read"]}],
            "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
            "responses": {"200": {"description": "All parcels."}},
        },
        "post": {
            "operationId": "sendParcel",
            "summary": "Send a parcel",
            "tags": ["Parcels & Post"],
            "deprecated": True,
            "security": [{"oauth2": ["parcels:write", "parcels:read"]}],
            "responses": {"201": {"description": "The parcel."}},
        },
    }
    return {
        "openapi": "3.1.1",
        "info": {
            "title": title,
            "version": "1.2.3",
            "summary": f"What {title} is for.",
            "description": "Sends `parcels` for **anyone**.\n\nAnd <b>tracks</b> them.",
        },
        "x-owner": "logistics-team",
        "x-lifecycle": "stable",
        "x-calls": {"system/post.v1": ["track"]},
        "servers": [{"url": "http://10.1.2.3:9000"}],
        "paths": {"/parcels": parcels},
        "components": {
            "securitySchemes": {
                "oauth2": {"type": "oauth2", "flows": {"clientCredentials": flow}},
            },
        },
        **members,
    }


@pytest.fixture(name="catalogue")
def _catalogue() -> list[Entry]:
    foreign = {"openapi": "3.0.3", "info": {"title": "Weather", "version": "9"}, "paths": {}}
    return [
        describe("partner/weather.v2", foreign, base_path="/partner/weather/v2"),
        describe("system/post.v1", contract("Post"), base_path="/system/post/v1"),
        describe("process/parcels.v1", contract("Parcels"), base_path="/process/parcels/v1"),
        describe("experience/shop.v1", contract("Shop"), base_path="/experience/shop/v1"),
    ]


class InMemory(httpx.BaseTransport):
    """Hands requests to an ASGI application without a socket."""

    def __init__(self, app: Starlette) -> None:
        self._transport = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return anyio.run(self._answer, request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        content = b"".join([part async for part in response.stream])  # type: ignore[union-attr]  # it is the asynchronous one
        return httpx.Response(
            response.status_code, headers=response.headers, stream=httpx.ByteStream(content)
        )


@pytest.fixture(name="open_portal")
def _open_portal() -> Callable[[Sequence[Entry], str], httpx.Client]:
    """Return what makes a client of the portal over a catalogue at a public URL."""

    def open_portal(catalogue: Sequence[Entry], public_url: str) -> httpx.Client:
        portal = routes(catalogue, public_url=public_url, request_id=lambda _: "abc")
        transport = InMemory(Starlette(routes=portal))
        return httpx.Client(transport=transport, base_url="http://127.0.0.1")

    return open_portal


@pytest.fixture(name="client")
def _client(
    catalogue: list[Entry], open_portal: Callable[[Sequence[Entry], str], httpx.Client]
) -> httpx.Client:
    return open_portal(catalogue, PUBLIC_URL)
