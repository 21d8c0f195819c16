"""What goes wrong between us and an S/4HANA: retried where that helps, told cleanly where not."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
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
from system_apis.sap.sandbox.system import USER
from tests.support.sandbox import SECRET
from tests.support.script import Script, answer
from tests.system_apis.sap.conftest import CONTRACT, KEY, a_customer, an_order, body_of, opened

pytestmark = pytest.mark.anyio

CHILD = Path(__file__).parent / "child.py"


@pytest.fixture
async def script(anyio_backend: str) -> AsyncIterator[Script]:
    """A server whose answers the test writes."""
    del anyio_backend
    played = Script()
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0)
    played.port = server.sockets[0].getsockname()[1]
    async with server:
        yield played


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


async def test_a_process_that_is_killed_after_the_commit_leaves_one_order(
    contract: Contract, api: APIUnderTest, served: Running, s4: S4, tmp_path: Path
) -> None:
    """Whoever comes next finds it, even if nothing is left of what the first one knew."""
    body = an_order(await a_customer(api))
    (tmp_path / "first").mkdir()
    settings = json.dumps(
        {
            "base_url": served.url,
            "user": USER,
            "password": SECRET,
            "references_url": f"sqlite:///{tmp_path / 'first' / 'references.sqlite'}",
        }
    )
    # Slow enough that the child cannot look for what became of its order.
    served.faulty.set(Faults(lost_responses=1000, latency_seconds=0.2))
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(CONTRACT), settings, json.dumps(body)
    )
    async with asyncio.timeout(20):
        while not named(s4):  # noqa: ASYNC110  # in another thread
            await asyncio.sleep(0.01)
    child.kill()
    await child.wait()
    served.faulty.set(Faults())

    async with opened(contract, served.url, tmp_path / "first") as same:
        claimed = await problem_of(create(same, body))
    status, made = await create(api, body)
    again, _ = await create(api, body)

    assert child.returncode == -signal.SIGKILL
    # The claim of the first stands until its time is up: nobody creates a second one meanwhile.
    assert claimed.kind is CONFLICT
    assert (status, again, named(s4)) == (200, 200, 1)
    assert [line["sku"] for line in made["lines"]] == ["GRINDER-M1"]


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
