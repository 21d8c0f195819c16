"""aiosalesforce, which knows nothing of us, takes the sandbox for an org."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from aiosalesforce import Salesforce
from aiosalesforce.auth import ClientCredentialsFlow, JwtBearerFlow
from aiosalesforce.exceptions import (
    AuthenticationError,
    DuplicatesDetectedError,
    MoreThanOneRecordError,
    NotFoundError,
    SalesforceError,
)

from system_apis.salesforce.sandbox.org import Org
from system_apis.salesforce.sandbox.system import CLIENT_ID, USERNAME
from tests.support.sandbox import SECRET

pytestmark = pytest.mark.anyio

BASE_URL = "https://quayside.my.salesforce.com"


@pytest.fixture
def judge(https: httpx.AsyncClient) -> Salesforce:
    auth = ClientCredentialsFlow(CLIENT_ID, SECRET)
    return Salesforce(https, BASE_URL, auth, version="68.0")


async def test_an_assertion_signed_with_the_registered_key_opens_a_session(
    https: httpx.AsyncClient, key_pair: tuple[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    file.write_text(key_pair[0])
    judge = Salesforce(https, BASE_URL, JwtBearerFlow(CLIENT_ID, USERNAME, file), version="68.0")

    found = [row async for row in judge.query("SELECT Name FROM Account ORDER BY Name LIMIT 1")]

    assert [row["Name"] for row in found] == ["Botanical Garden Café"]


async def test_a_secret_that_is_wrong_is_refused(https: httpx.AsyncClient) -> None:
    judge = Salesforce(https, BASE_URL, ClientCredentialsFlow(CLIENT_ID, "wrong"), version="68.0")

    with pytest.raises(AuthenticationError):
        await judge.sobject.get("Account", "001")


async def test_a_session_that_was_ended_is_opened_again(judge: Salesforce, org: Org) -> None:
    await judge.sobject.create("Account", {"Name": "Before"})
    org.sessions.revoke_all()

    assert await judge.sobject.create("Account", {"Name": "After"})


async def test_records_are_created_upserted_and_deleted(judge: Salesforce) -> None:
    created = await judge.sobject.create("Account", {"Name": "Quay 9"})
    await judge.sobject.update("Account", created, {"BillingCity": "Ghent"})
    read = await judge.sobject.get("Account", created, fields=["BillingCity"])
    first = await judge.sobject.upsert("Account", "C-10", "Ext_Id__c", {"Name": "Ten"})
    second = await judge.sobject.upsert("Account", "C-10", "Ext_Id__c", {"Name": "X"})
    await judge.sobject.delete("Account", created)

    assert read["BillingCity"] == "Ghent"
    assert (first.created, second.created) == (True, False)
    assert first.id == second.id
    with pytest.raises(NotFoundError):
        await judge.sobject.get("Account", created)


async def test_several_records_of_an_external_id_are_an_error(judge: Salesforce) -> None:
    for _ in range(2):
        await judge.sobject.create("Contact", {"LastName": "Twin", "Ext_Id__c": "P-1"})

    with pytest.raises(MoreThanOneRecordError):
        await judge.sobject.upsert("Contact", "P-1", "Ext_Id__c", {"LastName": "T"})


async def test_duplicates_are_told_with_their_records(judge: Salesforce) -> None:
    values = {"Name": "harbour street COFFEE", "BillingPostalCode": "3011 AA"}

    with pytest.raises(DuplicatesDetectedError) as caught:
        await judge.sobject.create("Account", values)

    (duplicate,) = caught.value.duplicates
    found = await judge.sobject.get("Account", duplicate["id"])
    assert found["Ext_Id__c"] == "C-1001"


async def test_parts_of_a_composite_request_refer_to_one_another(judge: Salesforce) -> None:
    async with judge.composite(all_or_none=True) as batch:
        account = batch.sobject.create("Account", {"Name": "Quay 9"})
        contact = batch.sobject.create(
            "Contact", {"LastName": "Purchasing", "AccountId": str(account.reference.id)}
        )

    read = await judge.sobject.get("Contact", contact.id)
    assert read["AccountId"] == account.id


async def test_a_part_that_fails_takes_the_others_with_it(judge: Salesforce, org: Org) -> None:
    before = len(list(org.data.store.records("Account")))

    async with judge.composite(all_or_none=True, autoraise=False) as batch:
        good = batch.sobject.create("Account", {"Name": "Quay 9"})
        bad = batch.sobject.create("Account", {})

    assert (good.status_code, bad.status_code) == (400, 400)
    assert isinstance(good.response_body, list)
    assert isinstance(bad.response_body, list)
    assert good.response_body[0]["errorCode"] == "PROCESSING_HALTED"
    assert bad.response_body[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert len(list(org.data.store.records("Account"))) == before


async def test_a_locked_row_is_waited_for_by_the_client(judge: Salesforce, org: Org) -> None:
    org.data.locks = 1

    assert await judge.sobject.create("Account", {"Name": "Quay 9"})
    assert org.data.locks == 0


async def test_a_version_that_is_retired_is_refused(https: httpx.AsyncClient) -> None:
    auth = ClientCredentialsFlow(CLIENT_ID, SECRET)
    judge = Salesforce(https, BASE_URL, auth, version="25.0", retry_policy=None)

    with pytest.raises(SalesforceError) as caught:
        await judge.sobject.get("Account", "001")

    assert caught.value.error_code == "UNSUPPORTED_API_VERSION"
