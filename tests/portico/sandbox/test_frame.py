"""The frame of the sandboxes: seed, faults, persistence, webhooks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portico.sandbox.company import read_company
from portico.sandbox.faults import Faults
from portico.sandbox.running import SandboxesError, serve_on_loopback
from tests.portico.sandbox.conftest import Frame, open_frame

pytestmark = pytest.mark.anyio

COMPANY = "Quayside Coffee Supply"


def test_the_company_has_customers_and_products() -> None:
    company = read_company()

    assert company.name == COMPANY
    assert company.customers[0].code == "C-1001"
    assert str(company.products[0].list_price) == "149.00"


async def test_a_sandbox_begins_with_the_company(frame: Frame) -> None:
    assert (await frame.read()).json() == [{"text": COMPANY}]


async def test_latency_slows_every_request(frame: Frame) -> None:
    await frame.set_faults(latency_seconds=0.2)
    began = monotonic()
    await frame.read()

    assert monotonic() - began >= 0.2


async def test_faults_for_a_time_end_by_themselves(frame: Frame) -> None:
    await frame.set_faults(throttled=1000, for_seconds=0.3)
    refused = await frame.read()
    await asyncio.sleep(0.35)

    assert (refused.status_code, (await frame.read()).status_code) == (429, 200)


async def test_a_number_of_requests_is_throttled(frame: Frame) -> None:
    await frame.set_faults(throttled=1, retry_after_seconds=3)
    refused, accepted = await frame.read(), await frame.read()

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3.0")
    assert accepted.status_code == 200


async def test_what_no_limit_counts_is_not_throttled(frame: Frame) -> None:
    await frame.set_faults(throttled=1)
    free, refused = await frame.read("free"), await frame.read()

    assert (free.status_code, refused.status_code) == (200, 429)


async def test_a_permission_is_taken_away_and_given_back(frame: Frame) -> None:
    await frame.set_faults(read_only=["notes"])
    read, write = await frame.read(), await frame.write("refused")
    await frame.set_faults(no_access=["notes"], for_seconds=0.2)
    hidden = await frame.read()
    await asyncio.sleep(0.25)

    assert (read.status_code, write.status_code, hidden.status_code) == (200, 403, 403)
    assert (await frame.write("kept")).json() == [{"text": COMPANY}, {"text": "kept"}]


async def test_a_permission_for_what_is_not_there_changes_nothing(frame: Frame) -> None:
    await frame.set_faults(latency_seconds=0.01)
    answer = await frame.set_faults(no_access=["notices"])

    assert answer.status_code == 422
    assert answer.json()["error"] == "notices is not one of notes"
    assert frame.running["notes"].faulty.faults == Faults(latency_seconds=0.01)


async def test_the_system_is_unavailable_for_a_time(frame: Frame) -> None:
    await frame.set_faults(unavailable_seconds=0.2)
    assert (await frame.read()).status_code == 503

    await asyncio.sleep(0.25)
    assert (await frame.read()).status_code == 200


async def test_a_connection_is_reset_before_anything_happens(frame: Frame) -> None:
    await frame.set_faults(resets=1)
    with pytest.raises(httpx.ReadError):
        await frame.write("lost")

    assert len((await frame.read()).json()) == 1


async def test_a_response_is_lost_after_the_write_took_effect(frame: Frame) -> None:
    await frame.set_faults(lost_responses=1)
    assert (await frame.read()).status_code == 200  # reads are not meant
    with pytest.raises(httpx.ReadError):
        await frame.write("kept")

    assert (await frame.read()).json()[1] == {"text": "kept"}


async def test_a_response_is_held_after_the_write_took_effect(frame: Frame) -> None:
    await frame.set_faults(held_responses=1)
    with pytest.raises(httpx.ReadTimeout):
        await frame.http.post(frame.url, json={"text": "kept"}, timeout=0.2)

    assert (await frame.read()).json()[1] == {"text": "kept"}


async def test_tokens_are_revoked(frame: Frame) -> None:
    await frame.http.post(f"{frame.admin}/notes/revoke-tokens")

    assert (await frame.read()).status_code == 401


def test_the_page_about_systems_names_every_fault() -> None:
    page = Path(__file__).parents[3] / "docs" / "systems.md"
    text = page.read_text()

    assert [name for name in Faults.model_fields if f"`{name}`" not in text] == []


async def test_faults_are_shown_and_switched_off(frame: Frame) -> None:
    await frame.set_faults(throttled=5)
    shown = (await frame.http.get(frame.admin)).json()["notes"]
    await frame.http.delete(f"{frame.admin}/notes/faults")

    assert shown["api"] == "system/notes.v1"
    assert shown["faults"]["throttled"] == 5
    assert (await frame.read()).status_code == 200


@pytest.mark.parametrize("faults", [{"sunshine": 1}, {"resets": -1}])
async def test_a_fault_that_does_not_exist_is_refused(
    frame: Frame, faults: dict[str, object]
) -> None:
    assert (await frame.set_faults(**faults)).status_code == 422


async def test_an_unknown_system_is_named(frame: Frame) -> None:
    answer = await frame.http.delete(f"{frame.admin}/other/faults")

    assert (answer.status_code, answer.json()) == (404, {"error": "the systems are notes"})


async def test_state_outlives_the_process_only_in_a_folder(
    tmp_path: Path, anyio_backend: str
) -> None:
    del anyio_backend
    for folder, texts in ((None, [COMPANY]), (tmp_path, [COMPANY, "kept"])):
        async with open_frame(folder) as first:
            await first.write("kept")
        async with open_frame(folder) as second:
            assert [note["text"] for note in (await second.read()).json()] == texts


async def test_a_reset_goes_back_to_the_beginning(frame: Frame) -> None:
    await frame.write("gone")
    await frame.http.post(f"{frame.admin}/notes/reset")

    assert (await frame.read()).json() == [{"text": COMPANY}]


async def test_a_taken_port_is_named() -> None:
    async with serve_on_loopback(Starlette()) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(SandboxesError, match=f"port {port} of 127.0.0.1 is taken"):
            async with serve_on_loopback(Starlette(), port):
                pass


async def test_webhooks_arrive_signed_twice_and_out_of_order_if_asked(frame: Frame) -> None:
    received: list[tuple[str, str]] = []

    async def receive(request: Request) -> Response:
        received.append(((await request.body()).decode(), request.headers["x-signed"]))
        return Response(status_code=500 if len(received) == 1 else 204)

    async def wait_for(count: int) -> None:
        async with asyncio.timeout(5):
            while len(received) < count:  # noqa: ASYNC110  # the list has no event
                await asyncio.sleep(0.01)

    async def until(count: int) -> list[str]:
        await wait_for(count)
        found = [body for body, _ in received]
        received.clear()
        return found

    app = Starlette(routes=[Route("/hook", receive, methods=["POST"])])
    async with serve_on_loopback(app) as url:
        endpoint = {"url": f"{url}/hook", "secret": "s"}
        await frame.http.post(f"{frame.admin}/notes/webhooks", json=endpoint)
        await frame.write("first")
        await wait_for(2)
        assert received[1] == ("2", "s:1")
        assert await until(2) == ["2", "2"]  # refused once, then delivered

        await frame.set_faults(webhooks_twice=True)
        received.append(("", ""))  # the next is not refused
        await frame.write("second")
        assert await until(3) == ["", "3", "3"]

        await frame.set_faults(webhooks_out_of_order=True)
        received.append(("", ""))
        await frame.write("third")
        await frame.write("fourth")
        assert await until(3) == ["", "5", "4"]
