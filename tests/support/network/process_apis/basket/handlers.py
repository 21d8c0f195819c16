"""The operation of basket.v1."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from portico.problems import Problem

if TYPE_CHECKING:
    from portico.server.call import Call, Reply


async def relay(call: Call[None], *, body: Any, idempotency_key: str = "") -> dict[str, Any]:
    """Make the call that the body describes and return everything the handler sees of it."""
    del idempotency_key
    try:
        if body["parallel"]:
            return await _parallel(call, body)
        replies = [await _invoke(call, body) for _ in range(body["times"])]
    except Problem as problem:
        if not body["catch"]:
            raise
        return {
            "problem": problem.kind.slug,
            "title": problem.kind.title,
            "status": problem.status,
            "detail": problem.detail,
            "extensions": problem.extensions,
            "headers": [list(field) for field in problem.headers],
        }
    return {"replies": [_visible(reply) for reply in replies]}


async def _parallel(call: Call[None], body: Any) -> dict[str, Any]:
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(_invoke(call, body)) for _ in range(body["times"])]
    return {"replies": [_visible(task.result()) for task in started]}


async def _invoke(call: Call[None], body: Any) -> Reply:
    return await call.invoke(
        body["api"],
        body["operation"],
        body["arguments"],
        body=body.get("body"),
        step=body["step"],
    )


def _visible(reply: Reply) -> dict[str, Any]:
    body = reply.body
    return {
        "status": reply.status,
        "body": {"octets": body.decode("latin-1")} if isinstance(body, bytes) else body,
        "kind": type(body).__name__,
        "headers": [list(field) for field in reply.headers],
        "mediaType": reply.media_type,
    }
