"""Sales: made once, confirmed once, on a real Tryton."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from portico.problems import CONFLICT, UNPROCESSABLE, Problem
from system_apis.tryton.wire import Float
from tests.support.tryton import open_api

if TYPE_CHECKING:
    from portico.server.call import Reply
    from portico.testing import APIUnderTest
    from system_apis.tryton.connector import Exchange
    from system_apis.tryton.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

NewName = Callable[[], str]
# A sale that is confirmed, and of which nothing came yet.
BINDING = "state = 'confirmed', sale_date = quotation_date"


def line(sku: str, quantity: str, price: str, **unit: str) -> dict[str, Any]:
    return {
        "sku": sku,
        "quantity": {"value": quantity, **unit},
        "unitPrice": {"amount": price, "currency": "EUR"},
    }


def an_order(name: str, *lines: dict[str, Any], customer: str = "C-1001", **more: Any) -> Any:
    return {
        "customerId": customer,
        "currency": "EUR",
        "poNumber": name,
        "lines": list(lines)
        or [line("GRINDER-M1", "2", "149.00"), line("BEANS-HOUSE", "2.5", "21.50")],
        **more,
    }


async def create(api: APIUnderTest, body: Any) -> Reply:
    key = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
    return await api.invoke("createSale", key, body=body, seconds=30)


async def created(api: APIUnderTest, body: Any) -> Any:
    return (await create(api, body)).body


async def confirm(api: APIUnderTest, sale_id: str) -> Any:
    return (await api.invoke("confirmSale", {"saleId": sale_id}, seconds=30)).body


async def refused(waiting: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await waiting
    return caught.value


async def test_a_sale_is_created_as_a_draft(api: APIUnderTest, new_name: NewName) -> None:
    name = new_name()

    reply = await create(api, an_order(name))

    sale: Any = reply.body
    assert reply.status == 201
    assert dict(reply.headers)["Location"].endswith(f"/sales/{sale['id']}")
    assert sale["status"] == "draft"
    assert sale["poNumber"] == name
    assert "number" not in sale
    assert [
        (line["lineNo"], line["sku"], line["quantity"], line["netAmount"]["amount"])
        for line in sale["lines"]
    ] == [
        (1, "GRINDER-M1", {"value": "2", "uom": "C62"}, "298.00"),
        (2, "BEANS-HOUSE", {"value": "2.5", "uom": "KGM"}, "53.75"),
    ]
    assert sale == (await api.invoke("getSale", {"saleId": sale["id"]})).body


async def test_the_totals_are_trytons_and_add_up(api: APIUnderTest, new_name: NewName) -> None:
    sale = await created(api, an_order(new_name()))

    totals = {name: Decimal(value["amount"]) for name, value in sale["totals"].items()}
    assert totals["net"] == sum(Decimal(line["netAmount"]["amount"]) for line in sale["lines"])
    assert totals["gross"] == totals["net"] + totals["tax"] + totals["charges"]
    assert totals["tax"] == Decimal("73.87")
    assert sale["lines"][0]["taxes"] == [{"category": "VAT 21%", "rate": "21"}]


async def test_a_sale_goes_to_the_addresses_of_its_customer(
    api: APIUnderTest, new_name: NewName
) -> None:
    sale = await created(api, an_order(new_name(), customer="C-1002"))

    assert sale["billTo"]["line1"] == "17 Mill Lane"
    assert sale["shipTo"]["line1"] == "2 Canal Dock"


async def test_a_price_of_four_decimals_is_kept(api: APIUnderTest, new_name: NewName) -> None:
    sale = await created(api, an_order(new_name(), line("FILTER-V60-100", "3", "0.3333")))

    (only,) = sale["lines"]
    assert only["unitPrice"]["amount"] == "0.3333"
    assert only["netAmount"]["amount"] == "1.00"


async def test_the_requested_day_is_kept(api: APIUnderTest, new_name: NewName) -> None:
    sale = await created(api, an_order(new_name(), requestedDelivery="2199-12-31"))

    assert sale["requestedDelivery"] == "2199-12-31"


async def test_a_repeated_create_finds_the_first(api: APIUnderTest, new_name: NewName) -> None:
    body = an_order(new_name())
    first = await create(api, body)

    second = await create(api, body)

    assert second.status == 200
    assert second.body == first.body
    assert list(second.headers) == list(first.headers)


async def test_a_repeated_create_finds_a_confirmed_sale(
    api: APIUnderTest, new_name: NewName
) -> None:
    body = an_order(new_name())
    sale = await created(api, body)
    confirmed = await confirm(api, sale["id"])

    reply = await create(api, body)

    assert (reply.status, reply.body) == (200, confirmed)


@pytest.mark.parametrize(
    "changed",
    [
        [line("GRINDER-M1", "3", "149.00")],
        [line("GRINDER-M1", "2", "148.00")],
        [line("GRINDER-M2", "2", "149.00")],
        [line("GRINDER-M1", "2", "149.00"), line("GRINDER-M1", "2", "149.00")],
    ],
)
async def test_the_same_name_for_other_lines_is_a_conflict(
    api: APIUnderTest, new_name: NewName, changed: list[dict[str, Any]]
) -> None:
    body = an_order(new_name(), line("GRINDER-M1", "2", "149.00"))
    sale = await created(api, body)

    problem = await refused(create(api, {**body, "lines": changed}))

    assert problem.kind is CONFLICT
    assert problem.extensions == {"saleId": sale["id"]}


async def test_the_same_lines_written_differently_are_the_same(
    api: APIUnderTest, new_name: NewName
) -> None:
    body = an_order(new_name(), line("GRINDER-M1", "2", "149.00"))
    await created(api, body)

    reply = await create(api, {**body, "lines": [line("GRINDER-M1", "2.0", "149.0", uom="C62")]})

    assert reply.status == 200


async def test_two_customers_may_use_one_reference(api: APIUnderTest, new_name: NewName) -> None:
    name = new_name()

    replies = [await create(api, an_order(name, customer=code)) for code in ("C-1001", "C-1002")]

    assert [reply.status for reply in replies] == [201, 201]


async def test_everything_unknown_is_named_and_nothing_is_written(
    api: APIUnderTest, new_name: NewName
) -> None:
    body = an_order(
        name := new_name(),
        line("NO-SUCH-SKU", "1", "1.00"),
        line("BEANS-HOUSE", "1", "21.50", uom="C62"),
        {**line("GRINDER-M1", "1", "149.00"), "unitPrice": {"amount": "1", "currency": "USD"}},
        customer="C-9999",
    )

    problem = await refused(create(api, body))

    assert problem.kind is CONFLICT
    assert [error["pointer"] for error in problem.extensions["errors"]] == [  # type: ignore[attr-defined]  # a list in this problem
        "#/customerId",
        "#/lines/0/sku",
        "#/lines/1/quantity/uom",
        "#/lines/2/unitPrice/currency",
    ]
    found = (await api.invoke("listSales", {"poNumber": name})).body
    assert found == {"items": []}


async def test_a_currency_tryton_does_not_know_is_a_conflict(
    api: APIUnderTest, new_name: NewName
) -> None:
    body = an_order(new_name(), currency="XTS")

    problem = await refused(create(api, body))

    assert problem.kind is CONFLICT


async def test_what_tryton_refuses_is_told_in_its_words(
    api: APIUnderTest, new_name: NewName
) -> None:
    problem = await refused(create(api, an_order(new_name(), line("GRINDER-M1", "1.5", "149.00"))))

    assert problem.kind is UNPROCESSABLE
    assert "number of digits" in problem.detail
    assert problem.extensions["system"] == "tryton"


async def test_a_tax_rule_of_the_customer_is_applied(api: APIUnderTest, new_name: NewName) -> None:
    body = an_order(new_name(), customer="C-1003")
    reply = await create(api, body)

    sale: Any = reply.body
    assert sale["totals"]["tax"]["amount"] == "0.00"
    assert all(line["taxes"] == [] for line in sale["lines"])
    assert (await create(api, body)).body == sale


async def test_a_draft_left_without_its_tax_rule_gets_it_on_the_repetition(
    api: APIUnderTest, erp: Exchange, new_name: NewName
) -> None:
    """As after a crash between creating the sale and applying the rule."""
    name = new_name()
    sale = await made_behind_the_back(erp, "C-1003", name, taxes=True)

    reply = await create(api, an_order(name, line("GRINDER-M1", "2", "149.00"), customer="C-1003"))

    body: Any = reply.body
    assert (reply.status, body["id"]) == (200, str(sale))
    assert body["totals"]["tax"]["amount"] == "0.00"


async def made_behind_the_back(
    erp: Exchange, customer: str, reference: str, *, taxes: bool = False
) -> int:
    """Create a sale of two grinders as somebody else would, and return its number."""
    (party,) = await erp.search(
        "party.party", fields=["addresses.id"], domain=[["code", "=", customer]], limit=1
    )
    (product,) = await erp.search(
        "product.product",
        fields=["template.sale_uom.id", "template.account_category.customer_taxes_used.id"],
        domain=[["code", "=", "GRINDER-M1"]],
        limit=1,
    )
    template: Any = product.one("template")
    used = template.one("account_category").many("customer_taxes_used")
    address = party.many("addresses")[0].id
    values = {
        "company": erp.company.id,
        "currency": 1,
        "party": party.id,
        "reference": reference,
        "invoice_address": address,
        "shipment_address": address,
        "lines": [
            [
                "create",
                [
                    {
                        "type": "line",
                        "sequence": 10,
                        "product": product.id,
                        "unit": template.one("sale_uom").id,
                        "quantity": Float(Decimal(2)),
                        "unit_price": Decimal("149.00"),
                        "taxes": [["add", [tax.id for tax in used]]] if taxes else [],
                    }
                ],
            ]
        ],
    }
    return (await erp.create("sale.sale", values, ["id"])).id


async def test_a_sale_is_confirmed_with_number_shipment_and_invoice(
    api: APIUnderTest, new_name: NewName
) -> None:
    sale = await created(api, an_order(new_name()))

    confirmed = await confirm(api, sale["id"])

    assert confirmed["status"] == "confirmed"
    assert confirmed["number"]
    assert confirmed["version"] > sale["version"]
    assert confirmed["totals"] == sale["totals"]
    own = confirmed["extensions"]["tryton"]
    assert own["state"] == "processing"
    assert len(own["shipments"]) == 1
    assert len(own["invoices"]) == 1
    assert confirmed["lines"][0]["invoicedQty"] == {"value": "2", "uom": "C62"}
    assert confirmed["lines"][0]["shippedQty"] == {"value": "0", "uom": "C62"}


async def test_a_confirmed_sale_takes_its_stock(api: APIUnderTest, new_name: NewName) -> None:
    async def level() -> dict[str, Decimal]:
        reply = await api.invoke("listStockLevels", {"skus": ["GRINDER-M2"]})
        body: Any = reply.body
        names = ("onHand", "reserved", "available")
        return {name: Decimal(body["items"][0][name]["value"]) for name in names}

    before = await level()
    sale = await created(api, an_order(new_name(), line("GRINDER-M2", "3", "279.00")))
    assert await level() == before

    await confirm(api, sale["id"])

    after = await level()
    assert after["onHand"] == before["onHand"]
    assert after["reserved"] == before["reserved"] + 3
    assert after["available"] == after["onHand"] - after["reserved"]


async def test_a_product_whose_stock_a_sale_will_take_is_among_the_changes(
    api: APIUnderTest, new_name: NewName
) -> None:
    since = (await created(api, an_order(new_name())))["updatedAt"]
    sale = await created(api, an_order(new_name(), line("SCALE-S2", "1", "89.00")))
    await confirm(api, sale["id"])

    async def changes(**more: object) -> Any:
        return (await api.invoke("listStockChanges", {"since": since, "limit": 100, **more})).body

    later: Any = (await api.invoke("getSale", {"saleId": sale["id"]})).body
    moment = datetime.fromisoformat(later["updatedAt"]) + timedelta(seconds=1)
    found, first = await changes(), await changes(limit=1)

    assert "SCALE-S2" in [item["sku"] for item in found["items"]]
    assert len(first["items"]) == 1
    assert (await changes(since=moment.isoformat()))["items"] == []


async def test_confirming_again_changes_nothing(api: APIUnderTest, new_name: NewName) -> None:
    sale = await created(api, an_order(new_name()))
    first = await confirm(api, sale["id"])

    assert await confirm(api, sale["id"]) == first


async def test_confirming_goes_on_from_a_quotation(
    api: APIUnderTest, erp: Exchange, new_name: NewName
) -> None:
    sale = await created(api, an_order(new_name()))
    await erp.press("sale.sale", int(sale["id"]), "quote", ["state"])
    quoted: Any = (await api.invoke("getSale", {"saleId": sale["id"]})).body
    assert quoted["status"] == "open"

    assert (await confirm(api, sale["id"]))["status"] == "confirmed"


async def test_confirming_finishes_what_was_interrupted_before_processing(
    api: APIUnderTest, erp: Exchange, tryton: Sandbox, new_name: NewName
) -> None:
    sale = await created(api, an_order(new_name()))
    await erp.press("sale.sale", int(sale["id"]), "quote", ["state"])
    # As after a crash between Tryton's two transactions: binding, but nothing came of it yet.
    change(
        tryton,
        f"UPDATE sale_sale SET {BINDING} WHERE id = ?",
        int(sale["id"]),
    )

    confirmed = await confirm(api, sale["id"])

    assert confirmed["extensions"]["tryton"]["state"] == "processing"
    assert len(confirmed["extensions"]["tryton"]["shipments"]) == 1


async def test_a_sale_that_tryton_cannot_process_is_confirmed_all_the_same(
    fresh_api: APIUnderTest, fresh_tryton: Sandbox, new_name: NewName
) -> None:
    """Here no invoice can be made, because the revenue account is closed."""
    sale = await created(fresh_api, an_order(new_name()))
    closed = "(SELECT min(id) FROM account_account WHERE closed)"
    change(fresh_tryton, f"UPDATE product_category_account SET account_revenue = {closed}")

    confirmed = await confirm(fresh_api, sale["id"])

    assert confirmed["status"] == "confirmed"
    assert confirmed["extensions"]["tryton"]["state"] == "confirmed"


def change(sandbox: Sandbox, statement: str, *values: object) -> None:
    """Change the database behind Tryton's back."""
    connection = sqlite3.connect(sandbox.database, timeout=10)
    with contextlib.closing(connection), connection:
        connection.execute(statement, values)


