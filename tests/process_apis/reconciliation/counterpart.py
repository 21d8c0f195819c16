"""Systems as their contracts have them, with as many invoices as a test wants, or customers.

A server on loopback: what the gateway sees of another process is bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from portico.connectors.pages import from_cursor, to_cursor
from portico.sandbox.running import serve_on_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MADE_AT = "2026-03-02T09:30:00Z"
# Of so many invoices one differs in each way.
EVERY = 500
KINDS = ("missing", "amount_differs", "currency_differs", "status_differs", "duplicate", "only_in")
_SECONDS = 15


@dataclass(slots=True)
class Counterpart:
    """What the systems hold, what goes wrong, and what they were asked."""

    records: int
    customers: int = 0
    page_seconds: float = 0.0
    url: str = ""
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def expected(self) -> Counter[str]:
        """Return how many differences of each kind there are."""
        return Counter(dict.fromkeys(KINDS, self.records // EVERY))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del receive
        _, _, system, _, name = scope["path"].split("/")
        query = parse_qs(scope["query_string"].decode())
        start = int(from_cursor(query["cursor"][0])) if "cursor" in query else 0
        limit = int(query["limit"][0])
        if name != "invoices":
            listed = self.customers if name == "customers" else 0
            await _answer(send, 200, _page(start, limit, listed, _customer(system)))
            return
        self.asked[system, start // limit] += 1
        if self.page_seconds:
            await asyncio.sleep(self.page_seconds)
        if self.failures.get((system, start // limit), 0) > 0:
            self.failures[system, start // limit] -= 1
            await _answer(send, 503, _unavailable(system))
            return
        invoice = functools.partial(self._invoice, system)
        await _answer(send, 200, _page(start, limit, self.total(system), invoice))

    def total(self, system: str) -> int:
        """Return how many invoices a system lists; the books list the doubles at the end."""
        differences = self.records // EVERY
        return self.records if system == "stripe" else self.records + differences

    def _invoice(self, system: str, index: int) -> dict[str, Any]:
        if system == "stripe":
            return _invoice(system, f"in_{index}", f"INV-{index:07d}")
        if index >= self.records:
            number = (index - self.records) * EVERY + KINDS.index("duplicate")
            return _invoice(system, str(index + 1), f"INV-{number:07d}")
        invoice = _invoice(system, str(index + 1), f"INV-{index:07d}")
        match index % EVERY:
            # Entered under another number: one is missing, and one is only here.
            case 0:
                invoice["number"] = f"HAND-{index:07d}"
            case 1:
                invoice["totals"]["net"]["amount"] = "54.79"
            case 2:
                invoice["currency"] = "USD"
            case 3:
                invoice["status"] = "paid"
        return invoice


def _page(
    start: int, limit: int, total: int, record: Callable[[int], dict[str, Any]]
) -> dict[str, Any]:
    numbers = range(start, min(start + limit, total))
    page: dict[str, Any] = {"items": [record(number) for number in numbers]}
    if start + limit < total:
        page["nextCursor"] = to_cursor(str(start + limit))
    return page


def _customer(system: str) -> Callable[[int], dict[str, Any]]:
    """Return what makes the customers of a system: the ERP calls them by their keys.

    The books know no keys, so there they are found by their names; of so many one has another.
    """

    def customer(number: int) -> dict[str, Any]:
        key = f"C-{number:07d}"
        record_id = key if system == "tryton" else f"{system[:2]}-{number}"
        renamed = system == "stripe" and number % EVERY == 0
        external = {"system": system, "instance": "x", "entity": "c", "id": record_id}
        found: dict[str, Any] = {
            "id": record_id,
            "type": "customer",
            "externalIds": [external],
            "createdAt": MADE_AT,
            "kind": "organization",
            "name": f"Somebody {number}" if renamed else f"Quay {number}",
            "status": "active",
        }
        if system == "salesforce":
            found["externalIds"].append({**external, "id": key, "role": "external-key"})
        elif system == "stripe":
            found["extensions"] = {"stripe": {"externalKey": key}}
        return found

    return customer


def _invoice(system: str, record_id: str, number: str) -> dict[str, Any]:
    money = {"amount": "54.80", "currency": "EUR"}
    return {
        "id": record_id,
        "type": "invoice",
        "externalIds": [{"system": system, "instance": "x", "entity": "i", "id": record_id}],
        "createdAt": MADE_AT,
        "kind": "invoice",
        "number": number,
        "customerId": "1",
        "currency": "EUR",
        "status": "issued",
        "lines": [{"lineNo": 1, "netAmount": money}],
        "totals": {name: dict(money) for name in ("net", "tax", "gross", "paid", "due")},
    }


def _unavailable(system: str) -> dict[str, Any]:
    return {"title": "Down", "status": 503, "detail": f"{system} does not answer", "system": system}


async def _answer(send: Any, status: int, body: Any) -> None:
    kind = b"application/json" if status == 200 else b"application/problem+json"
    content = orjson.dumps(body)
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@contextlib.contextmanager
def serving_counterpart(counterpart: Counterpart) -> Iterator[Counterpart]:
    """Serve it on a thread until the end of the block."""
    started: Future[str] = Future()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with serve_on_loopback(counterpart) as url:
            started.set_result(url)
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        counterpart.url = started.result(_SECONDS)
        yield counterpart
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_SECONDS)
        loop.close()
