"""The endpoint through which the sandboxes are steered. It listens on loopback only.

Whoever asks presents the token of this run, since any page in a browser can reach loopback.

GET    /                          what runs where, and the faults that are on
PUT    /{system}/faults           a JSON object of Faults: these, and no others
DELETE /{system}/faults           nothing goes wrong any more
POST   /{system}/revoke-tokens    no access token given out before is accepted
POST   /{system}/reset            the state a fresh sandbox begins with
POST   /{system}/webhooks         {"url": …, "secret": …}: deliver there from now on
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from portico.sandbox.faults import Faults
from portico.sandbox.permissions import UnknownResourceError
from portico.sandbox.running import Running
from portico.sandbox.webhooks import Endpoint

Action = Callable[[Request, Running], Awaitable[Response]]


class _Endpoint(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str
    secret: str


def admin_app(systems: Mapping[str, Running]) -> Starlette:
    """Return the application that steers these sandboxes."""

    async def show(_request: Request) -> Response:
        return JSONResponse({name: running.describe() for name, running in systems.items()})

    def steer(action: Action) -> partial[Coroutine[Any, Any, Response]]:
        return partial(_steer, systems, action)

    return Starlette(
        routes=[
            Route("/", show),
            Route("/{system}/faults", steer(_set_faults), methods=["PUT", "DELETE"]),
            Route("/{system}/revoke-tokens", steer(_revoke_tokens), methods=["POST"]),
            Route("/{system}/reset", steer(_reset), methods=["POST"]),
            Route("/{system}/webhooks", steer(_add_endpoint), methods=["POST"]),
        ]
    )


def guarded(app: ASGIApp, token: str) -> ASGIApp:
    """Return the application for those who present the token as `Authorization: Bearer`."""
    expected = f"Bearer {token}".encode()

    async def admit(scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        answer: ASGIApp = app
        if not hmac.compare_digest(given, expected):
            answer = JSONResponse({"error": "the token of this run is needed"}, status_code=401)
        await answer(scope, receive, send)

    return admit


async def _steer(systems: Mapping[str, Running], action: Action, request: Request) -> Response:
    running = systems.get(request.path_params["system"])
    if running is None:
        return JSONResponse({"error": f"the systems are {', '.join(systems)}"}, status_code=404)
    try:
        return await action(request, running)
    except (ValidationError, UnknownResourceError) as error:
        return JSONResponse({"error": str(error)}, status_code=422)


async def _set_faults(request: Request, running: Running) -> Response:
    wanted = Faults()
    if request.method == "PUT":
        wanted = Faults.model_validate_json(await request.body())
    running.faulty.set(wanted)
    return JSONResponse(running.describe())


async def _revoke_tokens(_request: Request, running: Running) -> Response:
    running.sandbox.revoke_tokens()
    return Response(status_code=204)


async def _reset(_request: Request, running: Running) -> Response:
    running.reset()
    return Response(status_code=204)


async def _add_endpoint(request: Request, running: Running) -> Response:
    wanted = _Endpoint.model_validate_json(await request.body())
    if running.sandbox.webhooks is None:
        return JSONResponse({"error": "the system has no webhooks"}, status_code=409)
    running.sandbox.webhooks.endpoints.append(Endpoint(url=wanted.url, secret=wanted.secret))
    return Response(status_code=204)
