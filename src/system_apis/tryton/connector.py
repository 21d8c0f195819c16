"""A client of one Tryton database, authenticated by an application key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

import httpx

from portico.connectors.turns import Turns
from system_apis.tryton.failures import (
    BrokenError,
    OutOfTimeError,
    UnavailableError,
    UnreachableError,
)
from system_apis.tryton.outage import Outage
from system_apis.tryton.rest import Answer, Request, judge, map_exceptions, read_answer
from system_apis.tryton.wire import Record, encode_argument, records

if TYPE_CHECKING:
    from portico.deadline import Deadline
    from portico.trace import Trace

Domain = Sequence[object]
Values = Mapping[str, object]

# The share of a deadline that finding a free or new connection may use.
CONNECT_SHARE = 0.9
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
        self,
        http: httpx.AsyncClient,
        *,
        instance: str,
        company: int | None = None,
        connect_seconds: float = 2.0,
    ) -> None:
        self.instance = instance
        self.turns = Turns()
        self._http = http
        self._company_id = company
        self._connect_seconds = connect_seconds
        self._company: tuple[float, Company] | None = None
        self._outage = Outage()

    async def enter(self, deadline: Deadline, trace: Trace) -> Exchange:
        """Return what one call talks to Tryton through, within its deadline and as our company."""
        outside = Exchange(self, deadline, trace, {})
        company = await self._find_company(outside)
        # Names of units and messages are translated: we map the English ones.
        context = {"company": company.id, "language": "en"}
        return Exchange(self, deadline, trace, context, company)

    async def send(self, request: Request, deadline: Deadline, trace: Trace) -> object:
        """Send a request and return the data answered; raises TrytonError.

        A read whose connection broke is sent once more: Tryton may have closed a kept connection
        at that moment, and a second read cannot hurt.
        """
        try:
            return await self._send_once(request, deadline, trace)
        except UnavailableError as error:
            if request.writes or not error.in_doubt:
                raise
        return await self._send_once(request, deadline, trace)

    async def _send_once(self, request: Request, deadline: Deadline, trace: Trace) -> object:
        remaining = deadline.remaining()
        if remaining <= 0:
            raise OutOfTimeError("the time ran out before tryton was asked")
        self._outage.check()
        answer = await self._exchange(self._prepare(request, remaining, trace), remaining)
        self._outage.ended()
        if answer.status == 429:
            self._outage.asked_to_wait(answer.retry_after())
        return judge(request, answer)

    def _prepare(self, request: Request, remaining: float, trace: Trace) -> httpx.Request:
        headers = {**request.headers, **dict(trace.child().headers())}
        content = request.content
        if content is not None:
            headers["content-type"] = "application/json"
        waiting = remaining * CONNECT_SHARE
        connecting = min(self._connect_seconds, waiting)
        timeout = httpx.Timeout(remaining, connect=connecting, pool=waiting)
        return self._http.build_request(
            request.method, request.target, headers=headers, content=content, timeout=timeout
        )

    async def _exchange(self, request: httpx.Request, remaining: float) -> Answer:
        try:
            # httpx limits each wait for bytes; only this limits the sum of them.
            with map_exceptions():
                async with asyncio.timeout(remaining):
                    return await read_answer(await self._http.send(request, stream=True))
        except UnreachableError:
            self._outage.failed()
            raise

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
            raise BrokenError("tryton shows no company, or several: set the company of this API")
        party, currency = found[0].one("party"), found[0].one("currency")
        if party is None or currency is None:
            raise BrokenError("the company in tryton has no party or no currency")
        company = Company(
            id=found[0].id,
            party=party.id,
            currency=currency.text("code"),
            digits=int(currency.number("digits")),
        )
        self._company = (monotonic() + COMPANY_SECONDS, company)
        return company

    def __repr__(self) -> str:
        return f"<Tryton {self.instance} {self._outage!r}>"


class Exchange:
    """What one call says to Tryton, each request within its deadline, trace and context."""

    __slots__ = ("_company", "_context", "_deadline", "_trace", "_tryton")

    def __init__(
        self,
        tryton: Tryton,
        deadline: Deadline,
        trace: Trace,
        context: Values,
        company: Company | None = None,
    ) -> None:
        self._tryton = tryton
        self._deadline = deadline
        self._trace = trace
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
        return Exchange(self._tryton, self._deadline, self._trace, merged, self._company)

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
        return await self._tryton.send(request, self._deadline, self._trace)
