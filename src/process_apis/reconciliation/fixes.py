"""What a finding names as its fix, done. Each is safe to repeat: the systems know the records by
the keys that findings are matched by.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import orjson

from portico.problems import CONFLICT, CONTRACT_VIOLATION, UNPROCESSABLE, Problem
from portico.server.call import Call
from process_apis.reconciliation.calls import order_to_cash, quickbooks, salesforce, stripe, tryton
from process_apis.reconciliation.comparing import PAID
from process_apis.reconciliation.desk import Desk
from process_apis.reconciliation.findings import Found

Act = Callable[[Call[Desk], Found], Awaitable[str]]
_NO_FIX = {
    "only_in": "whether it is missing elsewhere or should not be there is for people to decide",
    "duplicate": "which of the records is the right one is for people to decide",
    "amount_differs": "which amount is right is for people to decide",
    "currency_differs": "which currency is right is for people to decide",
    "status_differs": "what happened in one system alone is for people to see to",
}


def fix_of(finding: Found) -> Act:
    """Return how a finding is fixed; raises Problem 422 where that is not done automatically.

    What is returned does it and returns what came of it. It raises Problem 422 where the records
    do not allow it.
    """
    act = _FIXES.get(finding["fix"])
    if act is None:
        raise _refused(f"{finding['kind']} has no automatic fix: {_NO_FIX[finding['kind']]}")

    async def taken(call: Call[Desk], finding: Found) -> str:
        try:
            return await act(call, finding)
        except Problem as problem:
            if problem.kind is not CONTRACT_VIOLATION:
                raise
            # A record that one system holds need not be one that the other can take.
            detail = f"{finding['system']} does not take the record: {problem}"
            raise _refused(detail) from problem

    return taken


async def _start_order_to_cash(call: Call[Desk], finding: Found) -> str:
    """Have an invoice billed that is not, and what was paid of it entered."""
    invoice = await _stripe_invoice(call, finding)
    run = await order_to_cash.start_order_to_cash(call, body=await _what_to_do(call, invoice))
    return f"run {run['id']} of order-to-cash"


async def _what_to_do(call: Call[Desk], invoice: stripe.Invoice) -> order_to_cash.NewRun:
    if invoice["status"] in PAID:
        return {"invoiceId": invoice["id"]}
    subscription_id = str(_own(invoice).get("subscriptionId", ""))
    subscription = await stripe.get_subscription(call, subscription_id=subscription_id)
    if subscription.get("latestInvoiceId") != invoice["id"]:
        raise _refused(
            f"{invoice['id']} is not paid and of an earlier period of {subscription_id}, and "
            "order-to-cash bills the current one: enter it in the books by hand"
        )
    return {"subscriptionId": subscription_id}


async def _put_invoice(call: Call[Desk], finding: Found) -> str:
    invoice = await _stripe_invoice(call, finding)
    customer = await stripe.get_customer(call, customer_id=invoice["customerId"])
    lines = [_line(number, line) for number, line in enumerate(invoice["lines"], start=1)]
    key = str(_own(customer).get("externalKey") or customer["id"])
    in_books = await quickbooks.put_customer(
        call, external_key=key, body=cast("quickbooks.NewCustomer", _named(customer, "email"))
    )
    body: dict[str, Any] = {
        "customerId": in_books["id"],
        "currency": invoice["currency"],
        "lines": lines,
    }
    if "issueDate" in invoice:
        body["issueDate"] = invoice["issueDate"]
    if "dueDate" in invoice:
        body["dueDate"] = invoice["dueDate"]
    made = await quickbooks.put_invoice(
        call, document_number=finding["key"], body=cast("quickbooks.NewInvoice", body)
    )
    return f"invoice {made['id']} in the books"


def _line(number: int, line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line as the books take it."""
    lacking = [name for name in ("sku", "quantity", "unitPrice") if name not in line]
    if lacking:
        raise _refused(f"line {number} of the invoice in Stripe has no {lacking[0]}")
    price = line["unitPrice"]
    return {
        "sku": line["sku"],
        "quantity": {"value": line["quantity"]["value"]},
        "unitPrice": {"amount": price["amount"], "currency": price["currency"]},
    }


