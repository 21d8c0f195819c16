"""The operations of operations.v1."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from experience_apis.operations import mapping
from portico.dead_letters.desk import Desk
from portico.dead_letters.letter import Kind
from portico.dead_letters.place import START, Place
from portico.durable import Durable
from portico.events.errors import BusUnavailableError
from portico.problems import NOT_FOUND, SYSTEM_UNAVAILABLE, Problem
from portico.server.call import Call, Reply
from portico.server.paging import next_link

T = TypeVar("T")
# As many as the contract says one request replays.
MAX_REPLAYED = 100
_RETRY_AFTER = ("Retry-After", "5")


async def list_dead_letters(
    call: Call[Durable],
    *,
    kind: Kind | None = None,
    incident_id: str | None = None,
    limit: int = 25,
    cursor: str | None = None,
) -> Reply:
    """Return a page of dead letters, the oldest first."""
    page = await _answered(
        _desk(call).page(_place(cursor), limit=limit, kind=kind, incident_id=incident_id)
    )
    body: dict[str, Any] = {"items": [mapping.letter(letter) for letter in page.letters]}
    if page.following is None:
        return Reply(body=body)
    following = page.following.cursor
    filters = {"kind": kind, "incidentId": incident_id, "limit": limit}
    return Reply(body={**body, "nextCursor": following}, headers=next_link(following, filters))


async def get_dead_letter(call: Call[Durable], *, letter_id: str) -> dict[str, Any]:
    """Return one dead letter with its payload."""
    letter = await _answered(_desk(call).find(letter_id))
    if letter is None:
        raise _no_letter(letter_id)
    return mapping.detail(letter, await _answered(_desk(call).history(letter_id)))


async def replay_dead_letter(call: Call[Durable], *, letter_id: str) -> Reply:
    """Have one dead letter done again."""
    if not await _answered(_desk(call).replay(letter_id, _actor(call))):
        raise _no_letter(letter_id)
    return Reply(status=202, body={"replayed": 1, "remaining": 0})


async def discard_dead_letter(call: Call[Durable], *, letter_id: str, reason: str) -> Reply:
    """Give one dead letter up."""
    if not await _answered(_desk(call).discard(letter_id, _actor(call), reason)):
        raise _no_letter(letter_id)
    return Reply(status=204)


async def replay_incident(call: Call[Durable], *, incident_id: str) -> Reply:
    """Have the oldest dead letters of an incident done again, one after the other."""
    desk = _desk(call)
    letters, remaining = await _answered(_of_incident(desk, incident_id))
    if not letters:
        raise Problem(NOT_FOUND, f"no dead letter belongs to the incident {incident_id}")
    replayed = 0
    for letter_id in letters:
        replayed += await _answered(desk.replay(letter_id, _actor(call)))
    return Reply(status=202, body={"replayed": replayed, "remaining": remaining})


async def get_workflow(call: Call[Durable], *, workflow_id: str) -> dict[str, Any]:
    """Return a workflow with its steps."""
    state = await _answered(call.resources.parts.workflows.status(workflow_id))
    if state is None:
        raise Problem(NOT_FOUND, f"there is no workflow {workflow_id}")
    return mapping.workflow(state)


async def list_webhook_subscribers(call: Call[Durable]) -> dict[str, Any]:
    """Return the configured subscribers."""
    subscribers = call.resources.parts.subscribers
    disabled = await _answered(subscribers.disabled())
    shown = [mapping.subscriber(found, disabled) for found in subscribers.by_name.values()]
    return {"items": shown}


async def enable_webhook_subscriber(call: Call[Durable], *, name: str) -> Reply:
    """Send to a subscriber again; one that is enabled stays so."""
    subscribers = call.resources.parts.subscribers
    if name not in subscribers.by_name:
        raise Problem(NOT_FOUND, f"there is no subscriber {name}")
    await _answered(subscribers.enable(name))
    return Reply(status=204)


async def _of_incident(desk: Desk, incident_id: str) -> tuple[list[str], int]:
    """Return the letters of an incident that are replayed now, and how many are left."""
    chosen: list[str] = []
    remaining = 0
    async for letter in desk.each():
        if letter.incident_id == incident_id:
            if len(chosen) < MAX_REPLAYED:
                chosen.append(letter.letter_id)
            else:
                remaining += 1
    return chosen, remaining


def _place(cursor: str | None) -> Place:
    if cursor is None:
        return START
    try:
        return Place.parse(cursor)
    except ValueError:
        raise Problem(NOT_FOUND, "there is no page at this cursor") from None


def _desk(call: Call[Durable]) -> Desk:
    return call.resources.parts.dead_letters


def _actor(call: Call[Durable]) -> str:
    """Return who is on record: whom the token is for, and the client if that is another."""
    caller = call.caller
    if caller.subject in {"", caller.client_id}:
        return caller.client_id
    return f"{caller.subject} by {caller.client_id}"


async def _answered(question: Awaitable[T]) -> T:
    """Return an answer of the database or the bus; a Problem names the one that is away."""
    try:
        return await question
    except SQLAlchemyError as error:
        raise _away("the workflow database") from error
    except BusUnavailableError as error:
        raise _away("the event bus") from error


def _away(system: str) -> Problem:
    detail = f"{system} does not answer"
    return Problem(
        SYSTEM_UNAVAILABLE, detail, headers=[_RETRY_AFTER], extensions={"system": system}
    )


def _no_letter(letter_id: str) -> Problem:
    return Problem(NOT_FOUND, f"there is no dead letter {letter_id}")