async def test_a_cancelled_sale_is_not_confirmed(
    api: APIUnderTest, erp: Exchange, new_name: NewName
) -> None:
    body = an_order(new_name())
    sale = await created(api, body)
    await erp.press("sale.sale", int(sale["id"]), "cancel", ["state"])

    problem = await refused(confirm(api, sale["id"]))

    assert problem.kind is CONFLICT


async def cancel(api: APIUnderTest, sale_id: str) -> Any:
    return (await api.invoke("cancelSale", {"saleId": sale_id}, seconds=30)).body


@pytest.mark.parametrize("button", [None, "quote"])
async def test_a_sale_is_cancelled_as_often_as_asked(
    api: APIUnderTest, erp: Exchange, new_name: NewName, button: str | None
) -> None:
    sale = await created(api, an_order(new_name()))
    if button:
        await erp.press("sale.sale", int(sale["id"]), button, ["state"])

    first = await cancel(api, sale["id"])
    again = await cancel(api, sale["id"])

    assert (first["id"], first["status"]) == (sale["id"], "cancelled")
    assert again == first


async def test_the_name_of_a_cancelled_sale_is_free_again(
    api: APIUnderTest, new_name: NewName
) -> None:
    body = an_order(new_name())
    first = await created(api, body)
    await cancel(api, first["id"])

    reply = await create(api, body)
    second: Any = reply.body

    assert reply.status == 201
    assert second["id"] != first["id"]
    assert (await confirm(api, second["id"]))["status"] == "confirmed"


