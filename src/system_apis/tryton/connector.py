"""A client of one Tryton database, authenticated by an application key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from portico.connectors.connection import Connection
from portico.connectors.failures import BrokenError
from portico.connectors.messages import Errand, Job
from portico.connectors.turns import Turns
from portico.deadline import Deadline
from portico.trace import Trace
from system_apis.tryton.rest import Request, data_of
from system_apis.tryton.wire import SYSTEM, Record, encode_argument, records

Domain = Sequence[object]
Values = Mapping[str, object]

# How long the company is remembered, in which nobody changes its currency unnoticed.
COMPANY_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """The company we work for, and the currency its prices are in."""

    id: int
    party: int
    currency: str
    digits: int


class Tryton:
    """Tryton behind one base URL, shared by all calls of a process."""

    def __init__(
        self, connection: Connection, *, instance: str, company: int | None = None
    ) -> None:
        self.connection = connection
        self.instance = instance
        self.turns = Turns()
        self._company_id = company
        self._company: tuple[float, Company] | None = None

    async def enter(self, deadline: Deadline, trace: Trace) -> Exchange:
        """Return what one call talks to Tryton through, within its deadline and as our company."""
        errand = Job(deadline=deadline, trace=trace)
        company = await self._find_company(Exchange(self, errand, {}))
        # Names of units and messages are translated: we map the English ones.
        context = {"company": company.id, "language": "en"}
        return Exchange(self, errand, context, company)

    async def send(self, request: Request, errand: Errand) -> object:
        """Send a request and return the data answered; raises ConnectorError."""
        return data_of(await self.connection.send(request.message(), errand))

    async def _find_company(self, exchange: Exchange) -> Company:
        if self._company is not None and monotonic() < self._company[0]:
            return self._company[1]
        wanted = [] if self._company_id is None else [["id", "=", self._company_id]]
        found = await exchange.search(
            "company.company",
            fields=["party.id", "currency.code", "currency.digits"],
            domain=wanted,
            limit=2,
        )
        if len(found) != 1:
            message = "tryton shows no company, or several: set the company of this API"
            raise BrokenError(message, system=SYSTEM)
        party, currency = found[0].one("party"), found[0].one("currency")
        if party is None or currency is None:
            message = "the company in tryton has no party or no currency"
            raise BrokenError(message, system=SYSTEM)
        company = Company(
            id=found[0].id,
            party=party.id,
            currency=currency.text("code"),
            digits=int(currency.number("digits")),
        )
        self._company = (monotonic() + COMPANY_SECONDS, company)
        return company

    def __repr__(self) -> str:
        return f"<Tryton {self.instance} {self.connection!r}>"


class Exchange:
    """What one call says to Tryton, each request within its deadline, trace and context."""

    __slots__ = ("_company", "_context", "_errand", "_tryton")

    def __init__(
        self,
        tryton: Tryton,
        errand: Errand,
        context: Values,
        company: Company | None = None,
    ) -> None:
        self._tryton = tryton
        self._errand = errand
        self._context = context
        self._company = company

    @property
    def company(self) -> Company:
        """Return the company we work for."""
        if self._company is None:
            raise LookupError("the company is known only after Tryton.enter")
        return self._company

    @property
    def instance(self) -> str:
        """Return the name of the database, which is part of every external id."""
        return self._tryton.instance

    def within(self, context: Values) -> Exchange:
        """Return an exchange with more context, such as the locations that stock is counted in."""
        merged = {**self._context, **context}
        return Exchange(self._tryton, self._errand, merged, self._company)

    async def search(
        self,
        model: str,
        *,
        fields: Sequence[str],
        domain: Domain = (),
        order: Domain = (),
        limit: int,
    ) -> list[Record]:
        """Return the first records of a domain, at most `limit`."""
        query = {"d": encode_argument(list(domain))}
        if order:
            query["o"] = encode_argument(list(order))
        request = Request(
            method="GET",
            path=model,
            fields=fields,
            query=query,
            # The end is not part of the range, whatever the Range header of HTTP says.
            headers={"range": f"records=0-{limit}"},
        )
        return records(await self._send(request))

    async def read(self, model: str, number: int, fields: Sequence[str]) -> Record:
        """Return a record by its number; raises MissingError."""
        return await self._one(Request(method="GET", path=f"{model}/{number}", fields=fields))

    async def create(self, model: str, values: Values, fields: Sequence[str]) -> Record:
        """Create a record and return it."""
        return await self._one(Request(method="POST", path=model, fields=fields, body=values))

    async def write(self, model: str, number: int, values: Values, fields: Sequence[str]) -> Record:
        """Change a record and return it."""
        path = f"{model}/{number}"
        return await self._one(Request(method="PUT", path=path, fields=fields, body=values))

    async def press(self, model: str, number: int, button: str, fields: Sequence[str]) -> Record:
        """Press a button of a record, as its form in Tryton shows it, and return the record."""
        path = f"{model}/{number}/{button}"
        return await self._one(Request(method="POST", path=path, fields=fields, body={}))

    async def on_change(
        self, model: str, number: int, names: Sequence[str]
    ) -> Mapping[str, object]:
        """Return what Tryton would change in a record if these fields had just been entered."""
        path = f"{model}/{number}/on_change"
        change = await self._send(
            Request(method="POST", path=path, body={"fieldnames": list(names)})
        )
        return change if isinstance(change, dict) else {}

    async def delete(self, model: str, number: int) -> None:
        """Delete a record."""
        await self._send(Request(method="DELETE", path=f"{model}/{number}"))

    async def _one(self, request: Request) -> Record:
        return Record(await self._send(request))

    async def _send(self, request: Request) -> object:
        if self._context:
            context = {"x-tryton-context": encode_argument(self._context)}
            request = replace(request, headers={**request.headers, **context})
        return await self._tryton.send(request, self._errand)
