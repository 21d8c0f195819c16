"""Orders of one kind, killed at one point after the other, and how they have to end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from process_apis.orders.placement import placement_id
from process_apis.orders.workflows import ERP, STRIPE
from tests.support.sandbox import SECRET

if TYPE_CHECKING:
    from portico.sandbox.running import Running
    from portico.testing import APIUnderTest
    from system_apis.tryton.sandbox.server import Sandbox
    from tests.portico.workflow.kills.crew import Crew

WORKER = Path(__file__).with_name("worker.py")
# Tryton does not get faster than this on two cores.
PARALLEL = 4
PRICE = {"amount": "149.00", "currency": "EUR"}
LINE = {"sku": "GRINDER-M1", "quantity": {"value": "1", "uom": "C62"}, "unitPrice": PRICE}
CARDS = {"card": "pm_card_visa", "gone": "pm_card_visa", "declined": "pm_card_chargeDeclined"}
# How an order ends, what its sales are then, and what has become of the money.
ENDS = {
    "card": ("placed", "confirmed", {"succeeded"}),
    "declined": ("refused", "cancelled", {"requires_payment_method", "canceled"}),
    "gone": ("refused", "cancelled", {"canceled"}),
}
_numbers = itertools.count(1)


@dataclass
class Trial:
    """Orders of one kind, killed at one point after the other."""

    kind: str
    workers: Crew
    folder: Path
    erp: Sandbox
    api: APIUnderTest
    bank: Running
    killed: int = 0
    wrong: list[str] = field(default_factory=list)

    async def at(self, point: int, *, journal: bool) -> bool:
        """Kill at a point, let another process finish; return whether there is such a point."""
        number = f"PO-K-{self.kind}-{next(_numbers)}"
        command = self._command(number)
        worker = await self.workers.start(**command, crash_at=point, journal=journal)
        answer = await worker.answer()
        if answer is not None and "error" not in answer:
            await self._check(f"{point}, not killed", number, answer)
            return False
        if answer is None:
            self.killed += 1
            answer = await (await self.workers.start(**command)).answer()
        await self._check(f"{self.kind} {point}", number, answer)
        return True

    def _command(self, number: str) -> dict[str, Any]:
        name = placement_id("C-1001", number, 1)
        customers = self.bank.sandbox.state.table("customer")
        payment = {"payerId": next(iter(customers)), "paymentToken": CARDS[self.kind]}
        sale = {"customerId": "C-1001", "currency": "EUR", "poNumber": number, "lines": [LINE]}
        key = Path(self.erp.endpoint.key_reference.removeprefix("file:")).read_text("utf-8")
        return {
            "name": name,
            "database": f"sqlite:///{self.folder / number}.sqlite",
            "payload": {"sale": sale, "payment": payment, "paymentKey": name, "key": number},
            "gone": self.kind == "gone",
            ERP: {"base_url": self.erp.endpoint.base_url, "key": key},
            STRIPE: {
                "base_url": self.bank.url,
                "api_key": SECRET,
                "account": "acct_sandbox",
                "references_url": f"sqlite:///{self.folder / 'references.sqlite'}",
            },
        }

    async def _check(self, where: str, number: str, answer: Any) -> None:
        phase, status, payments = ENDS[self.kind]
        if answer is None or answer.get("phase") != phase:
            self.wrong.append(f"{where}: ended as {answer}")
        found: Any = (await self.api.invoke("listSales", {"poNumber": number}, seconds=30)).body
        statuses = [sale["status"] for sale in found["items"]]
        if statuses != [status]:
            self.wrong.append(f"{where}: its sales are {statuses}")
        name = placement_id("C-1001", number, 1)
        made = [
            intent["status"]
            for intent in self.bank.sandbox.state.table("payment_intent").values()
            if intent["metadata"].get("external_key") == name
        ]
        if len(made) != 1 or not set(made) <= payments:
            self.wrong.append(f"{where}: its payments are {made}")

    async def all(self, points: Sequence[int], *, journal: bool) -> None:
        """Kill at each point, up to the last that there is."""
        room, last = asyncio.Semaphore(PARALLEL), asyncio.Event()

        async def one(point: int) -> None:
            async with room:
                if not last.is_set() and not await self.at(point, journal=journal):
                    last.set()

        await asyncio.gather(*(one(point) for point in points))
