"""What goes wrong at QuickBooks, and what the caller of the API sees of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from portico.connectors.messages import Job
from portico.crossref.records import Key
from portico.deadline import Deadline
from portico.problems import Problem
from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from system_apis.quickbooks.sandbox.server import REALM_ID
from tests.support.killed import go_on_until, process
from tests.support.script import Script, answer
from tests.system_apis.quickbooks.conftest import (
    Company,
    open_books,
    secret,
    settings_for,
    token_file,
)

pytestmark = pytest.mark.anyio

TOKEN = answer(200, b'{"access_token": "t", "expires_in": 3600}')
KEY = Key(entity="Customer", canonical_id="C-9", system="quickbooks", instance=REALM_ID)


async def put(company: Company) -> Any:
    body = {"name": "New"}
    return (await company.api.invoke("putCustomer", {"externalKey": "C-9"}, body=body)).body


async def refusal(company: Company, seconds: float = 5.0) -> Problem:
    with pytest.raises(Problem) as raised:
        await company.api.invoke("getCustomer", {"customerId": "1"}, seconds=seconds)
    return raised.value


async def test_a_lost_response_is_asked_for_again_and_there_is_one_customer(
    company: Company,
) -> None:
    await company.api.invoke("getCustomer", {"customerId": "1"})  # has a token
    company.running.faulty.set(Faults(lost_responses=2))
    customer = await put(company)
    link = await company.books.references.find(KEY)

    assert company.count("Customer") == 6
    assert link is not None
    assert (link.state, link.external_id) == ("linked", customer["id"])


async def test_a_reset_connection_is_made_again(company: Company) -> None:
    company.running.faulty.set(Faults(resets=2))

    assert (await put(company))["name"] == "New"


async def test_a_429_without_a_header_is_a_minute_for_everyone(company: Company) -> None:
    await company.api.invoke("getCustomer", {"customerId": "1"})
    company.running.faulty.set(Faults(throttled=1))
    began = company.running.faulty.requests
    first, second = await refusal(company), await refusal(company)

    for problem in (first, second):
        assert problem.status == 503
        assert dict(problem.headers)["Retry-After"] in {"60", "59"}
    assert company.running.faulty.requests == began + 1


async def test_what_is_beyond_the_limit_waits_its_turn(sandbox: Running, tmp_path: Path) -> None:
    settings = settings_for(sandbox.url, tmp_path, requests_per_second=10)
    async with open_books(settings) as (books, _):
        began = monotonic()
        job = Job(deadline=Deadline.after(10))
        await asyncio.gather(*(books.get("Customer", "1", job) for _ in range(21)))

    assert monotonic() - began >= 2.0


async def test_an_outage_is_503(company: Company) -> None:
    await company.api.invoke("getCustomer", {"customerId": "1"})
    company.running.faulty.set(Faults(unavailable_seconds=5))

    assert (await refusal(company)).status == 503


async def test_a_slow_quickbooks_is_504_in_time(company: Company) -> None:
    company.running.faulty.set(Faults(latency_seconds=1))

    assert (await refusal(company, 0.3)).status == 504


async def test_an_access_token_that_was_revoked_is_replaced(
    company: Company, tmp_path: Path
) -> None:
    await company.api.invoke("getCustomer", {"customerId": "1"})
    first = token_file(tmp_path).read_text()
    company.sandbox.revoke_tokens()
    await asyncio.gather(
        *(company.api.invoke("getCustomer", {"customerId": "1"}) for _ in range(5))
    )

    assert token_file(tmp_path).read_text() != first
    assert len(company.sandbox.state.table("access_token")) == 1


async def test_the_rotated_token_is_saved_for_the_owner_alone(
    company: Company, tmp_path: Path
) -> None:
    await company.api.invoke("getCustomer", {"customerId": "1"})
    file = token_file(tmp_path)

    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["refresh_token"] in company.sandbox.state.table(
        "refresh_token"
    )
    assert secret("sandbox-quickbooks-refresh") not in file.read_text()


async def test_a_refresh_token_that_is_not_accepted_is_the_operators_problem(
    sandbox: Running, tmp_path: Path
) -> None:
    settings = settings_for(sandbox.url, tmp_path, refresh_token="never given out")
    async with open_books(settings) as (books, api):
        problem = await refusal(Company(sandbox, books, api))

    assert problem.status == 502
    assert problem.extensions["systemCode"] == "invalid_grant"
    assert "never given out" not in str(problem.document(type_base="", request_id=""))


def fault(code: str, status: int = 400) -> bytes:
    document = {"Fault": {"Error": [{"Message": "no", "code": code}]}}
    return answer(status, json.dumps(document).encode(), "content-type: application/json")


@pytest.mark.parametrize(
    ("answers", "status", "code"),
    [
        ([fault("5010")], 409, "5010"),
        ([fault("6240")], 409, "6240"),
        ([fault("6140")], 409, "6140"),
        ([fault("2020")], 422, "2020"),
        ([fault("2500")], 422, "2500"),
        ([fault("610")], 404, "610"),
        ([fault("6190")], 502, "6190"),
        # A failure that comes with 200 is one all the same.
        ([fault("610", 200)], 404, "610"),
        ([fault("10000", 500)] * 3, 503, "10000"),
        ([answer(502, b"<html>")] * 3, 503, ""),
        ([fault("3001", 429)], 503, "3001"),
        # With a new token it would be asked once more; that one is not accepted either.
        ([fault("3200", 401), TOKEN, fault("3200", 401)], 502, "3200"),
    ],
)
async def test_each_failure_is_tried_as_often_as_it_helps_and_has_its_problem(
    script: Script, tmp_path: Path, answers: list[bytes], status: int, code: str
) -> None:
    script.answers = [TOKEN, *answers]
    url = f"http://127.0.0.1:{script.port}"
    async with open_books(settings_for(url, tmp_path)) as (_, api):
        with pytest.raises(Problem) as raised:
            await api.invoke("getCustomer", {"customerId": "1"})

    assert raised.value.status == status
    assert raised.value.extensions.get("systemCode", "") == code
    assert (len(script.requests), script.answers) == (1 + len(answers), [])


async def test_a_record_that_others_change_each_time_says_so_and_a_taken_name_does_not(
    script: Script, tmp_path: Path
) -> None:
    record = answer(
        200, b'{"Customer": {"Id": "1", "SyncToken": "3"}}', "content-type: application/json"
    )
    script.answers = [TOKEN, record, fault("5010"), record, fault("5010"), record, fault("6240")]
    url = f"http://127.0.0.1:{script.port}"
    change = {"customerId": "1"}, {"phone": "+31 10 555 0199"}
    async with open_books(settings_for(url, tmp_path)) as (_, api):
        with pytest.raises(Problem) as overtaken:
            await api.invoke("changeCustomer", change[0], body=change[1])
        with pytest.raises(Problem) as taken:
            await api.invoke("changeCustomer", change[0], body=change[1])

    assert overtaken.value.kind.slug == "record-changed"
    assert overtaken.value.headers == (("Retry-After", "1"),)
    assert (taken.value.kind.slug, taken.value.headers) == ("conflict", ())
    assert script.answers == []


async def test_two_processes_share_one_rotating_token(sandbox: Running, tmp_path: Path) -> None:
    settings = settings_for(sandbox.url, tmp_path)
    job = Job(deadline=Deadline.after(10))
    async with open_books(settings) as (first, _), open_books(settings) as (second, _):
        await asyncio.gather(first.get("Customer", "1", job), second.get("Customer", "1", job))
        await first.get("Customer", "1", job)


PROGRAM = """
import asyncio, os, sys
sys.path[:0] = [os.getcwd()]
from pathlib import Path
from tests.system_apis.quickbooks.conftest import open_books, settings_for

