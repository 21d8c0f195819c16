"""What goes wrong between us and an S/4HANA: retried where that helps, told cleanly where not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from portico.connectors.outage import PAUSE_SECONDS
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
from system_apis.sap.connector import SAP
from system_apis.sap.sandbox.s4 import S4
from tests.support.killed import go_on_until, process
from tests.support.operations import body_of
from tests.support.script import Script, answer
from tests.system_apis.sap.conftest import KEY, a_customer, an_order, opened

pytestmark = pytest.mark.anyio


async def problem_of(waiting: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await waiting
    return caught.value


async def create(api: APIUnderTest, body: dict[str, Any], seconds: float = 5.0) -> tuple[int, Any]:
    reply = await api.invoke("createOrder", KEY, body=body, seconds=seconds)
    return reply.status, reply.body


def named(s4: S4, name: str = "PO-1") -> int:
    """Return how many orders of a reference there are."""
    return sum(each["PurchaseOrderByCustomer"] == name for each in s4.store.rows("A_SalesOrder"))


async def test_a_csrf_token_of_a_session_that_ended_is_fetched_once_more(
    api: APIUnderTest, client: SAP, served: Running, s4: S4
) -> None:
    customer = await a_customer(api)
    await create(api, an_order(customer))
    s4.end_sessions()
    before = served.faulty.requests
    status, _ = await create(api, an_order(customer, "PO-2"))

    assert status == 201
    # look-up, products, customer, refused, token, order, reading it back
    assert served.faulty.requests - before == 7
    assert client.connection.counters.of("createOrder").failures == {}


async def test_many_writes_share_one_csrf_token(api: APIUnderTest, s4: S4) -> None:
    customer = await a_customer(api)
    await asyncio.gather(*(create(api, an_order(customer, f"PO-{n}")) for n in range(6)))
    s4.end_sessions()
    await asyncio.gather(*(create(api, an_order(customer, f"PO-1{n}")) for n in range(6)))

    assert len(s4._tokens) == 1


async def test_a_password_that_is_wrong_is_tried_once(
    contract: Contract, served: Running, tmp_path: Path
) -> None:
    """SAP locks a user after a few attempts."""
    async with opened(contract, served.url, tmp_path, password="wrong") as api:
        before = served.faulty.requests
        problem = await problem_of(api.invoke("listOrders"))

    assert problem.kind is BAD_UPSTREAM
    assert served.faulty.requests - before == 1


def a_partner(etag: str) -> bytes:
    record = {
        "BusinessPartner": "1",
        "Customer": "1",
        "BusinessPartnerName": f"Name at {etag}",
        "__metadata": {"etag": f'W/"{etag}"'},
    }
    return answer(200, json.dumps({"d": {"results": [record]}}).encode())


TOKEN = answer(200, b"{}", "x-csrf-token: t")
STALE = answer(412, b'{"error": {"code": "X/1", "message": {"value": "changed"}}}')


async def test_a_record_that_changed_meanwhile_is_read_and_changed_once_more(
    contract: Contract, script: Script, tmp_path: Path
) -> None:
    done = answer(204, b"")
    script.answers = [a_partner("1"), TOKEN, STALE, a_partner("2"), done, a_partner("3")]
    async with opened(contract, f"http://127.0.0.1:{script.port}", tmp_path) as api:
        reply = await api.invoke("changeCustomer", {"customerId": "1"}, body={"language": "de"})

    assert isinstance(reply.body, dict)
    assert reply.body["name"] == "Name at 3"
    writes = [each.lower() for each in script.requests if each.startswith(b"PATCH")]
    assert [b'if-match: w/"1"' in writes[0], b'if-match: w/"2"' in writes[1]] == [True, True]


async def test_a_record_that_keeps_changing_is_409(
    contract: Contract, script: Script, tmp_path: Path
) -> None:
    script.answers = [a_partner("1"), TOKEN, STALE, a_partner("2"), STALE]
    async with opened(contract, f"http://127.0.0.1:{script.port}", tmp_path) as api:
        problem = await problem_of(
            api.invoke("changeCustomer", {"customerId": "1"}, body={"language": "de"})
        )

    assert problem.kind is CONFLICT
    assert len(script.requests) == 5


def granted(token: str) -> bytes:
    body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
    return answer(200, json.dumps(body).encode())


REFUSED = answer(401, b"")


@pytest.mark.parametrize(
    "answers",
    [
        [granted("t1"), REFUSED, granted("t2"), a_partner("1"), TOKEN],
        [granted("t1"), a_partner("1"), TOKEN, REFUSED, granted("t2"), TOKEN],
    ],
    ids=["read", "write"],
)
async def test_a_client_of_oauth_gets_a_new_token_when_the_old_one_is_not_accepted(
    contract: Contract, script: Script, tmp_path: Path, answers: list[bytes]
) -> None:
    url = f"http://127.0.0.1:{script.port}"
    settings = {
        "user": "",
        "password": None,
        "client_id": "c",
        "client_secret": "s",
        "token_url": f"{url}/oauth/token",
    }
    script.answers = [*answers, answer(204, b""), a_partner("2")]
    async with opened(contract, url, tmp_path, **settings) as api:
        reply = await api.invoke("changeCustomer", {"customerId": "1"}, body={"language": "de"})

    assert reply.status == 200
    assert b"authorization: basic" in script.requests[0].lower()
    written = script.requests[-2].lower()
    assert written.startswith(b"patch")
    assert b"authorization: bearer t2" in written
    assert b"x-csrf-token: t" in written


async def test_an_order_that_somebody_has_open_is_tried_again(api: APIUnderTest, s4: S4) -> None:
    customer = await a_customer(api)
    s4.locks = 2
    status, _ = await create(api, an_order(customer))

    assert status == 201
    assert s4.locks == 0


async def test_too_many_requests_are_waited_for_as_long_as_asked(
    api: APIUnderTest, served: Running
) -> None:
    served.faulty.set(Faults(throttled=1, retry_after_seconds=1))
    began = monotonic()
    await a_customer(api)

    assert monotonic() - began >= 1


async def test_an_outage_is_503_and_over_when_it_is_over(
    api: APIUnderTest, served: Running
) -> None:
    served.faulty.set(Faults(unavailable_seconds=30))
    problem = await problem_of(api.invoke("listOrders"))
    served.faulty.set(Faults())
    await asyncio.sleep(PAUSE_SECONDS * 1.1)

    assert problem.kind is SYSTEM_UNAVAILABLE
    assert problem.extensions["system"] == "sap"
    assert await a_customer(api)


async def test_a_system_that_is_slow_is_504_in_time(api: APIUnderTest, served: Running) -> None:
    served.faulty.set(Faults(latency_seconds=30))
    began = monotonic()
    problem = await problem_of(api.invoke("listOrders", seconds=0.3))

    assert problem.kind is DEADLINE_EXCEEDED
    assert monotonic() - began < 2


async def test_a_connection_that_is_reset_is_tried_again(
    api: APIUnderTest, served: Running
) -> None:
    served.faulty.set(Faults(resets=1))

    assert await a_customer(api)


async def test_an_answer_that_was_lost_after_the_commit_leaves_one_order(
    api: APIUnderTest, served: Running, s4: S4
) -> None:
    body = an_order(await a_customer(api))
    served.faulty.set(Faults(lost_responses=1))
    status, made = await create(api, body)

    assert status in (200, 201)
    assert made["poNumber"] == "PO-1"
    assert named(s4) == 1


async def test_an_outage_right_after_the_commit_is_in_doubt(
    api: APIUnderTest, served: Running, s4: S4
) -> None:
    """It must not look as if nothing was changed."""
    body = an_order(await a_customer(api))
    served.faulty.set(Faults(latency_seconds=0.1))
    creating = asyncio.ensure_future(create(api, body))
    while not named(s4):  # noqa: ASYNC110  # in another thread
        await asyncio.sleep(0.005)
    served.faulty.set(Faults(unavailable_seconds=30))
    problem = await problem_of(creating)
    served.faulty.set(Faults())
    await asyncio.sleep(PAUSE_SECONDS * 1.1)

    assert problem.kind is BAD_UPSTREAM
    assert named(s4) == 1


async def test_a_change_whose_answer_was_lost_is_in_doubt(
    api: APIUnderTest, served: Running
) -> None:
    (order,) = (await body_of(api, "listOrders"))["items"]
    await api.invoke("changeOrder", {"orderId": "1"}, body={"requestedDelivery": "2040-01-01"})
    served.faulty.set(Faults(lost_responses=1))
    change = {"requestedDelivery": "2040-02-02"}
    problem = await problem_of(api.invoke("changeOrder", {"orderId": order["id"]}, body=change))

    assert problem.kind is BAD_UPSTREAM
    reply: Any = (await api.invoke("changeOrder", {"orderId": order["id"]}, body=change)).body
    assert reply["requestedDelivery"] == "2040-02-02"


PROGRAM = """
import asyncio, json, os, sys
sys.path[:0] = [os.getcwd()]
from pathlib import Path
from portico.contract import load
from tests.system_apis.sap.conftest import CONTRACT, KEY, opened

