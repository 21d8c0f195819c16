"""Taking over an order as a sale, once, and making it binding.

Tryton has neither idempotency keys nor a unique reference. So a sale is named by its customer and
the buyer's reference: it is looked for before it is made, and looked for again afterwards. Within
one process, calls for the same name wait for each other. Between processes, both may find nothing
and both create; then the one that ranks behind withdraws its own draft. A cancelled sale stands
for nothing any more: its name is free.

What remains: on PostgreSQL, where numbers are given before commits, two creates may commit in the
other order than their numbers and each see only itself for a moment. Confirming refuses a sale
that another of its name precedes, so that at most a draft is left over.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING

from portico.connectors.failures import (
    BrokenError,
    ConnectorError,
    LockedError,
    RefusedError,
    UnavailableError,
)
from portico.problems import CONFLICT, Problem
from system_apis.tryton.sale_mapping import SALE_FIELDS, SALE_MODEL, priced_lines
from system_apis.tryton.wire import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from system_apis.tryton.connector import Exchange
    from system_apis.tryton.models import NewOrder
    from system_apis.tryton.new_sale import NewSale

logger = logging.getLogger("system_apis.tryton")

LINE_MODEL = "sale.line"
# What decides how a sale goes on.
STEP_FIELDS = ("state", "reference", "party.id")
# The sales of one name: one, and a few that raced or were cancelled.
MAX_SALES_OF_A_NAME = 20
# What is pressed next on the way to a binding sale, by state.
_NEXT_BUTTON = {"draft": "quote", "quotation": "confirm"}
# And on the way to a cancelled one; from where a sale is processed there is none.
_BACK_BUTTON = {"draft": "cancel", "quotation": "cancel", "confirmed": "draft"}


async def find(erp: Exchange, party: int, reference: str) -> Record | None:
    """Return the sale of a name: the one furthest on, of those the oldest."""
    first = await _first(erp, party, reference)
    return None if first is None else await erp.read(SALE_MODEL, first.id, SALE_FIELDS)


async def _first(erp: Exchange, party: int, reference: str) -> Record | None:
    """Return number and state of the sale that stands for a name."""
    try:
        found = await _named(erp, party, reference)
    except RefusedError:
        # Tryton had found a draft that was withdrawn before it read it. It does not find it again.
        found = await _named(erp, party, reference)
    return min(found, key=_rank, default=None)


async def _named(erp: Exchange, party: int, reference: str) -> list[Record]:
    return await erp.search(
        SALE_MODEL,
        fields=["state"],
        domain=[
            ["company", "=", erp.company.id],
            ["party", "=", party],
            ["reference", "=", reference],
            ["state", "!=", "cancelled"],
        ],
        order=[["id", "ASC"]],
        limit=MAX_SALES_OF_A_NAME,
    )


def _rank(sale: Record) -> tuple[int, int]:
    return (int(sale.text("state") == "draft"), sale.id)


async def create(erp: Exchange, new: NewSale) -> tuple[Record, bool]:
    """Create a sale, or return the one of its name, and whether this call made it."""
    found = await find(erp, new.party, new.reference)
    if found is not None:
        return await _with_taxes(erp, found, new), False
    try:
        made = await erp.create(SALE_MODEL, new.values, SALE_FIELDS)
    except UnavailableError as error:
        return await _find_out(erp, new, error), True
    first = await _first(erp, new.party, new.reference)
    if first is None or first.id == made.id:
        return await _with_taxes(erp, made, new), True
    await _withdraw(erp, made)
    winner = await erp.read(SALE_MODEL, first.id, SALE_FIELDS)
    return await _with_taxes(erp, winner, new), False


async def _find_out(erp: Exchange, new: NewSale, error: UnavailableError) -> Record:
    """Return the sale that a broken connection left in doubt; raises `error` if there is none."""
    if not error.in_doubt:
        raise error
    try:
        found = await find(erp, new.party, new.reference)
    except ConnectorError:
        raise error from None
    if found is None:
        raise error
    return await _with_taxes(erp, found, new)


async def _withdraw(erp: Exchange, sale: Record) -> None:
    """Take back our own draft, of which nobody knows yet."""
    try:
        await erp.delete(SALE_MODEL, sale.id)
    except (RefusedError, LockedError):
        # Confirming refuses it, since another one of its name precedes.
        logger.warning("a second draft of a sale could not be withdrawn: id=%s", sale.id)


async def _with_taxes(erp: Exchange, sale: Record, new: NewSale) -> Record:
    """Have Tryton apply the customer's tax rule to a draft; again and again is the same.

    Only Tryton can: a rule is code there. It tells what choosing the product would change.
    """
    if not new.ruled or sale.text("state") != "draft":
        return sale
    writes = []
    for line in sale.many("lines"):
        change = await erp.on_change(LINE_MODEL, line.id, ["product"])
        if taxes := _tax_writes(change):
            writes.append(["write", [line.id], {"taxes": taxes}])
    if not writes:
        return sale
    return await erp.write(SALE_MODEL, sale.id, {"lines": writes}, SALE_FIELDS)


def _tax_writes(change: Mapping[str, object]) -> list[list[object]]:
    """Return the writes of a change like `{"taxes": {"add": [[0, {"id": 1}]], "remove": [2]}}`."""
    taxes = change.get("taxes")
    if not isinstance(taxes, dict):
        return []
    added: list[object] = [Record(values).id for _, values in taxes.get("add", [])]
    removed = list(taxes.get("remove", []))
    return [[verb, ids] for verb, ids in (("add", added), ("remove", removed)) if ids]


def is_same(sale: Record, body: NewOrder) -> bool:
    """Tell whether a sale has the currency and the lines of an order."""
    currency = sale.one("currency")
    asked = [
        (line["sku"], Decimal(line["quantity"]["value"]), Decimal(line["unitPrice"]["amount"]))
        for line in body["lines"]
    ]
    same_currency = currency is not None and currency.text("code") == body["currency"]
    return same_currency and priced_lines(sale) == asked


async def confirm(erp: Exchange, number: int) -> Record:
    """Make a sale binding and return it; one that is binding already is returned as it is."""
    sale = await erp.read(SALE_MODEL, number, STEP_FIELDS)
    await _refuse_preceded(erp, sale)
    state = sale.text("state")
    while button := _NEXT_BUTTON.get(state):
        before, state = state, await _advance(erp, number, state, button)
        if state == before:
            raise BrokenError(f"tryton leaves the sale in the state {before}")
    if state == "cancelled":
        raise Problem(CONFLICT, f"sale {number} is cancelled")
    return await _processed(erp, await erp.read(SALE_MODEL, number, SALE_FIELDS))


async def cancel(erp: Exchange, number: int) -> Record:
    """Give a sale up and return it; raises Problem where Tryton has no way back."""
    state = (await erp.read(SALE_MODEL, number, ["state"])).text("state")
    while button := _BACK_BUTTON.get(state):
        before, state = state, await _advance(erp, number, state, button)
        if state == before:
            raise BrokenError(f"tryton leaves the sale in the state {before}")
    if state != "cancelled":
        raise Problem(CONFLICT, f"sale {number} is {state}, and cannot be cancelled any more")
    return await erp.read(SALE_MODEL, number, SALE_FIELDS)


async def _refuse_preceded(erp: Exchange, sale: Record) -> None:
    """Refuse a draft if another sale stands for its customer and reference."""
    party, reference = sale.one("party"), sale.text("reference")
    if party is None or not reference or sale.text("state") not in _NEXT_BUTTON:
        return
    first = await _first(erp, party.id, reference)
    if first is not None and _rank(first) < _rank(sale):
        raise Problem(CONFLICT, f"sale {first.id} has the same customer and poNumber")


async def _advance(erp: Exchange, number: int, state: str, button: str) -> str:
    """Press a button and return the state that the sale has then.

    A refusal does not matter if somebody else pressed at the same moment; a lock is tried again,
    once.
    """
    try:
        return (await erp.press(SALE_MODEL, number, button, ["state"])).text("state")
    except (LockedError, RefusedError) as error:
        seen = await erp.read(SALE_MODEL, number, ["state"])
        if seen.text("state") != state:
            return seen.text("state")
        if isinstance(error, RefusedError):
            raise
    return (await erp.press(SALE_MODEL, number, button, ["state"])).text("state")


async def _processed(erp: Exchange, sale: Record) -> Record:
    """Return a confirmed sale after Tryton made its shipments and invoices.

    Tryton does so by itself on confirming; a sale that is still only confirmed was interrupted
    there, or Tryton is set to wait, which is respected. It is binding in any case.
    """
    if sale.text("state") != "confirmed":
        return sale
    settings = await erp.search("sale.configuration", fields=["sale_process_after"], limit=1)
    if any(record.has("sale_process_after") for record in settings):
        return sale
    try:
        await _advance(erp, sale.id, "confirmed", "process")
    except RefusedError:
        logger.warning("tryton refuses to process a confirmed sale: id=%s", sale.id)
    return await erp.read(SALE_MODEL, sale.id, SALE_FIELDS)
