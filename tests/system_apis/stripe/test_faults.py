"""What goes wrong at Stripe, and what the caller of the API sees of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from portico.crossref.records import Key
from portico.problems import Problem
from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from tests.support.killed import go_on_until, process
from tests.support.script import Script, answer
from tests.system_apis.stripe.conftest import Account, open_stripe

pytestmark = pytest.mark.anyio

BODY = {"name": "New"}


async def put(account: Account, key: str = "C-9") -> Any:
    return (await account.api.invoke("putCustomer", {"externalKey": key}, body=BODY)).body


async def refusal(account: Account, name: str = "listCustomers", **arguments: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        await account.api.invoke(name, arguments)
    return raised.value


async def test_a_lost_response_is_asked_for_again_and_there_is_one_customer(
    account: Account,
) -> None:
    account.running.faulty.set(Faults(lost_responses=2))
    customer = await put(account)

    assert account.count("customer") == 6
    key = Key(entity="customers", canonical_id="C-9", system="stripe", instance="acct_test")
    link = await account.stripe.references.find(key)
    assert link is not None
    assert (link.state, link.external_id) == ("linked", customer["id"])


async def test_a_reset_connection_is_made_again(account: Account) -> None:
    account.running.faulty.set(Faults(resets=2))

    assert (await put(account))["name"] == "New"


async def test_a_short_throttle_is_sat_out(account: Account) -> None:
    account.running.faulty.set(Faults(throttled=2))

    assert (await put(account))["name"] == "New"


async def test_a_long_throttle_is_503_with_the_seconds(account: Account) -> None:
    account.running.faulty.set(Faults(throttled=9, retry_after_seconds=60))
    problem = await refusal(account)

    assert (problem.status, dict(problem.headers)["Retry-After"]) == (503, "60")
    assert problem.extensions == {"system": "stripe", "systemCode": "rate_limit"}


async def test_an_outage_is_503_and_ends_by_itself(account: Account) -> None:
    account.running.faulty.set(Faults(unavailable_seconds=3))
    problem = await refusal(account)
    assert problem.status == 503
    assert problem.extensions["system"] == "stripe"

    account.running.faulty.set(Faults())
    await asyncio.sleep(1.1)  # known to be down for a second
    assert await put(account)


async def test_a_slow_stripe_is_504_in_time(account: Account) -> None:
    account.running.faulty.set(Faults(latency_seconds=1))
    with pytest.raises(Problem) as raised:
        await account.api.invoke("listCustomers", seconds=0.3)

    assert raised.value.status == 504


async def test_a_key_that_was_rolled_is_the_operators_problem(account: Account) -> None:
    account.sandbox.revoke_tokens()
    problem = await refusal(account)

    assert problem.status == 502
    assert "sk_test_sandbox" not in problem.detail


async def test_a_draft_whose_lines_were_interrupted_gets_the_rest(account: Account) -> None:
    customer = await put(account)
    price = {"amount": "1.00", "currency": "EUR"}
    lines = [{"description": f"L{n}", "quantity": 1, "unitPrice": price} for n in range(3)]
    body = {"customerId": customer["id"], "currency": "EUR", "lines": lines}
    # Time for the draft and a line or so.
    account.running.faulty.set(Faults(latency_seconds=0.15))
    with pytest.raises(Problem):
        await account.api.invoke("putInvoice", {"externalKey": "I-1"}, body=body, seconds=0.7)
    account.running.faulty.set(Faults())
    assert account.count("invoice") == 1
    assert account.count("invoiceitem") < 3

    reply = await account.api.invoke("putInvoice", {"externalKey": "I-1"}, body=body)

    invoice: Any = reply.body
    assert [line["description"] for line in invoice["lines"]] == ["L0", "L1", "L2"]
    assert (account.count("invoice"), account.count("invoiceitem")) == (1, 3)


def error(status: int, *headers: str, **members: str) -> bytes:
    return answer(status, json.dumps({"error": {"message": "no", **members}}).encode(), *headers)


LOCKED = error(429, type="invalid_request_error", code="lock_timeout")
IN_PROGRESS = error(409, type="idempotency_error_in_progress")
FAILING = error(500, "stripe-should-retry: true", type="api_error")


@pytest.mark.parametrize(
    ("answers", "status", "code"),
    [
        ([LOCKED] * 4, 409, "lock_timeout"),
        ([IN_PROGRESS] * 4, 409, "idempotency_error_in_progress"),
        ([FAILING] * 3, 503, "retry"),
        ([error(500, type="api_error")], 502, "api_error"),
        ([error(400, type="idempotency_error")], 409, "idempotency_error"),
        ([error(400, code="resource_already_exists")], 409, "resource_already_exists"),
        ([error(400, code="parameter_invalid_empty")], 422, "parameter_invalid_empty"),
        ([error(404, code="resource_missing")], 404, "resource_missing"),
        ([answer(503, b"<html>")] * 3, 503, ""),
        ([answer(502, b"<html>")] * 3, 503, ""),
    ],
)
async def test_each_failure_is_tried_as_often_as_it_helps_and_has_its_problem(
    script: Script, tmp_path: Path, answers: list[bytes], status: int, code: str
) -> None:
    script.answers = list(answers)
    url, references = f"http://127.0.0.1:{script.port}", tmp_path / "references.sqlite"
    async with open_stripe(url, references) as (_, api):
        with pytest.raises(Problem) as raised:
            await api.invoke("getCustomer", {"customerId": "cus_1"})

    assert raised.value.status == status
    assert raised.value.extensions.get("systemCode", "") == code
    assert (len(script.requests), script.answers) == (len(answers), [])


@pytest.mark.parametrize("failure", [LOCKED, IN_PROGRESS, FAILING])
async def test_what_passes_is_not_noticed(script: Script, tmp_path: Path, failure: bytes) -> None:
    empty = answer(200, b'{"object": "list", "data": [], "has_more": false}')
    script.answers = [failure, empty]
    url, references = f"http://127.0.0.1:{script.port}", tmp_path / "references.sqlite"
    async with open_stripe(url, references) as (_, api):
        reply = await api.invoke("listCustomers")

    assert reply.body == {"items": []}


async def test_many_at_once_make_one_customer(account: Account) -> None:
    customers = await asyncio.gather(*(put(account) for _ in range(8)))

    assert len({customer["id"] for customer in customers}) == 1
    assert account.count("customer") == 6


PROGRAM = """
import asyncio, os, sys
sys.path[:0] = [os.getcwd()]
from pathlib import Path
from tests.system_apis.stripe.conftest import open_stripe

async def main():
    async with open_stripe(sys.argv[1], Path(sys.argv[2])) as (stripe, api):
        print("ready", flush=True)
        sys.stdin.readline()
        await api.invoke("putCustomer", {"externalKey": "C-9"}, body={"name": "New"}, seconds=60)

asyncio.run(main())
"""


async def test_a_process_that_dies_before_its_record_leaves_one_customer(
    sandbox: Running, tmp_path: Path
) -> None:
    references = tmp_path / "references.sqlite"
    table = sandbox.sandbox.state.table("customer")
    async with process(PROGRAM, sandbox.url, str(references)) as running:
        sandbox.faulty.set(Faults(held_responses=1))
        await go_on_until(running, lambda: len(table) == 6)  # Stripe has committed
    sandbox.faulty.set(Faults())

    async with open_stripe(sandbox.url, references) as (stripe, api):
        account = Account(sandbox, stripe, api)
        customer = await put(account)
        key = Key(entity="customers", canonical_id="C-9", system="stripe", instance="acct_test")
        link = await stripe.references.find(key)

    assert account.count("customer") == 6
    assert link is not None
    assert (link.state, link.external_id) == ("linked", customer["id"])
