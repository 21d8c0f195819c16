"""A client of one QuickBooks company: reads, queries, writes with request ids, changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from portico.connectors.connection import Connection
from portico.connectors.failures import ConflictError
from portico.connectors.messages import Errand, read, write
from portico.connectors.record import Record
from portico.connectors.versions import change
from portico.crossref.creating import Creation, Found, create_once
from portico.crossref.records import Key
from portico.crossref.store import CrossReferences
from portico.server.call import Call, combine
from system_apis.quickbooks import queries
from system_apis.quickbooks.dialect import SYSTEM

# Anything lower is answered as 75 since August 2025.
MINOR_VERSION = ("minorversion", "75")
# QuickBooks takes 50 characters of a request id.
REQUEST_ID_LENGTH = 40
LookUp = Callable[[], Awaitable[Record | None]]
Values = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list; `position` is where the next part begins, if there is one."""

    records: Sequence[Record]
    position: str | None


class QuickBooks:
    """One company, shared by all calls of a process."""

    def __init__(
        self,
        connection: Connection,
        references: CrossReferences,
        *,
        realm_id: str,
        currency: str,
    ) -> None:
        self.connection = connection
        self.references = references
        self.realm_id = realm_id
        self.currency = currency
        self._base = f"v3/company/{realm_id}"

    async def get(self, entity: str, record_id: str, errand: Errand) -> Record:
        """Return a record; raises ConnectorError."""
        path = f"{self._base}/{entity.lower()}/{record_id}"
        request = read(f"get {entity}", path, [MINOR_VERSION])
        answer = await self.connection.send(request, errand)
        return Record(answer.json()).record(entity)

    async def query(self, entity: str, text: str, errand: Errand) -> list[Record]:
        """Return the records of a query."""
        request = read(f"query {entity}", f"{self._base}/query", [("query", text), MINOR_VERSION])
        answer = await self.connection.send(request, errand)
        return Record(answer.json()).record("QueryResponse").records(entity)

    async def page(
        self,
        entity: str,
        errand: Errand,
        *,
        conditions: Sequence[str] = (),
        limit: int,
        start: int,
    ) -> Page:
        """Return a part of a list, the oldest records first."""
        text = queries.select(entity, conditions, start=start, limit=limit + 1)
        found = await self.query(entity, text, errand)
        position = str(start + limit) if len(found) > limit else None
        return Page(records=found[:limit], position=position)

    async def find(self, entity: str, conditions: Sequence[str], errand: Errand) -> Record | None:
        """Return the only record that matches; raises ConflictError if there are several."""
        found = await self.query(entity, queries.select(entity, conditions, limit=2), errand)
        if len(found) > 1:
            ids = [record.text("Id") for record in found]
            raise ConflictError(f"several records match as {entity}", record_ids=ids)
        return found[0] if found else None

    async def post(
        self, entity: str, values: Values, errand: Errand, *, key: str = "", operation: str = ""
    ) -> Record:
        """Create or change a record, or act on one, once for each key."""
        query = [MINOR_VERSION, ("requestid", (key or uuid4().hex)[:REQUEST_ID_LENGTH])]
        if operation:
            query.append(("operation", operation))
        request = write(
            f"{operation or 'post'} {entity}",
            f"{self._base}/{entity.lower()}",
            json=values,
            query=query,
            repeatable=True,
        )
        answer = await self.connection.send(request, errand)
        return Record(answer.json()).record(entity)

    async def change(self, entity: str, record_id: str, values: Values, errand: Errand) -> Record:
        """Change members of a record at its newest version; the others stay as they are."""

        async def read_it() -> Record:
            return await self.get(entity, record_id, errand)

        async def write_it(record: Record) -> Record:
            versioned = {"Id": record_id, "SyncToken": record.text("SyncToken"), "sparse": True}
            return await self.post(entity, {**versioned, **values}, errand)

        return await change(read_it, write_it)

    async def create(
        self,
        entity: str,
        external_key: str,
        values: Values,
        look_up: LookUp,
        call: Call[QuickBooks],
    ) -> tuple[Record, bool]:
        """Return the record of an external key and whether this call created it."""

        async def find() -> Found[Record] | None:
            record = await look_up()
            return None if record is None else _found(record, created=False)

        async def create(operation_id: str) -> Found[Record]:
            record = await self.post(entity, values, call, key=operation_id)
            return Found(external_id=record.text("Id"), record=record, created=True)

        key = Key(entity=entity, canonical_id=external_key, system=SYSTEM, instance=self.realm_id)
        creation = Creation(
            key=key, external_key=external_key, look_up=find, create=create, keyed=True
        )
        found = await create_once(self.references, creation, call.deadline.remaining())
        if isinstance(found, Found):
            return found.record, found.created
        return await self.get(entity, found.external_id, call), False

    async def linked_id(self, entity: str, external_key: str) -> str | None:
        """Return the id of the record that was put under an external key."""
        link = await self.references.find(self._key(entity, external_key))
        return link.external_id if link is not None and link.state == "linked" else None

    async def keys_of(self, entity: str, records: Sequence[Record]) -> Mapping[str, str]:
        """Return the external keys that records were put under, by their ids."""
        ids = [record.text("Id") for record in records]
        return await self.references.keys_of(entity, SYSTEM, self.realm_id, ids)

    async def note_write(self, entity: str, external_key: str, record: Record) -> None:
        """Remember the version we wrote, so that its echo among the changes is known."""
        key = self._key(entity, external_key)
        await self.references.note_write(key, version=record.text("SyncToken"), written_hash="")

    def _key(self, entity: str, external_key: str) -> Key:
        return Key(entity=entity, canonical_id=external_key, system=SYSTEM, instance=self.realm_id)

    async def changes(
        self, entities: Sequence[str], since: str, errand: Errand
    ) -> Mapping[str, list[Record]]:
        """Return what was changed since a moment, by entity; deleted records have a status."""
        query = [("entities", ",".join(entities)), ("changedSince", since), MINOR_VERSION]
        request = read("changes", f"{self._base}/cdc", query)
        answer = await self.connection.send(request, errand)
        found: dict[str, list[Record]] = {entity: [] for entity in entities}
        for response in Record(answer.json()).records("CDCResponse"):
            for part in response.records("QueryResponse"):
                for entity in entities:
                    found[entity] += part.records(entity)
        return found

    def __repr__(self) -> str:
        return f"<QuickBooks {self.realm_id} {self.connection!r}>"


def _found(record: Record, *, created: bool) -> Found[Record]:
    return Found(
        external_id=record.text("Id"),
        record=record,
        version=record.text("SyncToken"),
        created=created,
    )


def action_key(call: Call[QuickBooks], record_id: str) -> str:
    """Return the request id of an action: the caller's key, made its own; empty without one."""
    if not call.idempotency_key:
        return ""
    return combine(call.idempotency_key, SYSTEM, call.operation_id, record_id)
