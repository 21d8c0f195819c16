"""A Tryton that is killed, stopped or never there: clean problems in time, and recovery."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from portico.connectors.outage import PAUSE_SECONDS
from portico.problems import BAD_UPSTREAM, DEADLINE_EXCEEDED, SYSTEM_UNAVAILABLE, Problem
from portico.sandbox.running import serve_on_loopback
from portico.testing import APIUnderTest
from system_apis.tryton import handlers
from tests.support.killed import go_on_until, process
from tests.support.script import Script, answer
from tests.support.tryton import COMPANY
from tests.system_apis.tryton.conftest import CONTRACT

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from system_apis.tryton.connector import Tryton
    from system_apis.tryton.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

KEY: dict[str, object] = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def an_order(name: str) -> dict[str, Any]:
    return {
        "customerId": "C-1001",
        "currency": "EUR",
        "poNumber": name,
        "lines": [
            {
                "sku": "GRINDER-M1",
                "quantity": {"value": "1"},
                "unitPrice": {"amount": "149.00", "currency": "EUR"},
            }
        ],
    }


OPERATIONS: list[tuple[str, dict[str, object], object]] = [
    ("listCustomers", {}, None),
    ("getProduct", {"sku": "GRINDER-M1"}, None),
    ("listStockLevels", {"skus": ["GRINDER-M1"]}, None),
    ("createSale", KEY, an_order("PO-DOWN")),
    ("confirmSale", {"saleId": "1"}, None),
]


def kill(sandbox: Sandbox) -> None:
    """End Tryton as a crash would, and wait until it is gone."""
    assert sandbox.pid is not None
    os.kill(sandbox.pid, signal.SIGKILL)
    while sandbox.pid is not None:
        pass


async def status_of(waiting: Any) -> int:
    try:
        return (await waiting).status  # type: ignore[no-any-return]  # a reply
    except Problem as problem:
        return problem.status


async def problem_of(waiting: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await waiting
    return caught.value


async def test_a_killed_tryton_is_a_clean_503_that_names_it(
    fresh_api: APIUnderTest, fresh_tryton: Sandbox
) -> None:
    await fresh_api.invoke("getProduct", {"sku": "GRINDER-M1"})
    kill(fresh_tryton)
    began = monotonic()

    # Several times each: enough to pass from failing connections to failing at once.
    for operation_id, arguments, body in [*OPERATIONS, *OPERATIONS]:
        problem = await problem_of(fresh_api.invoke(operation_id, arguments, body=body))
        assert problem.kind is SYSTEM_UNAVAILABLE, operation_id
        assert problem.extensions == {"system": "tryton"}, operation_id
        assert dict(problem.headers)["Retry-After"].isdigit(), operation_id

    assert monotonic() - began < 2.0


async def test_recovery_needs_no_restart(fresh_api: APIUnderTest, fresh_tryton: Sandbox) -> None:
    kill(fresh_tryton)
    for _ in range(5):
        await problem_of(fresh_api.invoke("getProduct", {"sku": "GRINDER-M1"}))
    await fresh_tryton.stop()

    await fresh_tryton.start()
    await asyncio.sleep(1.0)

    reply = await fresh_api.invoke("getProduct", {"sku": "GRINDER-M1"})
    assert reply.status == 200


async def test_a_tryton_that_ended_by_itself_is_started_again(
    fresh_api: APIUnderTest, fresh_tryton: Sandbox
) -> None:
    first = fresh_tryton.pid
    watch = asyncio.ensure_future(fresh_tryton.watch())
    kill(fresh_tryton)

    async with asyncio.timeout(20):
        while await status_of(fresh_api.invoke("getProduct", {"sku": "GRINDER-M1"})) == 503:  # noqa: ASYNC110  asking is the point
            await asyncio.sleep(0.1)
    watch.cancel()

    assert fresh_tryton.pid not in (first, None)


async def test_a_tryton_that_hangs_is_left_at_the_deadline(
    fresh_api: APIUnderTest, fresh_tryton: Sandbox
) -> None:
    await fresh_api.invoke("getProduct", {"sku": "GRINDER-M1"})
    assert fresh_tryton.pid is not None
    os.kill(fresh_tryton.pid, signal.SIGSTOP)

    for operation_id, arguments, body in OPERATIONS:
        began = monotonic()
        asking = fresh_api.invoke(operation_id, arguments, body=body, seconds=0.5)
        problem = await problem_of(asking)
        assert problem.kind is DEADLINE_EXCEEDED, operation_id
        assert monotonic() - began < 1.2, operation_id

    os.kill(fresh_tryton.pid, signal.SIGCONT)
    reply = await fresh_api.invoke("getProduct", {"sku": "GRINDER-M1"}, seconds=20)
    assert reply.status == 200


async def test_a_create_cut_off_by_a_crash_makes_one_sale_in_the_end(
    fresh_api: APIUnderTest, fresh_tryton: Sandbox, new_name: Callable[[], str]
) -> None:
    """Killed at a different moment each time: before, during and after Tryton's commit."""
    for milliseconds in (30, 60, 90, 120, 160):
        body = an_order(new_name())
        creating = asyncio.ensure_future(fresh_api.invoke("createSale", KEY, body=body))
        await asyncio.sleep(milliseconds / 1000)
        kill(fresh_tryton)
        (outcome,) = await asyncio.gather(creating, return_exceptions=True)
        if isinstance(outcome, Problem):
            assert outcome.kind in (SYSTEM_UNAVAILABLE, BAD_UPSTREAM)
            assert outcome.extensions == {"system": "tryton"}
        await fresh_tryton.stop()
        await fresh_tryton.start()
        await asyncio.sleep(PAUSE_SECONDS)  # for so long it is known to be down

        again = await fresh_api.invoke("createSale", KEY, body=body, seconds=20)

        filters = {"poNumber": body["poNumber"]}
        found: Any = (await fresh_api.invoke("listSales", filters)).body
        assert [sale["id"] for sale in found["items"]] == [again.body["id"]]  # type: ignore[index]  # an order


