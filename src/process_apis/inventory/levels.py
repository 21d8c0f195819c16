"""Stock levels as events and as what is known; no input or output here.

Whatever order the events of a location come in, the same is known in the end: a level stands until
one comes that was counted later. Of two that were counted at one moment, the event's id decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from portico.events.event import JSON, CloudEvent
from portico.problems import UNPROCESSABLE, Problem
from portico.server.call import combine
from portico.workflow.projections import Word
from process_apis.inventory.app import ERP
from process_apis.inventory.calls.tryton import InventoryLevel
from process_apis.inventory.models import NewLevel, Quantity

CHANGED = "portico.inventory.level.changed"
# Under these names levels are kept, and when each source was last heard of.
LEVELS, SOURCES = "inventory levels", "inventory sources"
ALL = "all"
# How far the clock of a source may be ahead: what is from the future would stand until then.
MAX_AHEAD = timedelta(minutes=5)


def moment_text(text: str) -> str:
    """Return a time in the one form that is ordered as text."""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def counted_level(body: NewLevel, location_id: str, sku: str, now: datetime) -> InventoryLevel:
    """Return the level that a source tells of. Raises Problem for one that cannot be."""
    on_hand = body["onHand"]
    nothing: Quantity = {"value": "0", "uom": on_hand["uom"]}
    reserved = body.get("reserved", nothing)
    if reserved["uom"] != on_hand["uom"]:
        raise _wrong("the quantities are in two units", "#/reserved/uom")
    if datetime.fromisoformat(body["asOf"]) > now + MAX_AHEAD:
        raise _wrong("the time is ahead of ours", "#/asOf")
    left = Decimal(on_hand["value"]) - Decimal(reserved["value"])
    return {
        "sku": sku,
        "locationId": location_id,
        "onHand": on_hand,
        "reserved": reserved,
        "available": {"value": format(left, "f"), "uom": on_hand["uom"]},
        "asOf": moment_text(body["asOf"]),
    }


def _wrong(detail: str, pointer: str) -> Problem:
    errors = [{"detail": detail, "pointer": pointer}]
    return Problem(UNPROCESSABLE, detail, extensions={"errors": errors})


def erp_event(level: InventoryLevel) -> CloudEvent:
    """Return the event of a level in the ERP, whose id is the same for the same reading."""
    as_of = moment_text(level["asOf"])
    event_id = combine(level["sku"], level["locationId"], as_of)
    counted: InventoryLevel = {**level, "asOf": as_of}
    return changed(ERP, counted, event_id)


def changed(source: str, level: InventoryLevel, event_id: str) -> CloudEvent:
    """Return the event of a level that a source has counted."""
    return CloudEvent(
        id=event_id,
        source=f"/inventory/{source}",
        type=CHANGED,
        data={"source": source, **level},
        datacontenttype=JSON,
        subject=level["sku"],
        time=level["asOf"],
    )


def level_word(event: CloudEvent) -> Word:
    """Return what an event makes known of a product."""
    data: Mapping[str, Any] = event.data
    as_of = moment_text(data["asOf"])
    return Word(
        subject=data["sku"],
        key=f"{data['source']} {data['locationId']}",
        position=f"{as_of} {event.id}",
        value={**data, "asOf": as_of},
    )


def source_word(source: str, as_of: str) -> Word:
    """Return that a source was heard of."""
    return Word(subject=ALL, key=source, position=as_of, value={"asOf": as_of})


def is_news(level: InventoryLevel, known: Sequence[Word]) -> bool:
    """Tell whether the ERP counts something else than is known of it."""
    key = f"{ERP} {level['locationId']}"
    before = next(
        (word.value for word in known if (word.subject, word.key) == (level["sku"], key)), None
    )
    counts = (level["onHand"], level["reserved"], level["available"])
    return before is None or (before["onHand"], before["reserved"], before["available"]) != counts
