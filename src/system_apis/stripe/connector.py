"""A client of one Stripe account: reads, writes under idempotency keys, lists and searches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from portico.connectors.connection import Connection
from portico.connectors.failures import ConflictError, MissingError
from portico.connectors.messages import Errand, Pairs, read, write
from portico.connectors.record import Record
from portico.crossref.creating import Creation, Found, create_once
from portico.crossref.records import DeletedError, Key, Link
from portico.crossref.store import CrossReferences
from portico.server.call import Call, combine
from system_apis.stripe.dialect import SYSTEM
from system_apis.stripe.forms import Value, form

# Where a record keeps the key that an integration chose for it.
KEY = "external_key"
Values = Mapping[str, Value]
LookUp = Callable[[], Awaitable[Found[Record] | None]]
Create = Callable[[str], Awaitable[Found[Record]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list; `position` is after which record the next part begins, if there is one."""

    records: Sequence[Record]
    position: str | None


class Stripe:
    """One account, shared by all calls of a process."""

    def __init__(
        self, connection: Connection, references: CrossReferences, *, account: str
    ) -> None:
        self.connection = connection
        self.references = references
        self.account = account

    async def get(self, path: str, errand: Errand, query: Pairs = ()) -> Record:
        """Return a record; raises ConnectorError."""
        request = read(f"get {_name(path)}", f"v1/{path}", query)
        return Record((await self.connection.send(request, errand)).json())

    async def post(self, path: str, values: Values, errand: Errand, key: str = "") -> Record:
        """Create, change or act, once for each key; without a key, once for each call."""
        request = write(
            f"post {_name(path)}",
            f"v1/{path}",
            form=form(values),
            headers={"idempotency-key": key or uuid4().hex},
            repeatable=True,
        )
        return Record((await self.connection.send(request, errand)).json())

    async def end(self, path: str, errand: Errand) -> None:
        """End a record; one that is not there has ended, maybe by the try before this one."""
        request = write(f"delete {_name(path)}", f"v1/{path}", method="DELETE", repeatable=True)
        with suppress(MissingError):
            await self.connection.send(request, errand)

    async def page(
        self, path: str, errand: Errand, *, limit: int, after: str | None, query: Pairs = ()
    ) -> Page:
        """Return a part of a list, the newest records first."""
        asked = [*query, ("limit", str(limit))]
        if after is not None:
            asked.append(("starting_after", after))
        found = await self.get(path, errand, asked)
        records = found.records("data")
        more = found.flag("has_more") and bool(records)
        return Page(records=records, position=records[-1].text("id") if more else None)

    async def find_by_key(self, path: str, external_key: str, errand: Errand) -> Record | None:
        """Return the record of an external key.

        Stripe's search is up to a minute behind; a repetition that comes sooner is recognized by
        its idempotency key, which Stripe keeps for a day at least.
        """
        # An external key has no quotes in it, by the contract.
        query = [("query", f"metadata['{KEY}']:'{external_key}'"), ("limit", "2")]
        found = (await self.get(f"{path}/search", errand, query)).records("data")
        if len(found) > 1:
            ids = [record.text("id") for record in found]
            raise ConflictError(f"several records have the key {external_key}", record_ids=ids)
        return found[0] if found else None

    async def create(
        self, path: str, external_key: str, values: Values, call: Call[Stripe]
    ) -> tuple[Record, bool]:
        """Return the record of an external key and whether this call created it."""

        async def look_up() -> Found[Record] | None:
            record = await self.find_by_key(path, external_key, call)
            return None if record is None else Found(external_id=record.text("id"), record=record)

        async def create(operation_id: str) -> Found[Record]:
            metadata = values.get("metadata")
            named = {**(metadata if isinstance(metadata, Mapping) else {}), KEY: external_key}
            sent = {**values, "metadata": named}
            record = await self.post(path, sent, call, key=operation_id)
            return Found(external_id=record.text("id"), record=record, created=True)

        found = await self.create_once(path, external_key, call, look_up, create)
        if isinstance(found, Found):
            return found.record, found.created
        return await self._linked(path, found, call), False

    async def create_once(
        self,
        entity: str,
        external_key: str,
        call: Call[Stripe],
        look_up: LookUp,
        create: Create,
    ) -> Found[Record] | Link:
        key = Key(entity=entity, canonical_id=external_key, system=SYSTEM, instance=self.account)
        creation = Creation(
            key=key, external_key=external_key, look_up=look_up, create=create, keyed=True
        )
        return await create_once(self.references, creation, call.deadline.remaining())

    async def _linked(self, path: str, link: Link, errand: Errand) -> Record:
        record = await self.get(f"{path}/{link.external_id}", errand)
        if record.flag("deleted"):
            await self.references.bury(link.key)
            raise DeletedError(f"{link.external_id} was deleted in stripe", system=SYSTEM)
        return record

    def __repr__(self) -> str:
        return f"<Stripe {self.account} {self.connection!r}>"


def action_key(call: Call[Stripe], record_id: str) -> str:
    """Return the idempotency key of an action: the caller's, made its own; empty without one."""
    if not call.idempotency_key:
        return ""
    return combine(call.idempotency_key, SYSTEM, call.operation_id, record_id)


def _name(path: str) -> str:
    """Return a path without ids, for counters.

    >>> _name("invoices/in_1/finalize")
    'invoices finalize'
    """
    return " ".join(path.split("/")[::2])
