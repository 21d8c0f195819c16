"""A connection to one system with one credential: budget, token, exchange, verdict, next try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic

from portico.connectors.budget import Budget, Rate
from portico.connectors.classification import Allowance, Dialect, classify
from portico.connectors.counters import Counters, OperationCounters
from portico.connectors.credentials import Authorization, Credentials
from portico.connectors.failures import (
    ConnectorError,
    QuotaError,
    ThrottledError,
    UnavailableError,
)
from portico.connectors.messages import Answer, Errand, Request
from portico.connectors.outage import Outage
from portico.connectors.retries import next_try
from portico.connectors.wire import ConnectionSettings, Wire, open_wire

logger = logging.getLogger("portico.connectors")


class Connection:
    """Sends requests to one system, shared by all calls of a process."""

    def __init__(
        self,
        wire: Wire,
        dialect: Dialect,
        credentials: Credentials,
        budget: Budget,
        *,
        base_url: str,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.counters = Counters()
        self.allowances: dict[str, Allowance] = {}
        self._wire = wire
        self._dialect = dialect
        self._credentials = credentials
        self._budget = budget
        self._outage = Outage(dialect.system)

    @property
    def asked(self) -> str:
        """Return the address that was asked last, that of the token endpoint too."""
        return self._wire.asked or self.base_url

    @property
    def server_date(self) -> str:
        """Return the Date of the last answer, of the token endpoint too; empty without one."""
        return self._wire.server_date

    async def send(self, request: Request, errand: Errand) -> Answer:
        """Return the answer of a request that succeeded; raises ConnectorError.

        It is tried again where that is safe and of use, within the deadline of the errand.
        """
        counters = self.counters.of(request.operation)
        counters.calls += 1
        began = monotonic()
        try:
            return await self._send(request, errand, counters)
        except ConnectorError as error:
            error.system = error.system or self._dialect.system
            # Whoever may send it again need not know whether it took effect.
            error.in_doubt = error.in_doubt and not request.repeatable
            counters.failures[type(error).__name__] += 1
            raise
        finally:
            counters.seconds += monotonic() - began

    async def _send(self, request: Request, errand: Errand, counters: OperationCounters) -> Answer:
        self._outage.check()
        tries, renewed = 0, False
        while True:
            authorization = None
            counters.tries += 1
            try:
                authorization = await self._credentials.authorize(request, errand)
                return await self._try(request, authorization, errand)
            except ConnectorError as error:
                tries += 1
                remaining = errand.deadline.remaining()
                retry = next_try(error, request, tries=tries, renewed=renewed, remaining=remaining)
                # Others found the system down as well: whoever asks now hears it at once.
                if retry is None or self._outage.known:
                    raise
                if retry.renew:
                    renewed = True
                    if authorization is None or not self._credentials.reject(authorization):
                        raise
                logger.debug("%s is tried again after %s", request, type(error).__name__)
            await asyncio.sleep(retry.after_seconds)

    async def _try(self, request: Request, authorization: Authorization, errand: Errand) -> Answer:
        span = errand.trace.child()
        headers = {**request.headers, **authorization.headers, **dict(span.headers())}
        base_url = authorization.base_url.rstrip("/") or self.base_url
        began = monotonic()
        try:
            async with self._budget.spend(errand.deadline):
                answer = await self._wire.exchange(
                    request.method,
                    f"{base_url}/{request.target}",
                    headers=headers,
                    content=request.content,
                    deadline=errand.deadline,
                )
            failure = classify(self._dialect, request, answer)
            if isinstance(failure, UnavailableError):
                raise failure
        except UnavailableError:
            self._outage.failed()
            raise
        self._note(answer, failure)
        logger.debug(
            "%s: %s in %.0f ms, trace %s span %s",
            request,
            answer.status,
            (monotonic() - began) * 1000,
            span.trace_id,
            span.span_id,
        )
        if failure is not None:
            raise failure
        return answer

    def _note(self, answer: Answer, failure: ConnectorError | None) -> None:
        """Keep what an answer tells about limits and health."""
        for allowance in self._dialect.read_allowances(answer):
            self.allowances[allowance.name] = allowance
        self._outage.ended()
        if isinstance(failure, ThrottledError | QuotaError) and failure.retry_after_seconds:
            # Everyone with this credential would be refused until then.
            self._budget.pause(failure.retry_after_seconds)

    def __repr__(self) -> str:
        return f"<Connection {self._dialect.system} {self._budget!r} {self._outage!r}>"


@asynccontextmanager
async def open_connection(
    settings: ConnectionSettings,
    dialect: Dialect,
    credentials: Callable[[Wire], Credentials],
    *,
    rates: Sequence[Rate] = (),
    concurrent: int | None = None,
) -> AsyncIterator[Connection]:
    """Open a connection; `credentials` makes them on the wire that also fetches their tokens."""
    async with open_wire(settings, dialect.system) as wire:
        made = credentials(wire)
        budget = Budget(
            system=dialect.system, rates=rates, concurrent=concurrent or settings.max_connections
        )
        try:
            yield Connection(wire, dialect, made, budget, base_url=str(settings.base_url))
        finally:
            await made.aclose()
