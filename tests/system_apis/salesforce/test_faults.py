"""What goes wrong between us and an org: retried where that helps, told cleanly where not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from portico.contract import Contract
from portico.problems import (
    BAD_UPSTREAM,
    CONFLICT,
    DEADLINE_EXCEEDED,
    SYSTEM_UNAVAILABLE,
    Problem,
)
from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from portico.testing import APIUnderTest
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.sandbox.org import Org
from tests.support.operations import body_of
from tests.support.script import Script, answer
from tests.system_apis.salesforce.conftest import KEY, an_account, an_order, opened

pytestmark = pytest.mark.anyio

TOKEN = answer(200, b'{"access_token": "t", "token_type": "Bearer"}')


async def problem_of(waiting: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await waiting
    return caught.value


async def test_a_locked_row_is_tried_again(api: APIUnderTest, org: Org) -> None:
    account = await an_account(api)
    org.data.locks = 2
    put = await api.invoke("putCustomer", {"externalKey": "C-9"}, body={"name": "Quay 9"})
    org.data.locks = 2
    made = await api.invoke("createOrder", KEY, body=an_order(account))

    assert (put.status, made.status) == (201, 201)
    assert org.data.locks == 0


async def test_a_row_that_stays_locked_is_409_with_a_time_to_come_back(
    api: APIUnderTest, org: Org
) -> None:
    org.data.locks = 100

    problem = await problem_of(
        api.invoke("putCustomer", {"externalKey": "C-9"}, body={"name": "Quay 9"})
    )

    assert problem.kind is CONFLICT
    assert problem.extensions["systemCode"] == "UNABLE_TO_LOCK_ROW"
    assert ("Retry-After", "1") in problem.headers


async def test_a_token_that_was_revoked_is_renewed_once(
    api: APIUnderTest, served: Running, org: Org
) -> None:
    await an_account(api)
    served.sandbox.revoke_tokens()
    found = await asyncio.gather(*(an_account(api) for _ in range(8)))

    assert len(set(found)) == 1
    assert len(org.sessions._expiries) == 1


async def test_a_secret_that_is_wrong_is_for_the_operator(
    contract: Contract, tmp_path: Path, served: Running
) -> None:
    async with opened(contract, served.url, tmp_path, client_secret="wrong") as api:
        problem = await problem_of(api.invoke("listCustomers"))

    assert problem.kind is BAD_UPSTREAM
    assert problem.extensions == {"system": "salesforce", "systemCode": "invalid_client"}
    assert "wrong" not in problem.detail


async def test_the_jwt_bearer_flow_opens_a_session(
    contract: Contract, tmp_path: Path, served: Running, key_pair: tuple[str, str]
) -> None:
    settings = {
        "client_secret": None,
        "private_key": key_pair[0],
        "username": "integration@quayside-coffee.example",
    }
    async with opened(contract, served.url, tmp_path, **settings) as api:
        assert await an_account(api)


async def test_too_many_at_a_time_are_waited_for(api: APIUnderTest, served: Running) -> None:
    await an_account(api)
    served.faulty.set(Faults(throttled=2))

    assert await an_account(api)


async def test_the_end_of_the_calls_of_a_day_is_503_for_long(api: APIUnderTest, org: Org) -> None:
    await an_account(api)
    org.daily_calls = org.calls

    problem = await problem_of(
        api.invoke("putCustomer", {"externalKey": "C-9"}, body={"name": "Quay 9"})
    )

    assert problem.kind is SYSTEM_UNAVAILABLE
    assert problem.extensions["systemCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert ("Retry-After", "900") in problem.headers


async def test_lists_leave_the_last_calls_to_writes(
    api: APIUnderTest, client: Salesforce, org: Org
) -> None:
    await an_account(api)
    org.daily_calls = org.calls + 100
    await body_of(api, "getProduct", sku="GRINDER-M1")  # the org tells what is left
    await an_account(api)  # one list is let through, to see whether calls have come back
    before = org.calls

    problem = await problem_of(api.invoke("listCustomers"))
    put = await api.invoke("putCustomer", {"externalKey": "C-9"}, body={"name": "Quay 9"})

    assert problem.kind is SYSTEM_UNAVAILABLE
    assert put.status == 201
    assert org.calls == before + 1
    assert client.connection.allowances["api-usage"].used == org.calls


async def test_an_outage_is_503_and_over_when_it_is_over(
    api: APIUnderTest, served: Running
) -> None:
    await an_account(api)
    served.faulty.set(Faults(unavailable_seconds=30))
    problems = [await problem_of(api.invoke("listCustomers")) for _ in range(2)]
    served.faulty.set(Faults())
    await asyncio.sleep(1.1)

    assert {problem.kind for problem in problems} == {SYSTEM_UNAVAILABLE}
    assert all(problem.extensions["system"] == "salesforce" for problem in problems)
    assert await an_account(api)


async def test_a_connection_that_is_reset_is_tried_again(
    api: APIUnderTest, served: Running
) -> None:
    await an_account(api)
    served.faulty.set(Faults(resets=1))

    assert await an_account(api)


def refusal(status: int, code: str, message: str = "no") -> bytes:
    return answer(status, json.dumps([{"errorCode": code, "message": message}]).encode())


SESSION = refusal(401, "INVALID_SESSION_ID")
CONCURRENT = refusal(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.")


@pytest.mark.parametrize(
    ("answers", "status", "code"),
    [
        ([refusal(400, "UNABLE_TO_LOCK_ROW")] * 4, 409, "UNABLE_TO_LOCK_ROW"),
        ([CONCURRENT] * 4, 503, "REQUEST_LIMIT_EXCEEDED (concurrent)"),
        ([SESSION, TOKEN, SESSION], 502, "INVALID_SESSION_ID"),
        ([refusal(412, "ENTITY_FAILED_PRECONDITION")], 409, "ENTITY_FAILED_PRECONDITION"),
        ([refusal(400, "ENTITY_IS_LOCKED")], 409, "ENTITY_IS_LOCKED"),
        ([refusal(400, "DUPLICATES_DETECTED")], 409, "DUPLICATES_DETECTED"),
        ([refusal(400, "REQUIRED_FIELD_MISSING")], 422, "REQUIRED_FIELD_MISSING"),
        ([refusal(400, "MALFORMED_QUERY")], 502, "MALFORMED_QUERY"),
        ([refusal(404, "NOT_FOUND")], 404, "NOT_FOUND"),
        ([refusal(404, "ENTITY_IS_DELETED")], 404, "ENTITY_IS_DELETED"),
        ([refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests")], 503, "REQUEST_LIMIT_EXCEEDED"),
        ([refusal(403, "API_DISABLED_FOR_ORG")], 502, "API_DISABLED_FOR_ORG"),
        ([refusal(503, "SERVER_UNAVAILABLE")] * 3, 503, "SERVER_UNAVAILABLE"),
    ],
)
async def test_each_failure_is_tried_as_often_as_it_helps_and_has_its_problem(
    contract: Contract,
    tmp_path: Path,
    script: Script,
    answers: list[bytes],
    status: int,
    code: str,
) -> None:
    script.answers = [TOKEN, *answers]
    async with opened(contract, f"http://127.0.0.1:{script.port}", tmp_path) as api:
        problem = await problem_of(api.invoke("listCustomers"))

    assert problem.status == status
    assert problem.extensions["systemCode"] == code
    assert (len(script.requests), script.answers) == (1 + len(answers), [])


async def test_a_lost_answer_to_an_upsert_leaves_one_record(
    api: APIUnderTest, served: Running, org: Org
) -> None:
    await an_account(api)
    served.faulty.set(Faults(lost_responses=1))

    reply = await api.invoke("putCustomer", {"externalKey": "C-9"}, body={"name": "Quay 9"})

    assert reply.status == 200  # of the second try, which found the record of the first
    assert len(org.data.store.matches("Account", "Ext_Id__c", "C-9")) == 1


async def test_an_org_that_is_slow_is_504_in_time(api: APIUnderTest, served: Running) -> None:
    await an_account(api)
    served.faulty.set(Faults(latency_seconds=30))
    began = monotonic()

    problem = await problem_of(api.invoke("listCustomers", seconds=0.3))

    assert problem.kind is DEADLINE_EXCEEDED
    assert monotonic() - began < 2


async def test_an_org_that_is_not_there_is_503(contract: Contract, tmp_path: Path) -> None:
    async with opened(contract, "http://127.0.0.1:1", tmp_path) as api:
        problem = await problem_of(api.invoke("listCustomers"))

    assert problem.kind is SYSTEM_UNAVAILABLE


@pytest.mark.parametrize(
    "body",
    [
        b"<html>a proxy</html>",
        b"[]",
        b'{"records": 1, "done": true}',
        b'{"records": [1], "done": true}',
        b'{"records": [], "done": "yes"}',
        b'{"records": [], "done": false, "nextRecordsUrl": "http://elsewhere/x"}',
        b'{"records": [{"Id": 1}], "done": true}',
        b'{"records": [{"Id": "001QyK000000001IBA", "SystemModstamp": "soon"}], "done": true}',
        b'{"records": [{"Contacts": {"done": false, "records": []}}], "done": true}',
        b"[" * 5000,
    ],
)
async def test_an_answer_that_makes_no_sense_is_502(
    contract: Contract, tmp_path: Path, script: Script, body: bytes
) -> None:
    script.answers = [TOKEN, answer(200, body)]
    async with opened(contract, f"http://127.0.0.1:{script.port}", tmp_path) as api:
        problem = await problem_of(api.invoke("listCustomers"))

    assert problem.kind is BAD_UPSTREAM


async def test_pages_that_an_org_makes_shorter_than_asked_are_all_read(
    contract: Contract, tmp_path: Path, script: Script
) -> None:
    page = b'{"records": [%s], "done": %s, "nextRecordsUrl": "/services/data/v68.0/query/x-1"}'
    account = b'{"Id": "001QyK000000001IBA", "Name": "%s"}'
    script.answers = [
        TOKEN,
        answer(200, page % (account % b"First", b"false")),
        answer(200, page % (account % b"Second", b"true")),
    ]
    async with opened(contract, f"http://127.0.0.1:{script.port}", tmp_path) as api:
        found = await body_of(api, "listCustomers")

    assert [item["name"] for item in found["items"]] == ["First", "Second"]
    assert script.requests[2].startswith(b"GET /services/data/v68.0/query/x-1 ")


async def test_a_proxy_that_answers_in_html_is_an_outage(
    contract: Contract, tmp_path: Path, script: Script
) -> None:
    html = answer(503, b"<html>come back later</html>")
    script.answers = [TOKEN, *[html] * 4]
    async with opened(contract, f"http://127.0.0.1:{script.port}", tmp_path) as api:
        problem = await problem_of(api.invoke("listCustomers"))

    assert problem.kind is SYSTEM_UNAVAILABLE