async def test_a_confirmed_sale_that_was_not_processed_is_cancelled(
    api: APIUnderTest, erp: Exchange, tryton: Sandbox, new_name: NewName
) -> None:
    sale = await created(api, an_order(new_name()))
    number = int(sale["id"])
    await erp.press("sale.sale", number, "quote", ["state"])
    change(tryton, f"UPDATE sale_sale SET {BINDING} WHERE id = ?", number)

    assert (await cancel(api, sale["id"]))["status"] == "cancelled"


async def test_a_sale_that_is_processed_is_not_cancelled(
    api: APIUnderTest, new_name: NewName
) -> None:
    sale = await created(api, an_order(new_name()))
    await confirm(api, sale["id"])

    problem = await refused(cancel(api, sale["id"]))

    assert problem.kind is CONFLICT
    assert "processing" in problem.detail


async def test_cancelling_what_is_not_there_is_not_found(api: APIUnderTest) -> None:
    problem = await refused(cancel(api, "999999"))

    assert problem.status == 404


async def test_two_confirms_at_a_time_are_one(api: APIUnderTest, new_name: NewName) -> None:
    sale = await created(api, an_order(new_name()))

    both = await asyncio.gather(*(confirm(api, sale["id"]) for _ in range(2)))

    assert both[0] == both[1]
    assert len(both[0]["extensions"]["tryton"]["shipments"]) == 1
    assert len(both[0]["extensions"]["tryton"]["invoices"]) == 1


