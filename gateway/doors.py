"""The addresses of doors: `/webhooks/NAME`."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portico.problems import CONTENT_TOO_LARGE, METHOD_NOT_ALLOWED, NOT_FOUND, Problem
from portico.webhooks.door import MAX_BODY_BYTES, Door


def routes(doors: Mapping[str, Door]) -> list[Route]:
    """Return the route of all doors."""

    def find(request: Request) -> Door:
        name = request.path_params["name"]
        door = doors.get(name)
        if door is None:
            raise Problem(NOT_FOUND, f"there is no door {name}")
        return door

    async def validate(request: Request) -> Response:
        allowed = find(request).allowance(request.headers.items())
        if allowed is None:
            raise Problem(METHOD_NOT_ALLOWED, headers=[("allow", "POST")])
        return Response(status_code=200, headers={**dict(allowed), "cache-control": "no-store"})

    async def receive(request: Request) -> Response:
        if request.method == "OPTIONS":
            return await validate(request)
        door = find(request)
        reply = await door.receive(request.headers.items(), await _body(request))
        headers = {"cache-control": "no-store"}
        return Response(
            reply, door.vendor.status, headers, media_type="text/plain" if reply else None
        )

    return [Route("/webhooks/{name}", receive, methods=["POST", "OPTIONS"])]


async def _body(request: Request) -> bytes:
    """Return the bytes as they came, and not more than a door takes."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Problem(CONTENT_TOO_LARGE, f"a delivery has at most {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