async def _void_invoice(call: Call[Desk], finding: Found) -> str:
    (invoice_id,) = _ids(finding, "quickbooks")
    invoice = await _read_stripe(call, finding)
    if invoice["status"] != "void":
        raise Problem(CONFLICT, f"{invoice['id']} is {invoice['status']} in Stripe by now")
    made = await quickbooks.void_invoice(call, invoice_id=invoice_id)
    return f"invoice {made['id']} in the books is void"


async def _put_customer(call: Call[Desk], finding: Found) -> str:
    customer = await tryton.get_customer(call, customer_id=finding["key"])
    put, members = _CUSTOMERS[finding["system"]]
    made = await put(call, external_key=finding["key"], body=_named(customer, *members))
    return f"customer {made['id']} in {finding['system']}"


async def _create_order(call: Call[Desk], finding: Found) -> str:
    (order_id,) = _ids(finding, "salesforce")
    order = await salesforce.get_order(call, order_id=order_id)
    if order["status"] != "confirmed":
        raise Problem(CONFLICT, f"{order_id} is {order['status']} in Salesforce by now")
    customer, _, number = finding["key"].partition("/")
    body: dict[str, Any] = {
        "customerId": customer,
        "currency": order["currency"],
        "poNumber": number,
        "lines": [_ordered(line) for line in order["lines"]],
    }
    if "requestedDelivery" in order:
        body["requestedDelivery"] = order["requestedDelivery"]
    sale = await tryton.create_sale(call, body=cast("tryton.NewOrder", body))
    await tryton.confirm_sale(call, sale_id=sale["id"])
    return f"sale {sale['id']} in the ERP"


def _ordered(line: Mapping[str, Any]) -> dict[str, Any]:
    members = {name: line[name] for name in ("sku", "unitPrice")}
    quantity = {name: line["quantity"][name] for name in ("value", "uom")}
    return {**members, "quantity": quantity}


async def _stripe_invoice(call: Call[Desk], finding: Found) -> stripe.Invoice:
    """Return the invoice of a finding; raises Problem where nothing is owed for it any more."""
    invoice = await _read_stripe(call, finding)
    if invoice["status"] in {"draft", "void"}:
        raise Problem(CONFLICT, f"{invoice['id']} is {invoice['status']} in Stripe by now")
    return invoice


async def _read_stripe(call: Call[Desk], finding: Found) -> stripe.Invoice:
    (invoice_id,) = _ids(finding, "stripe")
    return await stripe.get_invoice(call, invoice_id=invoice_id)


def _own(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = record.get("extensions", {}).get("stripe", {})
    return found


def _ids(finding: Found, system: str) -> Sequence[str]:
    ids: Sequence[str] = orjson.loads(finding["records"])[system]
    return ids


def _named(customer: Mapping[str, Any], *members: str) -> dict[str, Any]:
    """Return a customer as systems take it: its name, and what else is known of these."""
    return {"name": customer["name"], **{m: customer[m] for m in members if customer.get(m)}}


def _refused(detail: str) -> Problem:
    return Problem(UNPROCESSABLE, detail)


_FIXES: Mapping[str, Act] = {
    "start_order_to_cash": _start_order_to_cash,
    "put_invoice": _put_invoice,
    "void_invoice": _void_invoice,
    "put_customer": _put_customer,
    "create_order": _create_order,
}
_CUSTOMERS: Mapping[str, tuple[Callable[..., Awaitable[Any]], Sequence[str]]] = {
    "salesforce": (salesforce.put_customer, ("phone",)),
    "quickbooks": (quickbooks.put_customer, ("email", "phone")),
    "stripe": (stripe.put_customer, ("email", "phone")),
}
