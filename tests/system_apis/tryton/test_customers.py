"""Customers written to a real Tryton, and the changes of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from portico.connectors.moments import from_text, timestamp
from portico.problems import Problem

if TYPE_CHECKING:
    from portico.testing import APIUnderTest
    from system_apis.tryton.connector import Exchange

pytestmark = pytest.mark.anyio

QUAY = {"role": "billing", "line1": "9 Quay", "city": "Rotterdam", "postalCode": "3011 AB"}
A_CUSTOMER = {
    "name": "Quay Nine",
    "email": "office@quay-nine.example",
    "phone": "+31 10 555 0909",
    "addresses": [{**QUAY, "country": "NL"}],
}


async def put(api: APIUnderTest, code: str, body: Any) -> tuple[int, Any]:
    reply = await api.invoke("putCustomer", {"customerId": code}, body=body)
    return reply.status, reply.body


@pytest.fixture
def code() -> str:
    return f"T-{uuid4().hex[:12]}"


async def test_a_customer_is_created_under_its_code_and_then_changed(
    api: APIUnderTest, code: str
) -> None:
    status, made = await put(api, code, A_CUSTOMER)
    again, changed = await put(api, code, {"phone": "+31 10 555 0910"})

    assert (status, again) == (201, 200)
    assert made["id"] == code
    assert changed["name"] == "Quay Nine"
    assert changed["email"] == "office@quay-nine.example"
    assert changed["phone"].replace(" ", "") == "+31105550910"
    (place,) = changed["addresses"]
    assert {**QUAY, "country": "NL", "id": place["id"]} == place
    assert len(changed["contacts"]) == 2


async def test_an_address_replaces_the_one_of_its_role(api: APIUnderTest, code: str) -> None:
    await put(api, code, A_CUSTOMER)

    _, changed = await put(api, code, {"addresses": [{"role": "billing", "city": "Delft"}]})

    (place,) = changed["addresses"]
    assert place == {"id": place["id"], "role": "billing", "city": "Delft"}


async def test_writers_of_one_code_make_one_customer(
    api: APIUnderTest, erp: Exchange, code: str
) -> None:
    replies = await asyncio.gather(*(put(api, code, A_CUSTOMER) for _ in range(4)))

    assert sorted(status for status, _ in replies) == [200, 200, 200, 201]
    found = await erp.search("party.party", fields=["code"], domain=[["code", "=", code]], limit=9)
    assert len(found) == 1


@pytest.mark.parametrize(
    "body", [{"phone": "+31 10 555 0910"}, {"name": "A", "addresses": [{**QUAY, "country": "ZZ"}]}]
)
async def test_what_tryton_cannot_take_is_refused(api: APIUnderTest, code: str, body: Any) -> None:
    with pytest.raises(Problem) as refused:
        await put(api, code, body)

    assert refused.value.status == 422


async def test_changes_have_what_was_changed_in_a_part_of_a_customer(
    api: APIUnderTest, erp: Exchange, code: str
) -> None:
    await put(api, code, A_CUSTOMER)
    since = datetime.now(UTC)
    assert code not in await changed(api, since + timedelta(seconds=1))
    await asyncio.sleep(1.1)
    (party,) = await erp.search(
        "party.party",
        fields=["contact_mechanisms.type"],
        domain=[["code", "=", code]],
        limit=1,
    )
    number = party.many("contact_mechanisms")[0].id
    await erp.write("party.contact_mechanism", number, {"value": "new@quay-nine.example"}, ["id"])

    found = await changed(api, since + timedelta(seconds=1))

    assert found[code]["email"] == "new@quay-nine.example"
    assert from_text(found[code]["updatedAt"]) >= since


async def test_changes_have_those_that_no_longer_buy(
    api: APIUnderTest, erp: Exchange, code: str
) -> None:
    since = datetime.now(UTC) - timedelta(seconds=2)
    _, made = await put(api, code, A_CUSTOMER)
    number = int(made["externalIds"][0]["id"])
    await erp.write("party.party", number, {"active": False}, ["id"])

    assert (await changed(api, since))[code]["status"] == "inactive"


async def test_a_moment_that_is_none_is_refused(api: APIUnderTest) -> None:
    with pytest.raises(Problem) as refused:
        await api.invoke("listCustomers", {"limit": 1, "changedSince": "1990-12-31T23:59:60Z"})

    assert refused.value.status == 400


async def changed(api: APIUnderTest, since: datetime) -> dict[str, Any]:
    found: dict[str, Any] = {}
    arguments: dict[str, object] = {"changedSince": timestamp(since), "limit": 2}
    while True:
        page: Any = (await api.invoke("listCustomers", arguments)).body
        found.update({item["id"]: item for item in page["items"]})
        if "nextCursor" not in page:
            return found
        arguments["cursor"] = page["nextCursor"]
