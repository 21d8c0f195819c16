"""A client of one org: queries, upserts by external id, composite requests and trees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote

from portico.connectors.connection import Connection
from portico.connectors.failures import BrokenError, ConnectorError
from portico.connectors.messages import Answer, Errand, Request, read, write
from portico.connectors.pages import each_page
from portico.connectors.record import Record
from portico.crossref.creating import Creation, Found, create_once
from portico.crossref.records import DeletedError, Key
from portico.crossref.store import CrossReferences
from system_apis.salesforce.dialect import DAILY_CALLS
from system_apis.salesforce.org import SYSTEM, Org
from system_apis.salesforce.records import rows_of
from system_apis.salesforce.reserve import Reserve
from system_apis.salesforce.soql import Query, equal

Values = Mapping[str, object]
LookUp = Callable[[], Awaitable[Found[Record] | None]]
Create = Callable[[str], Awaitable[Found[Record]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a composite request: its path is below /services/data/{version}."""

    name: str
    method: str
    path: str
    body: Values | None = None


class Salesforce:
    """One org, shared by all calls of a process."""

    def __init__(
        self,
        connection: Connection,
        references: CrossReferences,
        org: Org,
        *,
        version: str,
        reserved_calls: int,
    ) -> None:
        self.org = org
        self.references = references
        self.connection = connection
        self._base = f"services/data/v{version}"
        self._reserve = Reserve(reserved_calls)

    def query(self, operation: str, query: Query, *, deleted: bool = False) -> Request:
        """Return the request for the first page of a query."""
        resource = "queryAll" if deleted else "query"
        return read(operation, f"{self._base}/{resource}", [("q", str(query))])

    async def search(
        self, errand: Errand, operation: str, query: Query, *, deleted: bool = False
    ) -> list[Record]:
        """Return the records of a query, the deleted too if asked for, from all its pages."""
        self._reserve.check(self.connection.allowances.get(DAILY_CALLS))
        first = self.query(operation, query, deleted=deleted)

        async def send(request: Request) -> Answer:
            return await self.connection.send(request, errand)

        found: list[Record] = []
        # An org may put fewer records into a page than was asked for, if they are wide.
        async for page in each_page(send, first, lambda page: _following(operation, page)):
            found.extend(rows_of(Record(page.record())))
        return found

    async def find(self, errand: Errand, operation: str, query: Query) -> Record | None:
        """Return the first record of a query."""
        request = self.query(operation, query)
        found = rows_of(Record((await self.connection.send(request, errand)).record()))
        return found[0] if found else None

    async def find_all(
        self, errand: Errand, operation: str, queries: Sequence[Query]
    ) -> list[list[Record]]:
        """Return the records of several short queries, asked in one call."""
        parts = [self._query_part(f"query{n}", query) for n, query in enumerate(queries)]
        answers = await self._composite(errand, operation, parts)
        return [rows_of(Record(answer.get("body"))) for answer in answers]

    async def put(
        self, errand: Errand, operation: str, key: str, values: Values, shown: Query
    ) -> tuple[Record, bool]:
        """Create or change the record of an external key; return it, and whether it is new.

        `shown` says what is read back in the same call, which is also what makes it one call.
        """
        field = self.org.external_id_field
        path = f"sobjects/{shown.source}/{field}/{quote(key, safe='')}"
        query = Query(
            source=shown.source, fields=shown.fields, conditions=[equal(field, key)], limit=1
        )
        put = Part(name="put", method="PATCH", path=path, body=values)
        written, read_back = await self._composite(
            errand, operation, [put, self._query_part("shown", query)]
        )
        return _first(read_back), written.get("httpStatusCode") == 201

    async def change(
        self, errand: Errand, operation: str, record_id: str, values: Values, shown: Query
    ) -> Record:
        """Change a record to a state that may be asked for again, and return it."""
        path = f"sobjects/{shown.source}/{record_id}"
        query = Query(
            source=shown.source, fields=shown.fields, conditions=[equal("Id", record_id)], limit=1
        )
        change = Part(name="change", method="PATCH", path=path, body=values)
        _, read_back = await self._composite(
            errand, operation, [change, self._query_part("shown", query)]
        )
        return _first(read_back)

    async def change_unmodified(
        self,
        errand: Errand,
        operation: str,
        record_id: str,
        values: Values,
        *,
        entity: str,
        since: datetime,
    ) -> None:
        """Change a record that nobody changed after a moment; raises ConflictError.

        The moment is compared to the second, so that a change within it goes unnoticed.
        """
        headers = {"if-unmodified-since": format_datetime(since, usegmt=True)}
        path = f"{self._base}/sobjects/{entity}/{record_id}"
        request = write(operation, path, method="PATCH", json=values, headers=headers)
        await self.connection.send(request, errand)

    async def create_tree(
        self, errand: Errand, operation: str, entity: str, record: Values
    ) -> None:
        """Create a record with its children, all or none; raises DuplicateError.

        The record carries an external key that is unique in the org. So it may be sent again: what
        the org has already it refuses.
        """
        path = f"{self._base}/composite/tree/{entity}"
        body = {"records": [record]}
        await self.connection.send(write(operation, path, json=body, repeatable=True), errand)

    async def create_once(
        self, errand: Errand, entity: str, key: str, look_up: LookUp, create: Create
    ) -> Found[Record]:
        """Return the record of an external key that is unique, and keep where it is.

        Attempts need not exclude one another: Salesforce refuses a second record of the key.
        """
        name = Key(entity=entity, canonical_id=key, system=SYSTEM, instance=self.org.instance)
        creation = Creation(key=name, external_key=key, look_up=look_up, create=create, keyed=True)
        made = await create_once(self.references, creation, errand.deadline.remaining())
        found = made if isinstance(made, Found) else await look_up()
        if found is None:
            await self.references.bury(name)
            raise DeletedError(f"the {entity} of this key was deleted", system=SYSTEM)
        return found

    async def _composite(
        self, errand: Errand, operation: str, parts: Sequence[Part]
    ) -> list[Mapping[str, object]]:
        """Send several requests in one, all or none, and return what became of each.

        Every part asks for a state, so that the whole may be sent again.
        """
        body = {"allOrNone": True, "compositeRequest": [self._subrequest(part) for part in parts]}
        request = write(operation, f"{self._base}/composite", json=body, repeatable=True)
        answers = (await self.connection.send(request, errand)).record().get("compositeResponse")
        if not isinstance(answers, list) or len(answers) != len(parts):
            raise BrokenError(f"{SYSTEM} answered some parts of a request only", system=SYSTEM)
        return [answer if isinstance(answer, dict) else {} for answer in answers]

    def _subrequest(self, part: Part) -> Values:
        subrequest: dict[str, object] = {
            "method": part.method,
            "url": f"/{self._base}/{part.path}",
            "referenceId": part.name,
        }
        if part.body is not None:
            subrequest["body"] = part.body
        return subrequest

    def _query_part(self, name: str, query: Query) -> Part:
        return Part(name=name, method="GET", path=f"query?q={quote(str(query), safe='')}")

    def __repr__(self) -> str:
        return f"<Salesforce {self.org.instance} {self.connection!r}>"


@contextmanager
def after_writing() -> Iterator[None]:
    """Say of a failure to read back that what was written before it is there."""
    try:
        yield
    except ConnectorError as error:
        error.in_doubt = True
        raise


def _first(answer: Mapping[str, object]) -> Record:
    found = rows_of(Record(answer.get("body")))
    if not found:
        raise BrokenError(f"{SYSTEM} does not show what it was given", system=SYSTEM)
    return found[0]


def _following(operation: str, page: Answer) -> Request | None:
    """Return the request for the page after one, None after the last."""
    answer = Record(page.record())
    if answer.flag("done"):
        return None
    path = answer.text("nextRecordsUrl").removeprefix("/")
    if not path.startswith("services/data/"):
        raise BrokenError(f"{SYSTEM} answered a page that leads nowhere", system=SYSTEM)
    return read(operation, path)