async def main():
    url, folder, has_token = sys.argv[1:]
    async with open_books(settings_for(url, Path(folder))) as (books, api):
        if has_token:
            await api.invoke("getCustomer", {"customerId": "1"})
        print("ready", flush=True)
        sys.stdin.readline()
        await api.invoke("putCustomer", {"externalKey": "C-9"}, body={"name": "New"}, seconds=60)

asyncio.run(main())
"""


async def test_a_process_that_dies_before_its_record_leaves_one_customer(
    sandbox: Running, tmp_path: Path
) -> None:
    table = sandbox.sandbox.state.table("Customer")
    async with process(PROGRAM, sandbox.url, str(tmp_path), "with a token") as running:
        sandbox.faulty.set(Faults(held_responses=1))
        await go_on_until(running, lambda: len(table) == 6)  # QuickBooks has committed
    sandbox.faulty.set(Faults())

    async with open_books(settings_for(sandbox.url, tmp_path)) as (books, api):
        company = Company(sandbox, books, api)
        customer = await put(company)
        link = await books.references.find(KEY)

    assert company.count("Customer") == 6
    assert link is not None
    assert (link.state, link.external_id) == ("linked", customer["id"])


async def test_a_process_that_dies_while_its_token_is_rotated_locks_nobody_out(
    sandbox: Running, tmp_path: Path
) -> None:
    async with open_books(settings_for(sandbox.url, tmp_path)) as (_, api):
        await api.invoke("getCustomer", {"customerId": "1"})
    saved = token_file(tmp_path).read_text()
    table = sandbox.sandbox.state.table("refresh_token")
    known = len(table)
    async with process(PROGRAM, sandbox.url, str(tmp_path), "") as running:
        sandbox.faulty.set(Faults(held_responses=1))
        await go_on_until(running, lambda: len(table) > known)  # Intuit has rotated it
    sandbox.faulty.set(Faults())
    assert token_file(tmp_path).read_text() == saved

    async with open_books(settings_for(sandbox.url, tmp_path)) as (books, api):
        assert await put(Company(sandbox, books, api))
    assert token_file(tmp_path).read_text() != saved
