"""The opportunity that a subscription is the outcome of, and the stages it is moved to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from portico.durable import Durable
from portico.workflow.steps import Outcome, Steps
from process_apis.order_to_cash import domain
from process_apis.order_to_cash.domain import Sale
from process_apis.order_to_cash.patience import CRM, Patience

Opportunity = Mapping[str, Any]


class Opportunities:
    """Finds one once, and notes it: later it is closed, and another one may be open."""

    def __init__(self, steps: Steps, durable: Durable, patience: Patience) -> None:
        self._list_accounts = steps.call(CRM, "listCustomers")
        self._list_opportunities = steps.call(CRM, "listOpportunities")
        self._move_opportunity = steps.call(CRM, "moveOpportunity")
        self._durable = durable
        self._patience = patience

    async def find(self, sale: Sale, customer_key: str) -> Opportunity | None:
        """Return the opportunity of a subscription, with the stage it had; None without one."""
        noted = await self._noted(sale.subscription_id)
        if noted is None:
            found = await self._look_up(customer_key)
            kept = {} if found is None else {"id": found["id"], "stage": found["stage"]}
            notes = (await self._durable.ready()).notes
            noted = json.loads(await notes.keep(_name(sale.subscription_id), json.dumps(kept)))
        return noted or None

    async def win(self, subscription_id: str) -> str:
        """Close as won what a run found before, and return its id; empty where there is none."""
        return await self._move_noted(subscription_id, domain.WON)

    async def lose(self, subscription_id: str) -> str:
        """Close as lost what a run found before, and return its id; empty where there is none."""
        return await self._move_noted(subscription_id, domain.LOST)

    async def move(self, opportunity: Opportunity | None, stage: str, again: str = "") -> Outcome:
        """Move an opportunity, if there is one."""
        if opportunity is None:
            return Outcome()
        return await self._move_opportunity(
            {"opportunityId": opportunity["id"]},
            body={"stage": stage},
            item=f"{stage} {again}".rstrip(),
        )

    async def put_back(self, opportunity: Opportunity | None) -> None:
        """Undo a move, whether or not it had been done yet."""
        if opportunity is not None:
            stage = opportunity["stage"]
            await self._patience.insist(lambda again: self.move(opportunity, stage, again))

    async def _move_noted(self, subscription_id: str, stage: str) -> str:
        noted = await self._noted(subscription_id)
        if not noted:
            return ""
        await self._patience.insist(lambda again: self.move(noted, stage, again))
        return str(noted["id"])

    async def _noted(self, subscription_id: str) -> dict[str, Any] | None:
        text = await (await self._durable.ready()).notes.read(_name(subscription_id))
        found: dict[str, Any] | None = json.loads(text) if text else None
        return found

    async def _look_up(self, customer_key: str) -> Opportunity | None:
        accounts = await self._patience.read(
            self._list_accounts, {"externalKey": customer_key, "limit": 1}
        )
        if not accounts["items"]:
            return None
        found = await self._patience.read(
            self._list_opportunities, {"customerId": accounts["items"][0]["id"], "limit": 100}
        )
        return domain.open_opportunity(found)


def _name(subscription_id: str) -> str:
    return f"order-to-cash opportunity {subscription_id}"
