"""simple-salesforce, which knows nothing of us, takes the sandbox for an org."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from system_apis.salesforce.sandbox.org import Org
from system_apis.salesforce.sandbox.system import CLIENT_ID, USERNAME
from tests.support.sandbox import SECRET
from tests.system_apis.salesforce.sandbox.conftest import MY_DOMAIN

pytestmark = pytest.mark.anyio


def log_in(session: requests.Session, **words: Any) -> Salesforce:
    return Salesforce(consumer_key=CLIENT_ID, session=session, version="68.0", **words)


@pytest.fixture
async def judge(session: requests.Session) -> Salesforce:
    return await asyncio.to_thread(log_in, session, consumer_secret=SECRET, domain=MY_DOMAIN)


async def test_client_credentials_that_are_wrong_are_refused(session: requests.Session) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        await asyncio.to_thread(log_in, session, consumer_secret="wrong", domain=MY_DOMAIN)

    assert caught.value.code == "invalid_client"


async def test_an_assertion_signed_with_the_registered_key_opens_a_session(
    session: requests.Session, key_pair: tuple[str, str]
) -> None:
    judge = await asyncio.to_thread(log_in, session, username=USERNAME, privatekey=key_pair[0])

    assert (await asyncio.to_thread(judge.limits))["DailyApiRequests"]["Max"] > 0


async def test_an_assertion_for_somebody_else_is_refused(
    session: requests.Session, key_pair: tuple[str, str]
) -> None:
    with (
        pytest.warns(UserWarning, match="self-authorize"),
        pytest.raises(SalesforceAuthenticationFailed),
    ):
        await asyncio.to_thread(
            log_in, session, username="somebody@else.example", privatekey=key_pair[0]
        )


async def test_a_record_is_created_read_changed_and_deleted(judge: Salesforce) -> None:
    def work() -> None:
        created = judge.Account.create({"Name": "Quay 9", "BillingCity": "Ghent"})
        assert created["success"]
        record = judge.Account.get(created["id"])
        assert record["Name"] == "Quay 9"
        assert judge.Account.update(created["id"], {"BillingCity": None}) == 204
        assert judge.Account.get(created["id"][:15])["BillingCity"] is None
        assert judge.Account.delete(created["id"]) == 204
        with pytest.raises(SalesforceResourceNotFound) as caught:
            judge.Account.get(created["id"])
        assert caught.value.content[0]["errorCode"] == "ENTITY_IS_DELETED"

    await asyncio.to_thread(work)


async def test_an_upsert_creates_then_changes_then_finds_several(judge: Salesforce) -> None:
    def work() -> None:
        assert judge.Account.upsert("Ext_Id__c/C-9", {"Name": "Quay 9"}) == 201
        assert judge.Account.upsert("Ext_Id__c/c-9", {"Name": "Quay Nine"}) == 200
        assert judge.Account.get_by_custom_id("Ext_Id__c", "C-9")["Name"] == "Quay Nine"
        for _ in range(2):
            judge.Contact.create({"LastName": "Twin", "Ext_Id__c": "P-1"})
        with pytest.raises(SalesforceMoreThanOneRecord) as caught:
            judge.Contact.upsert("Ext_Id__c/P-1", {"LastName": "Third"})
        assert len(caught.value.content) == 2
        assert judge.query("SELECT Id FROM Contact WHERE LastName = 'Third'")["totalSize"] == 0

    await asyncio.to_thread(work)


async def test_a_query_is_read_page_by_page(judge: Salesforce, org: Org) -> None:
    def work() -> None:
        for start in range(0, 450, 200):
            people = [
                {"attributes": {"type": "Contact", "referenceId": f"r{n}"}, "LastName": f"L{n:03d}"}
                for n in range(start, min(start + 200, 450))
            ]
            judge.restful("composite/tree/Contact", method="POST", json={"records": people})
        text = "SELECT LastName FROM Contact WHERE LastName LIKE 'L%' ORDER BY LastName"
        pages = judge.query_all_iter(text, headers={"Sforce-Query-Options": "batchSize=200"})
        assert [each["LastName"] for each in pages] == [f"L{n:03d}" for n in range(450)]
        assert (
            judge.query("SELECT COUNT() FROM Contact WHERE LastName LIKE 'L%'")["totalSize"] == 450
        )
        assert judge.api_usage["api-usage"].used == org.calls

    await asyncio.to_thread(work)


async def test_deleted_records_are_seen_by_query_all_only(judge: Salesforce) -> None:
    def work() -> None:
        created = judge.Contact.create({"LastName": "Gone"})
        judge.Contact.delete(created["id"])
        text = "SELECT Id, IsDeleted FROM Contact WHERE LastName = 'Gone'"
        assert judge.query(text)["records"] == []
        found = judge.query_all(text, include_deleted=True)["records"]
        assert [each["IsDeleted"] for each in found] == [True]

    await asyncio.to_thread(work)


async def test_texts_quoted_by_the_client_are_found(judge: Salesforce) -> None:
    name = 'O\'Hara \\ "Sons"\n100%_'

    def work() -> None:
        judge.Account.create({"Name": name})
        for text in (
            format_soql("SELECT Name FROM Account WHERE Name = {}", name),
            format_soql("SELECT Name FROM Account WHERE Name IN {}", [name, "x"]),
            format_soql("SELECT Name FROM Account WHERE Name LIKE '%{:like}'", "100%_"),
        ):
            assert [each["Name"] for each in judge.query(text)["records"]] == [name]
        nothing = format_soql("SELECT Name FROM Account WHERE Name LIKE '{:like}'", "O_Hara%")
        assert judge.query(nothing)["totalSize"] == 0

    await asyncio.to_thread(work)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT Foo FROM Account", "INVALID_FIELD"),
        ("SELECT Owner.Name FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Id, (SELECT Id FROM Contact) FROM Account", "INVALID_TYPE"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'a' OR Name = 'b' AND Name = 'c'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'it's'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = '\\x'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account GROUP BY Name", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE CreatedDate > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Account LIMIT 1 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
    ],
)
async def test_a_query_that_is_wrong_is_refused(judge: Salesforce, text: str, code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        await asyncio.to_thread(judge.query, text)

    assert caught.value.content[0]["errorCode"] == code


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, "REQUIRED_FIELD_MISSING"),
        ({"Name": "x" * 256}, "STRING_TOO_LONG"),
        ({"Name": "x", "Nothing": 1}, "INVALID_FIELD"),
        ({"Name": "x", "CreatedDate": "2026-01-01"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Name": "x", "ParentId": "001QyK0000000zzIBA"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"Name": "x", "CurrencyIsoCode": "XXX"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Name": "x", "Ext_Id__c": "C-1001"}, "DUPLICATE_VALUE"),
        ({"Name": "Harbour Street Coffee", "BillingPostalCode": "3011 AA"}, "DUPLICATES_DETECTED"),
    ],
)
async def test_a_record_that_is_wrong_is_refused(
    judge: Salesforce, values: dict[str, object], code: str
) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        await asyncio.to_thread(judge.Account.create, values)

    assert caught.value.content[0]["errorCode"] == code


async def test_an_object_that_is_not_visible_is_not_there(
    judge: Salesforce, served: Running
) -> None:
    served.faulty.set(Faults(no_access=("Account", "Contact.Email")))

    with pytest.raises(SalesforceMalformedRequest) as queried:
        await asyncio.to_thread(judge.query, "SELECT Id FROM Account")
    with pytest.raises(SalesforceMalformedRequest) as selected:
        await asyncio.to_thread(judge.query, "SELECT Email FROM Contact")
    with pytest.raises(SalesforceResourceNotFound):
        await asyncio.to_thread(judge.Account.create, {"Name": "x"})

    assert queried.value.content[0]["errorCode"] == "INVALID_TYPE"
    assert selected.value.content[0]["errorCode"] == "INVALID_FIELD"
    described = await asyncio.to_thread(judge.describe)
    assert "Account" not in [each["name"] for each in described["sobjects"]]
    fields = (await asyncio.to_thread(judge.Contact.describe))["fields"]
    assert "Email" not in [each["name"] for each in fields]


async def test_a_write_that_is_not_permitted_is_refused(judge: Salesforce, served: Running) -> None:
    served.faulty.set(Faults(read_only=("Account", "Contact.Email")))

    account = (await asyncio.to_thread(judge.query, "SELECT Id FROM Account LIMIT 1"))["records"][0]
    for work in (
        lambda: judge.Account.create({"Name": "x"}),
        lambda: judge.Account.update(account["Id"], {"Name": "x"}),
        lambda: judge.Account.upsert("Ext_Id__c/NEW", {"Name": "x"}),
        lambda: judge.Account.delete(account["Id"]),
    ):
        with pytest.raises(SalesforceRefusedRequest) as refused:
            await asyncio.to_thread(work)
        assert refused.value.content[0]["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"
    with pytest.raises(SalesforceMalformedRequest) as field:
        await asyncio.to_thread(judge.Contact.create, {"LastName": "x", "Email": "a@b.example"})
    assert field.value.content[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"


async def test_changes_and_deletions_are_listed(judge: Salesforce) -> None:
    def work() -> None:
        window = ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
        gone = judge.Account.create({"Name": "Gone"})["id"]
        judge.Account.delete(gone)
        call = judge.Account._call_salesforce
        url = judge.Account.base_url
        found = call("GET", f"{url}deleted/?start={window[0]}&end={window[1]}").json()
        assert [each["id"] for each in found["deletedRecords"]] == [gone]
        updated = call("GET", f"{url}updated/?start={window[0]}&end={window[1]}").json()
        assert len(updated["ids"]) == 5

    await asyncio.to_thread(work)


async def test_a_session_that_was_ended_is_opened_again(judge: Salesforce, org: Org) -> None:
    before = judge.session_id
    org.sessions.revoke_all()

    assert (await asyncio.to_thread(judge.limits))["DailyApiRequests"]["Max"] > 0
    assert judge.session_id != before


async def test_the_calls_of_a_day_come_to_an_end(judge: Salesforce, org: Org) -> None:
    org.daily_calls = org.calls + 1
    await asyncio.to_thread(judge.limits)

    with pytest.raises(SalesforceRefusedRequest) as caught:
        await asyncio.to_thread(judge.limits)

    assert caught.value.content[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