@pytest.fixture
def scripted_api(scripted: Tryton) -> APIUnderTest:
    """The API on a Tryton that is spoken for byte by byte."""
    return APIUnderTest(CONTRACT, handlers, resources=scripted)


async def test_a_short_wait_that_tryton_asks_for_is_sat_out(
    script: Script, scripted_api: APIUnderTest
) -> None:
    script.answers = [COMPANY, answer(429, b"<html>", "retry-after: 1"), answer(200, b"[]")]
    began = monotonic()

    reply: Any = await scripted_api.invoke("listCustomers")

    assert reply.body == {"items": []}
    assert monotonic() - began >= 1.0


async def test_a_long_wait_that_tryton_asks_for_is_503_with_the_seconds_for_everyone(
    script: Script, scripted_api: APIUnderTest
) -> None:
    script.answers = [COMPANY, answer(429, b"<html>", "retry-after: 60")]

    for _ in range(2):
        problem = await problem_of(scripted_api.invoke("listCustomers"))
        assert problem.kind is SYSTEM_UNAVAILABLE
        assert dict(problem.headers)["Retry-After"] in {"60", "59"}
        assert problem.extensions == {"system": "tryton"}
    assert len(script.requests) == 2


PROGRAM = """
import asyncio, json, os, sys
sys.path[:0] = [os.getcwd()]
from pathlib import Path
from system_apis.tryton.sandbox.server import Endpoint
from tests.support.tryton import open_api
from tests.system_apis.tryton.test_faults import KEY

async def main(url, key, body):
    async with open_api(Endpoint(base_url=url, key_reference=key)) as api:
        print("ready", flush=True)
        sys.stdin.readline()
        await api.invoke("createSale", KEY, body=json.loads(body), seconds=60)

asyncio.run(main(*sys.argv[1:]))
"""


class Withholding:
    """Passes requests on to Tryton, and keeps the answer of the first sale created to itself."""

    def __init__(self, url: str) -> None:
        self.committed = False
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        target = f"{self._url}{request.url.path}?{request.url.query}"
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            found = await http.request(
                request.method, target, headers=request.headers.raw, content=await request.body()
            )
        if request.method == "POST" and request.url.path.endswith("/sale.sale"):
            assert found.status_code == 200, found.text
            self.committed = True
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        kept = {"content-type": found.headers.get("content-type", "text/plain")}
        await Response(found.content, found.status_code, kept)(scope, receive, send)


async def test_a_process_that_is_killed_after_the_commit_leaves_one_sale(
    api: APIUnderTest, tryton: Sandbox, new_name: Callable[[], str]
) -> None:
    """Tryton has no keys for requests: whoever comes next finds the sale by its reference."""
    body = an_order(new_name())
    address, _, database = tryton.endpoint.base_url.rpartition("/")
    between = Withholding(address)
    async with serve_on_loopback(between) as url:
        words = (f"{url}/{database}", tryton.endpoint.key_reference, json.dumps(body))
        async with process(PROGRAM, *words) as running:
            await go_on_until(running, lambda: between.committed)

    again: Any = (await api.invoke("createSale", KEY, body=body, seconds=20)).body

    found: Any = (await api.invoke("listSales", {"poNumber": body["poNumber"]})).body
    assert [sale["id"] for sale in found["items"]] == [again["id"]]
    assert [line["sku"] for line in again["lines"]] == ["GRINDER-M1"]


async def test_two_sandboxes_do_not_see_each_other(
    tryton: Sandbox, fresh_tryton: Sandbox, fresh_api: APIUnderTest
) -> None:
    assert tryton.endpoint.base_url != fresh_tryton.endpoint.base_url

    await fresh_api.invoke("createSale", KEY, body=an_order("PO-ALONE"), seconds=20)

    found: Any = (await fresh_api.invoke("listSales", {})).body
    assert [sale["poNumber"] for sale in found["items"]] == ["PO-ALONE"]
