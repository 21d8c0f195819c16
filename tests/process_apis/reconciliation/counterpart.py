"""Systems as their contracts have them, with as many invoices as a test wants and nothing else.

A server on loopback: what the gateway sees of another process is bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
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
    from collections.abc import Iterator

MADE_AT = "2026-03-02T09:30:00Z"
# Of so many invoices one differs in each way.
EVERY = 500
KINDS = ("missing", "amount_differs", "currency_differs", "status_differs", "duplicate", "only_in")
_SECONDS = 15


@dataclass(slots=True)
class Counterpart:
    """What the systems hold, what goes wrong, and what they were asked."""

    records: int
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
            await _answer(send, 200, {"items": []})
            return
        self.asked[system, start // limit] += 1
        if self.page_seconds:
            await asyncio.sleep(self.page_seconds)
        if self.failures.get((system, start // limit), 0) > 0:
            self.failures[system, start // limit] -= 1
            await _answer(send, 503, _unavailable(system))
            return
        await _answer(send, 200, self._page(system, start, limit))

    def _page(self, system: str, start: int, limit: int) -> dict[str, Any]:
        total = self.total(system)
        numbers = range(start, min(start + limit, total))
        page: dict[str, Any] = {"items": [self._invoice(system, number) for number in numbers]}
        if start + limit < total:
            page["nextCursor"] = to_cursor(str(start + limit))
        return page

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
