"""Customers, products and stock, read from a real Tryton."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from portico.problems import NOT_FOUND, Problem
from portico.sandbox.company import COMPANY_FILE

if TYPE_CHECKING:
    from portico.testing import APIUnderTest

pytestmark = pytest.mark.anyio

CATALOGUE = json.loads(COMPANY_FILE.read_text("utf-8"))
SKUS = [product["code"] for product in CATALOGUE["products"]]
CUSTOMERS = [customer["code"] for customer in CATALOGUE["customers"]]


async def body(api: APIUnderTest, operation_id: str, **arguments: object) -> Any:
    return (await api.invoke(operation_id, arguments)).body


async def pages(api: APIUnderTest, operation_id: str, **arguments: object) -> list[list[Any]]:
    found = []
    while True:
        page = await body(api, operation_id, **arguments)
        found.append(page["items"])
        if "nextCursor" not in page:
            return found
        arguments["cursor"] = page["nextCursor"]


@pytest.mark.parametrize(
    ("operation_id", "names"), [("listCustomers", CUSTOMERS), ("listProducts", SKUS)]
)
async def test_pages_hold_everything_once_in_one_order(
    api: APIUnderTest, operation_id: str, names: list[str]
) -> None:
    small = await pages(api, operation_id, limit=2)
    large = await pages(api, operation_id, limit=100)

    assert [item["id"] for page in small for item in page] == names
    assert all(len(page) == 2 for page in small[:-1])
    assert [item for page in small for item in page] == large[0]


async def test_the_link_leads_to_the_next_page(api: APIUnderTest) -> None:
    reply = await api.invoke("listProducts", {"limit": 2, "q": "kettle"})
    first = await api.invoke("listProducts", {"limit": 1, "q": "kettle"})

    assert list(reply.headers) == []
    assert isinstance(first.body, dict)
    cursor = first.body["nextCursor"]
    assert list(first.headers) == [("Link", f'<?q=kettle&limit=1&cursor={cursor}>; rel="next"')]


@pytest.mark.parametrize("operation_id", ["listCustomers", "listProducts", "listSales"])
async def test_a_foreign_cursor_has_no_page(api: APIUnderTest, operation_id: str) -> None:
    with pytest.raises(Problem) as caught:
        await api.invoke(operation_id, {"cursor": "somewhere"})

    assert caught.value.kind is NOT_FOUND


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("MILL", ["C-1002"]),
        ("c-100", CUSTOMERS),
        ("café", ["C-1004"]),
        ("%", []),
        ("_", []),
        ("Quayside", []),
    ],
)
async def test_customers_are_found_by_name_or_code(
    api: APIUnderTest, text: str, codes: list[str]
) -> None:
    """The company itself is a party too, but no customer."""
    page = await body(api, "listCustomers", q=text)

    assert [item["id"] for item in page["items"]] == codes


async def test_a_customer_has_addresses_by_role_and_contacts(api: APIUnderTest) -> None:
    customer = await body(api, "getCustomer", customerId="C-1002")

    assert customer["name"] == "Old Mill Bakery"
    assert customer["status"] == "active"
    assert customer["language"] == "nl"
    assert customer["email"] == "inkoop@old-mill.example"
    assert customer["paymentTerms"] == {"code": "30 days", "days": 30}
    roles = {address["role"]: address["line1"] for address in customer["addresses"]}
    assert roles == {"billing": "17 Mill Lane", "shipping": "2 Canal Dock"}
    assert {contact["kind"] for contact in customer["contacts"]} == {"email", "phone"}
    (external,) = customer["externalIds"]
    assert external["system"] == "tryton"
    assert external["instance"] == "erp"
    assert external["entity"] == "party.party"


async def test_an_address_with_two_roles_is_there_for_each(api: APIUnderTest) -> None:
    customer = await body(api, "getCustomer", customerId="C-1001")

    first, second = customer["addresses"]
    assert first["id"] == second["id"]
    assert {first["role"], second["role"]} == {"billing", "shipping"}


async def test_what_only_tryton_knows_is_an_extension(api: APIUnderTest) -> None:
    customer = await body(api, "getCustomer", customerId="C-1003")

    assert customer["extensions"] == {"tryton": {"taxRule": "Supply within the EU"}}


@pytest.mark.parametrize(
    ("operation_id", "arguments"),
    [
        ("getCustomer", {"customerId": "C-9999"}),
        ("getProduct", {"sku": "NO-SUCH-SKU"}),
        ("getProduct", {"sku": "grinder-m1"}),
        ("getSale", {"saleId": "999999"}),
        ("getSale", {"saleId": "C-1001"}),
        ("confirmSale", {"saleId": "999999"}),
    ],
)
async def test_what_is_not_there_is_404(
    api: APIUnderTest, operation_id: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(Problem) as caught:
        await api.invoke(operation_id, arguments)

    assert caught.value.kind is NOT_FOUND


async def test_a_product_has_its_price_as_a_decimal_text(api: APIUnderTest) -> None:
    product = await body(api, "getProduct", sku="GRINDER-M1")

    assert product["name"] == "Burr grinder M1"
    assert product["uom"] == "C62"
    assert product["kind"] == "good"
    assert product["trackInventory"] is True
    assert product["prices"] == [{"list": "standard", "amount": "149.00", "currency": "EUR"}]


async def test_a_product_sold_by_weight_has_its_own_unit(api: APIUnderTest) -> None:
    assert (await body(api, "getProduct", sku="BEANS-HOUSE"))["uom"] == "KGM"


async def test_a_service_is_not_kept_in_stock(api: APIUnderTest) -> None:
    product = await body(api, "getProduct", sku="TRAINING-2H")

    assert product["kind"] == "service"
    assert product["trackInventory"] is False


async def test_products_are_chosen_by_sku(api: APIUnderTest) -> None:
    page = await body(
        api, "listProducts", skus=["KETTLE-E1", "NO-SUCH-SKU", "GRINDER-M1"], q="grinder"
    )

    assert [item["sku"] for item in page["items"]] == ["GRINDER-M1"]


async def test_stock_is_told_for_each_product_that_is_counted(fresh_api: APIUnderTest) -> None:
    asked = ["NO-SUCH-SKU", *reversed(SKUS)]

    levels = (await body(fresh_api, "listStockLevels", skus=asked))["items"]

    counted = [row for row in reversed(CATALOGUE["products"]) if row["type"] == "goods"]
    assert [level["sku"] for level in levels] == [row["code"] for row in counted]
    for level, row in zip(levels, counted, strict=True):
        assert level["locationId"] == "WH"
        assert Decimal(level["onHand"]["value"]) == Decimal(row["on_hand"])
        assert level["available"] == level["onHand"]
        assert level["reserved"]["value"] == "0"


async def test_stock_by_weight_keeps_its_decimals(api: APIUnderTest) -> None:
    (level,) = (await body(api, "listStockLevels", skus=["BEANS-HOUSE"]))["items"]

    assert level["onHand"] == {"value": "310.5", "uom": "KGM"}


async def test_many_readers_are_served_at_a_time(api: APIUnderTest) -> None:
    async with asyncio.timeout(30):
        found = await asyncio.gather(
            *(api.invoke("getProduct", {"sku": "GRINDER-M1"}, seconds=30) for _ in range(40))
        )

    assert all(reply.body == found[0].body for reply in found)
