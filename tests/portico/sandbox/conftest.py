"""A small sandbox on the frame: it keeps notes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from portico.sandbox.admin import admin_app
from portico.sandbox.company import Company
from portico.sandbox.permissions import Permissions
from portico.sandbox.running import Running, run_sandboxes, serve_on_loopback
from portico.sandbox.state import State
from portico.sandbox.system import Secret
from portico.sandbox.webhooks import Webhooks


class NotesSandbox:
    """Keeps notes behind a token; the first is the name of the company."""

    unlimited_paths = frozenset({"/free"})

    def __init__(self, state: State, secret: Secret) -> None:
        self.state = state
        self.permissions = Permissions(["notes"])
        self.tokens = {secret("notes")}
        self.webhooks = Webhooks(lambda secret, body: {"x-signed": f"{secret}:{len(body)}"})
        paths = ("/notes", "/free")
        routes = [Route(path, self._notes, methods=["GET", "POST"]) for path in paths]
        self.app = Starlette(routes=routes)

    async def _notes(self, request: Request) -> Response:
        if request.headers.get("x-token") not in self.tokens:
            return JSONResponse({}, status_code=401)
        if not self.permissions.may_read("notes"):
            return JSONResponse({}, status_code=403)
        if request.method == "POST" and not self.permissions.may_write("notes"):
            return JSONResponse({}, status_code=403)
        if request.method == "POST":
            number = str(self.state.next_number("notes"))
            self.state.table("notes")[number] = await request.json()
            self.webhooks.publish(number.encode())
        return JSONResponse(list(self.state.table("notes").values()))

    def seed(self, company: Company) -> None:
        number = str(self.state.next_number("notes"))
        self.state.table("notes")[number] = {"text": company.name}

    def throttled(self, retry_after_seconds: float | None) -> Response:
        headers = {} if retry_after_seconds is None else {"retry-after": f"{retry_after_seconds}"}
        return JSONResponse({"slow": "down"}, status_code=429, headers=headers)

    def unavailable(self) -> Response:
        return JSONResponse({"out": "of order"}, status_code=503)

    def revoke_tokens(self) -> None:
        self.tokens.clear()


class Notes:
    """How the sandbox is made."""

    api = "system/notes.v1"

    def build(self, state: State, secret: Secret) -> NotesSandbox:
        return NotesSandbox(state, secret)

    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url}


class Frame:
    """A running frame, its admin endpoint, and a client with the token."""

    def __init__(self, running: Mapping[str, Running], admin: str, http: httpx.AsyncClient) -> None:
        self.running = running
        self.admin = admin
        self.http = http
        self.url = f"{running['notes'].url}/notes"

    async def read(self, path: str = "notes") -> httpx.Response:
        return await self.http.get(f"{self.running['notes'].url}/{path}")

    async def write(self, text: str) -> httpx.Response:
        return await self.http.post(self.url, json={"text": text})

    async def set_faults(self, **faults: object) -> httpx.Response:
        return await self.http.put(f"{self.admin}/notes/faults", json=faults)


@asynccontextmanager
async def open_frame(folder: Path | None = None) -> AsyncIterator[Frame]:
    async with (
        run_sandboxes({"notes": Notes()}, lambda name: f"secret-of-{name}", folder=folder) as found,
        serve_on_loopback(admin_app(found)) as admin,
        httpx.AsyncClient(headers={"x-token": "secret-of-notes"}) as http,
    ):
        yield Frame(found, admin, http)


@pytest.fixture
async def frame(anyio_backend: str) -> AsyncIterator[Frame]:
    del anyio_backend
    async with open_frame() as opened:
        yield opened
