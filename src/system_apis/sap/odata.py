"""Requests of OData V2 and V4: what is asked for, with every value quoted here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from portico.connectors.failures import BrokenError
from portico.connectors.messages import Answer, Pairs
from portico.connectors.record import Record
from system_apis.sap.s4 import SYSTEM, Service

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def literal(text: str) -> str:
    """Return a text as it stands in a filter.

    >>> literal("O'Hara")
    "'O''Hara'"
    """
    return "'" + text.replace("'", "''") + "'"


def equal(name: str, text: str) -> str:
    """Return the condition that a property is a text."""
    return f"{name} eq {literal(text)}"


def one_of(name: str, texts: Iterable[str]) -> str:
    """Return the condition that a property is one of some texts; V2 has no list of them."""
    return f"({' or '.join(equal(name, text) for text in texts)})"


def containing(service: Service, name: str, text: str) -> str:
    """Return the condition that a property contains a text."""
    if service.v4:
        return f"contains({name},{literal(text)})"
    return f"substringof({literal(text)},{name})"


def since(service: Service, name: str, moment: datetime) -> str:
    """Return the condition that a time stamp is not before a moment."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return f"{name} ge {text}" if service.v4 else f"{name} ge datetimeoffset'{text}'"


def since_day(name: str, day: date) -> str:
    """Return the condition that a date of V2 is not before a day."""
    return f"{name} ge datetime'{day.isoformat()}T00:00:00'"


def ticks(day: date) -> str:
    """Return a date as the JSON of V2 has it.

    >>> ticks(date(2026, 11, 2))
    '/Date(1793577600000)/'
    """
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return f"/Date({(moment - _EPOCH) // timedelta(milliseconds=1)})/"


def entity_path(name: str, **keys: str) -> str:
    """Return the path of one entity below its service.

    >>> entity_path("A_SalesOrder", SalesOrder="1")
    "A_SalesOrder('1')"
    """
    parts = {key: quote(literal(value), safe="'") for key, value in keys.items()}
    if len(parts) == 1:
        return f"{name}({next(iter(parts.values()))})"
    return f"{name}({','.join(f'{key}={value}' for key, value in parts.items())})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked for of an entity set; all `conditions` must hold."""

    entity: str
    conditions: Sequence[str] = ()
    order: str = ""
    top: int | None = None
    expand: Sequence[str] = ()

    def pairs(self, service: Service) -> Pairs:
        """Return the query parameters."""
        found = [("$filter", " and ".join(self.conditions))] if self.conditions else []
        if self.order:
            found.append(("$orderby", self.order))
        if self.top is not None:
            found.append(("$top", str(self.top)))
        if self.expand:
            found.append(("$expand", ",".join(self.expand)))
        return found if service.v4 else [*found, ("$format", "json")]

    def only(self, *conditions: str) -> Query:
        """Return the query with more conditions."""
        return replace(self, conditions=[*self.conditions, *conditions])


def entity_of(service: Service, answer: Answer) -> Record:
    """Return the entity that is answered; raises BrokenError."""
    found = Record(answer.json())
    return found if service.v4 else found.record("d")


def entities_of(service: Service, answer: Answer) -> tuple[list[Record], str]:
    """Return the entities of a page, and the address of the page after it, empty if none is."""
    found = Record(answer.json())
    if service.v4:
        if "value" not in found.values:
            raise BrokenError(f"{SYSTEM} answered a list without entities", system=SYSTEM)
        return found.records("value"), found.text("@odata.nextLink")
    inner = found.record("d")
    if "results" not in inner.values:
        raise BrokenError(f"{SYSTEM} answered a list without entities", system=SYSTEM)
    return inner.records("results"), inner.text("__next")


def expanded(record: Record, name: str) -> list[Record]:
    """Return the entities that a navigation of V2 was expanded to."""
    return record.record(name).records("results")


def etag_of(record: Record) -> str:
    """Return the ETag of an entity of V2, empty if it has none."""
    return record.record("__metadata").text("etag")
