"""A client of one S/4HANA: entities read, listed, created once and changed at a version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from portico.connectors.connection import Connection
from portico.connectors.failures import BrokenError, ConnectorError
from portico.connectors.messages import Answer, Errand, Pairs, Request, read, write
from portico.connectors.pages import each_page
from portico.connectors.record import Record
from portico.crossref.creating import Creation, Found, create_once
from portico.crossref.records import DeletedError, Key
from portico.crossref.store import CrossReferences
from system_apis.sap import batch
from system_apis.sap.dialect import messages
from system_apis.sap.odata import Query, entities_of, entity_of
from system_apis.sap.s4 import S4, SYSTEM, Service

Values = Mapping[str, object]
LookUp = Callable[[], Awaitable[Found[Record] | None]]
Create = Callable[[str], Awaitable[Found[Record]]]
Linked = Callable[[str], Awaitable[Record | None]]
Messages = Sequence[Mapping[str, object]]

# Messages are for whoever reads our logs. Decimals of V4 in quotes, as V2 has them anyway.
_V2 = {"accept": "application/json", "accept-language": "en"}
_V4 = {**_V2, "accept": "application/json;IEEE754Compatible=true"}


class SAP:
    """One client of one system, shared by all calls of a process."""

    def __init__(
        self, connection: Connection, references: CrossReferences, s4: S4, *, client: str
    ) -> None:
        self.connection = connection
        self.references = references
        self.s4 = s4
        self._fixed: Pairs = [("sap-client", client)] if client else []

    def query(self, operation: str, service: Service, query: Query) -> Request:
        """Return the request for the first page of a query."""
        path = f"{service.path}/{query.entity}"
        return read(operation, path, [*query.pairs(service), *self._fixed], _accept(service))

    async def search(
        self, errand: Errand, operation: str, service: Service, query: Query
    ) -> list[Record]:
        """Return the entities of a query, from all pages that the system makes of them."""
        first = self.query(operation, service, query)

        async def send(request: Request) -> Answer:
            return await self.connection.send(request, errand)

        def following(page: Answer) -> Request | None:
            _, address = entities_of(service, page)
            return _next_page(operation, service, address) if address else None

        found: list[Record] = []
        async for page in each_page(send, first, following):
            found.extend(entities_of(service, page)[0])
        return found

    async def find(
        self, errand: Errand, operation: str, service: Service, query: Query
    ) -> Record | None:
        """Return the first entity of a query."""
        found = await self.search(errand, operation, service, replace(query, top=1))
        return found[0] if found else None

    async def create(
        self, errand: Errand, operation: str, service: Service, entity: str, values: Values
    ) -> tuple[Record, Messages]:
        """Create an entity with those below it; return it, and what the system says besides."""
        path = f"{service.path}/{entity}"
        request = write(operation, path, json=values, query=self._fixed, headers=_accept(service))
        answer = await self.connection.send(request, errand)
        return entity_of(service, answer), messages(answer)

    async def change(
        self, errand: Errand, operation: str, service: Service, change: batch.Change
    ) -> Messages:
        """Change an entity that is at an ETag; raises ConflictError.

        SAP answers 204 without a body, others the entity: what it became is read again.
        """
        headers = {**_accept(service), "if-match": change.etag} if change.etag else _accept(service)
        request = write(
            operation,
            f"{service.path}/{change.path}",
            method="PATCH",
            json=change.values,
            query=self._fixed,
            headers=headers,
        )
        return messages(await self.connection.send(request, errand))

    async def change_together(
        self, errand: Errand, operation: str, service: Service, changes: Sequence[batch.Change]
    ) -> Messages:
        """Change several entities, all or none; raises ConflictError."""
        body, media_type = batch.written(changes)
        request = Request(
            operation=operation,
            method="POST",
            path=f"{service.path}/$batch",
            query=self._fixed,
            headers={"content-type": media_type, "accept": "multipart/mixed"},
            content=body,
        )
        answers = batch.answers(await self.connection.send(request, errand))
        if len(answers) != len(changes):
            raise BrokenError(f"{SYSTEM} answered some changes of a batch only", system=SYSTEM)
        return [each for answer in answers for each in messages(answer)]

    async def create_once(
        self,
        errand: Errand,
        entity: str,
        name: str,
        look_up: LookUp,
        create: Create,
        linked: Linked,
    ) -> Found[Record]:
        """Return the entity of a name, created by this call or another.

        SAP has no idempotency keys. So attempts at one name exclude one another, across processes,
        and each looks for what an earlier one may have left. `linked` reads what is known to be
        there.
        """

        async def create_or_find(operation_id: str) -> Found[Record]:
            try:
                return await create(operation_id)
            except ConnectorError as error:
                if not error.in_doubt:
                    raise
                found = await _look_again(look_up, error)
                if found is None:
                    raise
                return found

        key = Key(entity=entity, canonical_id=name, system=SYSTEM, instance=self.s4.instance)
        creation = Creation(
            key=key, external_key=name, look_up=look_up, create=create_or_find, keyed=False
        )
        made = await create_once(self.references, creation, errand.deadline.remaining())
        if isinstance(made, Found):
            return made
        record = await linked(made.external_id)
        if record is None:
            await self.references.bury(key)
            raise DeletedError(f"{made.external_id} was deleted in {SYSTEM}", system=SYSTEM)
        return Found(external_id=made.external_id, record=record)

    def __repr__(self) -> str:
        return f"<SAP {self.s4.instance} {self.connection!r}>"


@contextmanager
def after_writing() -> Iterator[None]:
    """Say of a failure to read back that what was written before it is there."""
    try:
        yield
    except ConnectorError as error:
        error.in_doubt = True
        raise


async def _look_again(look_up: LookUp, error: ConnectorError) -> Found[Record] | None:
    """Return what a write in doubt left; raises that error if it cannot be found out."""
    try:
        return await look_up()
    except ConnectorError:
        raise error from None


def _accept(service: Service) -> Mapping[str, str]:
    return _V4 if service.v4 else _V2


def _next_page(operation: str, service: Service, address: str) -> Request:
    """Return the request for a page that the system names, by its whole address or by its end."""
    target = urlsplit(address)
    at = target.path.find(service.path)
    path = target.path[at:] if at >= 0 else f"{service.path}/{target.path}"
    if "/../" in f"/{path}/" or (target.scheme and at < 0):
        raise BrokenError(f"{SYSTEM} answered a page that leads nowhere", system=SYSTEM)
    asked = f"{path}?{target.query}"
    return read(operation, asked, headers=_accept(service))