async def test_creates_of_one_name_at_a_time_make_one_sale(
    api: APIUnderTest, new_name: NewName
) -> None:
    body = an_order(new_name())

    replies = await asyncio.gather(*(create(api, body) for _ in range(6)))

    assert sorted(reply.status for reply in replies) == [200] * 5 + [201]
    assert len({reply.body["id"] for reply in replies}) == 1  # type: ignore[index]  # an order


async def test_creates_of_one_name_in_several_processes_leave_one_sale(
    tryton: Sandbox, new_name: NewName
) -> None:
    """Clients of their own wait for nobody, as in processes of their own."""
    body = an_order(name := new_name())
    async with (
        open_api(tryton.endpoint) as one,
        open_api(tryton.endpoint) as two,
        open_api(tryton.endpoint) as three,
    ):
        replies = await asyncio.gather(*(create(api, body) for api in (one, two, three)))
        found: Any = (await one.invoke("listSales", {"poNumber": name})).body

    assert len(found["items"]) == 1
    assert {reply.body["id"] for reply in replies} == {found["items"][0]["id"]}  # type: ignore[index]  # an order
    assert 200 in {reply.status for reply in replies}


async def test_a_second_draft_of_a_name_is_never_confirmed(
    api: APIUnderTest, erp: Exchange, new_name: NewName
) -> None:
    name = new_name()
    first = await made_behind_the_back(erp, "C-1001", name)
    second = await made_behind_the_back(erp, "C-1001", name)

    problem = await refused(confirm(api, str(second)))

    assert problem.kind is CONFLICT
    assert (await confirm(api, str(first)))["status"] == "confirmed"


async def test_sales_are_listed_newest_first_and_by_what_names_them(
    api: APIUnderTest, new_name: NewName
) -> None:
    names = [new_name() for _ in range(3)]
    sales = [await created(api, an_order(name, customer="C-1005")) for name in names]

    async def ids(**filters: object) -> tuple[list[str], str | None]:
        body: Any = (await api.invoke("listSales", {"customerId": "C-1005", **filters})).body
        return [item["id"] for item in body["items"]], body.get("nextCursor")

    newest, cursor = await ids(limit=2)
    assert newest == [sales[2]["id"], sales[1]["id"]]
    assert (await ids(limit=1, cursor=cursor))[0] == [sales[0]["id"]]
    assert await ids(poNumber=names[1]) == ([sales[1]["id"]], None)
    assert await ids(poNumber=names[1], customerId="C-1001") == ([], None)
