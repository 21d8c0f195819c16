"""The addresses of doors: `/webhooks/NAME`."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portico.problems import CONTENT_TOO_LARGE, NOT_FOUND, Problem
from portico.webhooks.door import MAX_BODY_BYTES, Door


def routes(doors: Mapping[str, Door]) -> list[Route]:
    """Return the route of all doors."""

    async def receive(request: Request) -> Response:
        name = request.path_params["name"]
        door = doors.get(name)
        if door is None:
            raise Problem(NOT_FOUND, f"there is no door {name}")
        reply = await door.receive(request.headers.items(), await _body(request))
        headers = {"cache-control": "no-store"}
        return Response(reply, 200, headers, media_type="text/plain" if reply else None)

    return [Route("/webhooks/{name}", receive, methods=["POST"])]


async def _body(request: Request) -> bytes:
    """Return the bytes as they came, and not more than a door takes."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Problem(CONTENT_TOO_LARGE, f"a delivery has at most {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