async def main(url, folder, body):
    async with opened(load(CONTRACT), url, Path(folder)) as api:
        print("ready", flush=True)
        sys.stdin.readline()
        await api.invoke("createOrder", KEY, body=json.loads(body), seconds=60)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_that_is_killed_after_the_commit_leaves_one_order(
    contract: Contract,
    api: APIUnderTest,
    client: SAP,
    served: Running,
    s4: S4,
    tmp_path: Path,
) -> None:
    """Whoever comes next finds it, even if nothing is left of what the first one knew."""
    body = an_order(await a_customer(api))
    first = tmp_path / "first"
    first.mkdir()
    async with process(PROGRAM, served.url, str(first), json.dumps(body)) as running:
        served.faulty.set(Faults(held_responses=1))
        await go_on_until(running, lambda: named(s4) == 1)
    served.faulty.set(Faults())

    async with opened(contract, served.url, first) as same:
        claimed = await problem_of(create(same, body))
    status, made = await create(api, body)
    again, _ = await create(api, body)

    # The claim of the first stands until its time is up: nobody creates a second one meanwhile.
    assert claimed.kind is CONFLICT
    assert (status, again, named(s4)) == (200, 200, 1)
    assert [line["sku"] for line in made["lines"]] == ["GRINDER-M1"]
    link = await client.references.find_external("A_SalesOrder", "sap", "127.0.0.1", made["id"])
    assert link is not None
    assert link.state == "linked"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>a proxy</html>",
        b"[]",
        b"{}",
        b'{"d": {}}',
        b'{"d": {"results": 1}}',
        b'{"d": {"results": [1]}}',
        b'{"d": {"results": [{"SalesOrder": 1}]}}',
        b'{"d": {"results": [{"SalesOrder": "1", "LastChangeDateTime": "soon"}]}}',
        b'{"d": {"results": [{"SalesOrder": "1", "TotalNetAmount": "much"}]}}',
        b'{"d": {"results": [], "__next": "http://elsewhere/x"}}',
        b"[" * 5000,
    ],
)
async def test_an_answer_that_makes_no_sense_is_502(
    contract: Contract, script: Script, tmp_path: Path, body: bytes
) -> None:
    script.answers = [answer(200, body)]
    async with opened(contract, f"http://127.0.0.1:{script.port}", tmp_path) as api:
        problem = await problem_of(api.invoke("listOrders"))

    assert problem.kind is BAD_UPSTREAM
    assert len(script.requests) == 1


async def test_a_refusal_is_told_with_its_code_and_details(
    contract: Contract, script: Script, tmp_path: Path
) -> None:
    error = {
        "code": "V1/400",
        "message": {"lang": "en", "value": "No"},
        "innererror": {
            "errordetails": [
                {"code": "V1/401", "message": "Because", "severity": "error"},
                {"code": "V1/402", "message": "By the way", "severity": "info"},
            ]
        },
    }
    script.answers = [answer(400, json.dumps({"error": error}).encode())]
    async with opened(contract, f"http://127.0.0.1:{script.port}", tmp_path) as api:
        problem = await problem_of(api.invoke("listOrders"))

    assert problem.status == 422
    assert problem.detail == "No: Because"
    assert problem.extensions == {"system": "sap", "systemCode": "V1/400"}
