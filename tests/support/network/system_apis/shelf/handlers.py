"""The operations of shelf.v1."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from portico.problems import (
    CONFLICT,
    FORBIDDEN,
    INVALID_PARAMETER,
    NOT_FOUND,
    SYSTEM_UNAVAILABLE,
    UNAUTHENTICATED,
    Problem,
    ProblemType,
)
from portico.server.call import Call, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FULL = ProblemType(
    slug="shelf-full", status=409, title="The shelf is full", meaning="No room.", remedy="Tidy up."
)
_THING = {"id": "a/b c", "name": "Lamp", "color": "grey"}
_waits: dict[str, str] = {}


async def list_things(call: Call[None], *, limit: int, color: list[str] | None = None) -> Reply:
    del call
    items = [{**_THING, "id": str(number), "color": (color or ["grey"])[0]} for number in range(2)]
    link = ("Link", f'</system/shelf/v1/things?limit={limit}>; rel="next"')
    return Reply(body={"items": items}, headers=[link, ("X-Internal", "of no contract")])


async def create_thing(call: Call[None], *, body: Any, idempotency_key: str = "") -> Reply:
    del call
    if body["name"] == "taken":
        raise Problem(CONFLICT, "there is such a thing", extensions={"name": body["name"]})
    thing = {"id": idempotency_key or "no-key", **body}
    return Reply(status=201, body=thing, headers=[("Location", f"things/{thing['id']}")])


async def get_thing(call: Call[None], *, thing_id: str) -> dict[str, str]:
    del call
    if thing_id == "missing":
        raise Problem(NOT_FOUND, "there is no such thing", extensions={"thingId": thing_id})
    return {**_THING, "id": thing_id}


async def remove_thing(call: Call[None], *, thing_id: str) -> None:
    del call, thing_id


async def echo(  # every style of parameter has one
    call: Call[None],
    *,
    name: str,
    size: str,
    body: Any = None,
    count: Any = None,
    ratio: Any = None,
    whether: Any = None,
    text: Any = None,
    words: Any = None,
    joined: Any = None,
    numbers: Any = None,
    spaced: Any = None,
    deep: Any = None,
    flat: Any = None,
    filter: Any = None,  # noqa: A002  # the parameter has this name
    x_tag: Any = None,
    x_tags: Any = None,
    x_filter: Any = None,
    session: Any = None,
) -> dict[str, Any]:
    """Return everything that arrived."""
    arrived = {key: value for key, value in locals().items() if key not in {"call", "body"}}
    return {
        "arguments": {key: value for key, value in arrived.items() if value is not None},
        "body": body,
        "caller": {
            "subject": call.caller.subject,
            "clientId": call.caller.client_id,
            "scopes": sorted(call.caller.scopes),
            "actors": list(call.caller.actors),
        },
        "trace": call.trace.trace_id,
        "traceState": call.trace.state,
        "requestId": call.request_id,
        "key": call.idempotency_key,
        "secondsLeft": call.deadline.remaining(),
    }


async def read_styles(
    call: Call[None], *, simple: Any, label: Any, matrix: Any, spread: Any, pairs: Any
) -> dict[str, Any]:
    del call
    found = {"simple": simple, "label": label, "matrix": matrix}
    return {**found, "spread": spread, "pairs": pairs}


async def wait(call: Call[None], *, seconds: float) -> dict[str, str]:
    _waits[call.request_id] = "started"
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        _waits[call.request_id] = "cancelled"
        raise
    _waits[call.request_id] = "done"
    return {}


async def list_seen(call: Call[None]) -> dict[str, str]:
    del call
    return dict(_waits)


async def fail(call: Call[None], *, kind: str) -> object:
    del call
    if kind == "crash":
        raise KeyError("a secret that must not leave")
    if kind in _PROBLEMS:
        raise _PROBLEMS[kind]
    return _ANSWERS[kind]


_PROBLEMS = {
    "unavailable": Problem(
        SYSTEM_UNAVAILABLE,
        "the shelf does not answer",
        headers=[("Retry-After", "7"), ("X-Internal", "of no contract")],
        extensions={"system": "shelf"},
    ),
    "custom": Problem(FULL, "all four boards", extensions={"boards": 4}),
    "forbidden": Problem(FORBIDDEN, "not for you"),
    "unauthenticated": Problem(UNAUTHENTICATED, "who are you"),
    "invalid": Problem(INVALID_PARAMETER, "a handler may not say this, but might"),
    "standard-members": Problem(CONFLICT, "busy", extensions={"status": 200, "type": "x", "a": 1}),
}
_ANSWERS: dict[str, object] = {
    "wrong-body": {"amount": 5},
    "wrong-status": Reply(status=202, body={"amount": "5.00"}),
    "reply-problem": Reply(
        status=404,
        body={"type": "/portal/problems/not-found", "title": "x", "status": 404, "detail": "gone"},
        media_type="application/problem+json",
    ),
    "untyped-problem": Reply(
        status=418, body={"type": "about:blank", "title": "Short and stout", "status": 418}
    ),
    "json-bytes": Reply(body=b'{"amount": "5.00"}', media_type="application/json"),
    "broken-json": Reply(body=b"{", media_type="application/json"),
    "write-only": {"amount": "5.00", "secret": "hidden"},
}


async def report(call: Call[None], *, how: str) -> Reply:
    del call
    if how == "cut":
        return Reply(body=_cut(), media_type="text/csv")
    bodies: dict[str, Any] = {"bytes": b"a,b\n1,2\n", "text": "a,b\n1,2\n", "stream": _lines()}
    return Reply(body=bodies[how], media_type="text/csv")


async def _lines() -> AsyncIterator[bytes]:
    yield b"a,b\n"
    yield b"1,2\n"


async def _cut() -> AsyncIterator[bytes]:
    yield b"a,b\n"
    raise KeyError("a secret that must not leave")


async def read_secret(call: Call[None]) -> dict[str, str]:
    del call
    return {"secret": "hidden"}
