"""Customers, contacts, products and opportunities, read from an org and written to it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from portico.contract import Contract
from portico.problems import CONFLICT, INVALID_PARAMETER, NOT_FOUND, Problem
from portico.sandbox.company import read_company
from portico.sandbox.running import Running
from portico.testing import APIUnderTest
from system_apis.salesforce.sandbox.objects import OBJECTS
from system_apis.salesforce.sandbox.org import Org
from system_apis.salesforce.sandbox.store import Saving
from tests.support.operations import all_pages, body_of
from tests.system_apis.salesforce.conftest import an_account, opened

pytestmark = pytest.mark.anyio

COMPANY = read_company()
SKUS = [product.code for product in COMPANY.products]
CUSTOMERS = [customer.name for customer in COMPANY.customers]
NOBODY = "001QyK0000000zzIBA"
A_CUSTOMER: dict[str, Any] = {
    "name": "Quay 9",
    "phone": "+32 9 555 0199",
    "status": "prospect",
    "currency": "EUR",
    "addresses": [
        {
            "role": "billing",
            "line1": "9 Quay",
            "city": "Ghent",
            "postalCode": "9000",
            "country": "BE",
        }
    ],
}


async def put(
    api: APIUnderTest, operation_id: str, key: str, body: dict[str, Any]
) -> tuple[int, Any]:
    reply = await api.invoke(operation_id, {"externalKey": key}, body=body)
    return reply.status, reply.body


@pytest.mark.parametrize(
    ("operation_id", "name", "names"),
    [("listCustomers", "name", CUSTOMERS), ("listProducts", "sku", SKUS)],
)
async def test_pages_hold_everything_once_in_one_order(
    api: APIUnderTest, operation_id: str, name: str, names: list[str]
) -> None:
    small = await all_pages(api, operation_id, limit=2)
    large = await all_pages(api, operation_id, limit=100)

    assert [item[name] for page in small for item in page] == names
    assert all(len(page) == 2 for page in small[:-1])
    assert [item for page in small for item in page] == large[0]


async def test_the_link_leads_to_the_next_page(api: APIUnderTest) -> None:
    first = await api.invoke("listProducts", {"limit": 1, "q": "kettle"})
    last = await api.invoke("listProducts", {"limit": 2, "q": "kettle"})

    assert isinstance(first.body, dict)
    target = f"?q=kettle&limit=1&cursor={first.body['nextCursor']}"
    assert list(first.headers) == [("Link", f'<{target}>; rel="next"')]
    assert list(last.headers) == []


@pytest.mark.parametrize("cursor", ["somewhere", "J09SIDE9MQ"])
@pytest.mark.parametrize("more", [{}, {"changedSince": "2026-01-01T00:00:00Z"}])
async def test_a_foreign_cursor_has_no_page(
    api: APIUnderTest, cursor: str, more: dict[str, object]
) -> None:
    """The second cursor is base64 of a piece of SOQL."""
    with pytest.raises(Problem) as caught:
        await api.invoke("listCustomers", {"cursor": cursor, **more})

    assert caught.value.kind is NOT_FOUND


@pytest.mark.parametrize(
    ("text", "count"),
    [("mill", 1), ("c-100", 5), ("café", 1), ("%", 0), ("_", 0), ("' OR Name != '", 0), ("\\", 0)],
)
async def test_customers_are_found_by_name_or_number(
    api: APIUnderTest, text: str, count: int
) -> None:
    page = await body_of(api, "listCustomers", q=text)

    assert len(page["items"]) == count


async def test_a_customer_has_its_key_addresses_and_ways_to_reach_it(api: APIUnderTest) -> None:
    customer = await body_of(api, "getCustomer", customerId=await an_account(api, "C-1002"))

    assert customer["name"] == "Old Mill Bakery"
    assert customer["kind"] == "organization"
    assert customer["status"] == "active"
    assert customer["currency"] == "EUR"
    assert [(each["entity"], each.get("role")) for each in customer["externalIds"]] == [
        ("Account", None),
        ("Account", "external-key"),
    ]
    assert customer["externalIds"][1]["id"] == "C-1002"
    places = {place["role"]: (place["line1"], place["country"]) for place in customer["addresses"]}
    assert places == {"billing": ("17 Mill Lane", "NL"), "shipping": ("2 Canal Dock", "NL")}
    assert customer["contacts"] == [{"kind": "email", "value": "inkoop@old-mill.example"}]
    assert customer["extensions"]["salesforce"] == {"type": "Customer", "accountNumber": "C-1002"}


async def test_a_contact_belongs_to_its_customer(api: APIUnderTest) -> None:
    account = await an_account(api)
    (contact,) = (await body_of(api, "listContacts", customerId=account))["items"]

    assert contact["kind"] == "person"
    assert contact["parentId"] == account
    assert contact["email"] == "orders@harbour-street.example"
    assert contact == await body_of(api, "getContact", contactId=contact["id"])


async def test_a_product_has_its_price_as_a_decimal_text(api: APIUnderTest) -> None:
    product = await body_of(api, "getProduct", sku="DRIPPER-V60")

    assert product["prices"] == [{"list": "standard", "amount": "24.90", "currency": "EUR"}]
    assert product["uom"] == "C62"
    assert product["kind"] == "good"


async def test_units_and_services_are_told_apart(api: APIUnderTest) -> None:
    page = await body_of(api, "listProducts", skus=["BEANS-HOUSE", "TRAINING-2H", "NO-SUCH"])

    assert [(item["sku"], item["uom"], item["kind"]) for item in page["items"]] == [
        ("BEANS-HOUSE", "KGM", "good"),
        ("TRAINING-2H", "C62", "service"),
    ]


async def test_what_cannot_be_named_or_has_no_room_is_left_out(api: APIUnderTest, org: Org) -> None:
    saving, book = Saving(version="v68.0"), next(org.data.store.records("Pricebook2"))["Id"]
    for code in ("WITH SPACE", "X" * 200, "DEAR-1"):
        values = {"Name": "Odd", "ProductCode": code, "IsActive": True}
        made = org.data.store.insert(OBJECTS["product2"], values, saving)
        price = {"Pricebook2Id": book, "Product2Id": made, "IsActive": True, "UnitPrice": 1e12}
        org.data.store.insert(OBJECTS["pricebookentry"], price, saving)

    page = await body_of(api, "listProducts", q="Odd")

    assert [(item["sku"], item["prices"]) for item in page["items"]] == [("DEAR-1", [])]


@pytest.mark.parametrize(
    ("operation_id", "arguments"),
    [
        ("getCustomer", {"customerId": NOBODY}),
        ("getContact", {"contactId": NOBODY}),
        ("getProduct", {"sku": "NO-SUCH-SKU"}),
        ("getOrder", {"orderId": NOBODY}),
        ("confirmOrder", {"orderId": NOBODY}),
        ("getOpportunity", {"opportunityId": NOBODY}),
    ],
)
async def test_what_is_not_there_is_404(
    api: APIUnderTest, operation_id: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(Problem) as caught:
        await api.invoke(operation_id, arguments)

    assert caught.value.kind is NOT_FOUND


async def test_a_customer_is_created_under_its_key_and_then_changed(api: APIUnderTest) -> None:
    first = await api.invoke("putCustomer", {"externalKey": "C-9"}, body=A_CUSTOMER)
    second = await put(api, "putCustomer", "C-9", {"name": "Quay Nine"})

    assert isinstance(first.body, dict)
    assert (first.status, second[0]) == (201, 200)
    assert list(first.headers) == [
        ("Location", f"/system/salesforce/v1/customers/{first.body['id']}")
    ]
    assert first.body["status"] == "prospect"
    assert first.body["addresses"] == A_CUSTOMER["addresses"]
    assert second[1]["id"] == first.body["id"]
    assert second[1]["name"] == "Quay Nine"
    assert second[1]["addresses"] == []
    assert "phone" not in second[1]


async def test_writers_of_one_key_make_one_customer(api: APIUnderTest, org: Org) -> None:
    replies = await asyncio.gather(*(put(api, "putCustomer", "C-9", A_CUSTOMER) for _ in range(8)))

    assert sorted(status for status, _ in replies) == [200] * 7 + [201]
    assert len(org.data.store.matches("Account", "Ext_Id__c", "C-9")) == 1


async def test_what_a_duplicate_rule_finds_is_409_with_the_records(api: APIUnderTest) -> None:
    known = await an_account(api)
    twin = {
        "name": "harbour street coffee",
        "addresses": [{"role": "billing", "postalCode": "3011 AA"}],
    }

    with pytest.raises(Problem) as caught:
        await put(api, "putCustomer", "C-9", twin)

    assert caught.value.kind is CONFLICT
    assert caught.value.extensions == {
        "system": "salesforce",
        "systemCode": "DUPLICATES_DETECTED",
        "recordIds": [known],
    }


async def test_a_key_that_several_records_have_is_409_and_nothing_is_written(
    api: APIUnderTest, org: Org
) -> None:
    account = await an_account(api)
    contact, saving = OBJECTS["contact"], Saving(version="v68.0")
    for name in ("First", "Second"):
        values = {"LastName": name, "Ext_Id__c": "P-1"}
        org.data.store.insert(contact, values, saving)

    with pytest.raises(Problem) as caught:
        await put(api, "putContact", "P-1", {"familyName": "Third", "customerId": account})

    assert caught.value.kind is CONFLICT
    assert len(caught.value.extensions["recordIds"]) == 2  # type: ignore[arg-type]  # a list
    assert {each["LastName"] for each in org.data.store.records("Contact")} >= {"First", "Second"}
    assert not any(each["LastName"] == "Third" for each in org.data.store.records("Contact"))


async def test_a_contact_of_nobody_is_409(api: APIUnderTest) -> None:
    with pytest.raises(Problem) as caught:
        await put(api, "putContact", "P-1", {"familyName": "Office", "customerId": NOBODY})

    assert caught.value.kind is CONFLICT
    assert caught.value.extensions["systemCode"] == "INVALID_CROSS_REFERENCE_KEY"


async def test_an_opportunity_goes_through_its_stages(api: APIUnderTest) -> None:
    body = {
        "name": "Cups for the terrace",
        "customerId": await an_account(api),
        "stage": "Qualification",
        "closeDate": "2027-01-31",
        "amount": {"amount": "1234.50", "currency": "EUR"},
    }
    _, made = await put(api, "putOpportunity", "O-1", body)
    arguments = {"opportunityId": made["id"]}
    moved = await api.invoke("moveOpportunity", arguments, body={"stage": "Closed Won"})

    assert isinstance(moved.body, dict)
    assert (made["status"], made["probability"]) == ("open", 10)
    assert made["amount"] == {"amount": "1234.50", "currency": "EUR"}
    assert (moved.body["status"], moved.body["probability"]) == ("won", 100)
    won = await body_of(api, "listOpportunities", stage="Closed Won")
    assert made["id"] in [item["id"] for item in won["items"]]


async def test_a_stage_is_set_only_at_the_version_that_was_read(api: APIUnderTest) -> None:
    read = (await body_of(api, "listOpportunities"))["items"][0]
    arguments = {"opportunityId": read["id"]}
    good = {"stage": "Needs Analysis", "version": read["version"]}
    stale = {"stage": "Closed Lost", "version": read["version"] - 1_000_000}
    with pytest.raises(Problem) as caught:
        await api.invoke("moveOpportunity", arguments, body=stale)
    moved = await api.invoke("moveOpportunity", arguments, body=good)

    assert caught.value.kind is CONFLICT
    assert isinstance(moved.body, dict)
    assert moved.body["stage"] == "Needs Analysis"


async def test_a_stage_that_the_org_does_not_have_is_409(api: APIUnderTest) -> None:
    read = (await body_of(api, "listOpportunities"))["items"][0]

    with pytest.raises(Problem) as caught:
        await api.invoke(
            "moveOpportunity", {"opportunityId": read["id"]}, body={"stage": "Somewhere"}
        )

    assert caught.value.kind is CONFLICT


async def test_changes_are_listed_in_their_order_with_tombstones(
    api: APIUnderTest, org: Org
) -> None:
    gone, kept = await an_account(api, "C-1003"), await an_account(api, "C-1001")
    await asyncio.sleep(1.1)  # an org stamps changes to the second
    await put(api, "putCustomer", "C-1001", {"name": "Harbour Street"})
    org.data.store.delete(OBJECTS["account"], gone)

    pages = await all_pages(api, "listCustomers", changedSince="2020-01-01T00:00:00Z", limit=2)
    items = [item for page in pages for item in page]

    assert len(items) == len(CUSTOMERS)
    assert [item["updatedAt"] for item in items] == sorted(item["updatedAt"] for item in items)
    assert {item["id"] for item in items[-2:]} == {gone, kept}
    assert {item["id"]: item.get("deleted", False) for item in items[-2:]} == {
        gone: True,
        kept: False,
    }
    later = await body_of(api, "listCustomers", changedSince=items[-1]["updatedAt"])
    assert {item["id"] for item in later["items"]} == {gone, kept}


async def test_a_person_that_was_deleted_is_no_way_to_reach_a_customer(
    api: APIUnderTest, org: Org
) -> None:
    account = await an_account(api)
    (person,) = org.data.store.children("Contact", "AccountId", account)
    org.data.store.delete(OBJECTS["contact"], person["Id"])

    changes = await body_of(api, "listCustomers", changedSince="2020-01-01T00:00:00Z")

    contacts = {item["id"]: item["contacts"] for item in changes["items"]}
    assert contacts.pop(account) == []
    assert all(contacts.values())


@pytest.mark.parametrize("moment", ["2026-12-31T23:59:60Z", "2026-01-01T00:00:00+23:59"])
async def test_moments_at_the_edge_of_the_calendar_are_no_error_of_ours(
    api: APIUnderTest, moment: str
) -> None:
    try:
        reply = await api.invoke("listCustomers", {"changedSince": moment})
    except Problem as problem:
        assert problem.kind is INVALID_PARAMETER
    else:
        assert reply.status == 200


async def test_an_org_with_one_currency_and_no_country_codes_is_read_too(
    contract: Contract, tmp_path: Path, served: Running
) -> None:
    settings = {"currency": "EUR", "country_codes": False}
    async with opened(contract, served.url, tmp_path, **settings) as api:
        body = {"name": "Quay 9", "addresses": [{"role": "shipping", "country": "BE"}]}
        _, made = await put(api, "putCustomer", "C-9", body)
        product = await body_of(api, "getProduct", sku="GRINDER-M1")

    assert made["currency"] == "EUR"
    assert made["addresses"] == [{"role": "shipping", "country": "BE"}]
    assert product["prices"] == [{"list": "standard", "amount": "149.00", "currency": "EUR"}]


async def test_an_account_that_people_made_is_changed_by_its_id(api: APIUnderTest) -> None:
    account = await an_account(api, "C-1002")
    before = await body_of(api, "getCustomer", customerId=account)
    place = {"role": "billing", "line1": "18 Mill Lane", "city": "Delft", "country": "NL"}

    reply = await api.invoke(
        "changeCustomer", {"customerId": account}, body={"phone": "+31 15 1", "addresses": [place]}
    )

    after: Any = reply.body
    assert after["phone"] == "+31 15 1"
    shown = {each["role"]: each for each in after["addresses"]}
    assert shown["billing"] == place
    for name in ("name", "contacts", "currency"):
        assert after[name] == before[name]
