"""What placing an order writes, step by step, and how it is undone. It survives what ends it.

A draft in the ERP, money authorized, the sale confirmed, the money taken. Up to the confirmation a
refusal undoes what was done, the last first. From a confirmed sale Tryton knows no way back, and
money that is authorized can be taken: there is nothing to undo then, only to go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dbos import DBOS

from portico.problems import INTERNAL_ERROR, UNPROCESSABLE
from portico.workflow.definition import Workflow
from portico.workflow.errors import DeadLetterError
from portico.workflow.steps import Outcome, Steps
from process_apis.orders import placement
from process_apis.orders.app import Settings

NAME = "orders.v1"
ERP, STRIPE = "system/tryton.v1", "system/stripe.v1"
# Half a second apart, then twice as long each time up to thirty seconds, as the settings have it,
# this is five minutes: a busy record is over before the caller is told to wait, and a restart of
# the ERP before people are.
RETRIES = 15

Try = Callable[[], Awaitable[Outcome]]


class RefusedError(Exception):
    """A system does not do what it was asked, and would not later either."""

    def __init__(self, status: int, cause: str) -> None:
        super().__init__(cause)
        self.status = status


class PlaceOrder:
    """The workflow of one order."""

    def __init__(self, steps: Steps, settings: Settings) -> None:
        self._first_pause_seconds = settings.first_retry_seconds
        self._pause_seconds = settings.retry_seconds
        self._create_sale = steps.call(ERP, "createSale")
        self._confirm_sale = steps.call(ERP, "confirmSale")
        self._cancel_sale = steps.call(ERP, "cancelSale")
        self._put_payment = steps.call(STRIPE, "putPayment")
        self._capture_payment = steps.call(STRIPE, "capturePayment")
        self._cancel_payment = steps.call(STRIPE, "cancelPayment")

    async def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Place an order, or undo what was done of it. Raises DeadLetterError."""
        undo: list[Try] = []
        try:
            order = await self._insist(lambda: self._create_sale(body=payload["sale"]))
            if placement.is_binding(order):
                return placement.adopted(order, payload)
            sale = {"saleId": order["id"]}
            undo.append(lambda: self._cancel_sale(sale))
            payment = await self._authorize(order, payload, undo)
            placed = await self._insist(lambda: self._confirm_sale(sale))
        except RefusedError as refusal:
            for step in reversed(undo):
                await self._must(step)
            return {"phase": placement.REFUSED, "status": refusal.status, "cause": str(refusal)}
        result = {"phase": placement.PLACED, "order": placed}
        if payment:
            await self._must(lambda: self._capture_payment({"paymentId": payment}))
            result["paymentId"] = payment
        return result

    async def _authorize(
        self, order: Mapping[str, Any], payload: Mapping[str, Any], undo: list[Try]
    ) -> str:
        """Return the payment that is authorized for an order, or nothing for one on invoice."""
        if "payment" not in payload:
            return ""
        if cause := placement.unpayable(order):
            raise RefusedError(UNPROCESSABLE.status, cause)
        key = {"externalKey": payload["paymentKey"]}
        body = placement.new_payment(payload["payment"], order)
        payment = await self._insist(lambda: self._put_payment(key, body=body))
        undo.append(lambda: self._cancel_payment({"paymentId": payment["id"]}))
        if cause := placement.unauthorized(payment):
            raise RefusedError(UNPROCESSABLE.status, f"stripe: {cause}")
        return str(payment["id"])

    async def _must(self, attempt: Try) -> Any:
        """Return what a step comes to that cannot be done without. Raises DeadLetterError."""
        try:
            return await self._insist(attempt)
        except RefusedError as refusal:
            raise DeadLetterError(str(refusal)) from None

    async def _insist(self, attempt: Try) -> Any:
        """Return what a step comes to, tried again while that may help.

        Raises DeadLetterError when it still does not, RefusedError when it never will.
        """
        outcome = await attempt()
        for number in range(RETRIES):
            if not outcome.may_pass:
                break
            pause = min(self._first_pause_seconds * 2**number, self._pause_seconds)
            await DBOS.sleep_async(pause)
            outcome = await attempt()
        failure = outcome.failure
        if failure is None:
            return outcome.body
        if failure.passing or failure.status >= INTERNAL_ERROR.status:
            # What broke its contract has refused nothing: it may have done what it was asked.
            raise DeadLetterError(str(failure), system=failure.system)
        raise RefusedError(failure.status, f"{failure.system}: {failure}")


def workflows(steps: Steps, settings: Settings) -> Sequence[Workflow]:
    """Return the workflow of this API."""
    return [Workflow(name=NAME, run=PlaceOrder(steps, settings).run)]
