"""How the client takes what a server says, byte by byte."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from portico.connectors.failures import (
    BrokenError,
    ConnectorError,
    LockedError,
    MissingError,
    NotPermittedError,
    OutOfTimeError,
    RefusedError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    problem_of,
)
from portico.connectors.wire import MAX_ANSWER_BYTES
from portico.deadline import Deadline
from portico.trace import Trace
from system_apis.tryton.wire import WireError
from tests.support.script import Script, answer
from tests.support.tryton import COMPANY

if TYPE_CHECKING:
    from system_apis.tryton.connector import Exchange, Tryton

pytestmark = pytest.mark.anyio

RECORD = b'{"id": 5, "state": "draft"}'


async def enter(tryton: Tryton, seconds: float = 5.0) -> Exchange:
    return await tryton.enter(Deadline.after(seconds), Trace.start())


async def read(erp: Exchange) -> object:
    return await erp.read("sale.sale", 5, ["state"])


async def press(erp: Exchange) -> None:
    await erp.press("sale.sale", 5, "quote", ["state"])


async def test_a_request_carries_key_context_and_trace(script: Script, scripted: Tryton) -> None:
    script.answers = [COMPANY, answer(200, b"[]")]
    trace = Trace("1" * 32, "2" * 16, state="vendor=1")

    erp = await scripted.enter(Deadline.after(5), trace)
    await erp.within({"locations": [3]}).search(
        "product.product",
        fields=["code", "template.name"],
        domain=[["code", "in", ["A"]]],
        order=[["id", "ASC"]],
        limit=2,
    )

    head, *lines = script.requests[1].decode().split("\r\n")
    method, target, _ = head.split(" ")
    headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    query = parse_qs(urlsplit(target).query)
    assert method == "GET"
    assert urlsplit(target).path == "/erp/rest/model/product.product"
    assert query["f"] == ["code", "template.name"]
    assert json.loads(urlsafe_b64decode(query["d"][0])) == [["code", "in", ["A"]]]
    assert json.loads(urlsafe_b64decode(query["o"][0])) == [["id", "ASC"]]
    assert headers["range"] == "records=0-2"
    assert headers["authorization"].startswith("bearer a-key")
    assert headers["traceparent"].startswith(f"00-{'1' * 32}-")
    assert "2" * 16 not in headers["traceparent"]
    assert headers["tracestate"] == "vendor=1"


async def test_the_context_names_company_and_language(script: Script, scripted: Tryton) -> None:
    script.answers = [COMPANY, answer(200, RECORD)]

    await read((await enter(scripted)).within({"locations": [3]}))

    header = next(
        line
        for line in script.requests[1].split(b"\r\n")
        if line.lower().startswith(b"x-tryton-context")
    )
    context = json.loads(urlsafe_b64decode(header.split(b": ")[1]))
    assert context == {"company": 1, "language": "en", "locations": [3]}


async def test_the_company_is_asked_for_once(script: Script, scripted: Tryton) -> None:
    script.answers = [COMPANY, answer(200, RECORD), answer(200, RECORD)]

    for _ in range(2):
        await read(await enter(scripted))

    assert len(script.requests) == 3


async def test_several_companies_are_a_question_for_the_configuration(
    script: Script, scripted: Tryton
) -> None:
    script.answers = [answer(200, b'[{"id": 1}, {"id": 2}]')]

    with pytest.raises(BrokenError, match="set the company"):
        await enter(scripted)


HTML = b"<!doctype html><title>500 Internal Server Error</title>"
REFUSAL = (
    b'{"status": 400, "message": "A value is required", "description": "Within groups: Sales"}'
)


@pytest.mark.parametrize(
    ("status", "body", "expected", "problem_status"),
    [
        (400, REFUSAL, RefusedError("A value is required: Within groups: Sales"), 422),
        (400, b"<html>", RefusedError("tryton refused without a reason"), 422),
        (409, REFUSAL, RefusedError("A value is required: Within groups: Sales"), 422),
        (401, HTML, UnauthenticatedError("tryton does not accept the key of this API"), 502),
        (
            403,
            HTML,
            NotPermittedError("tryton does not let the user of this API do so"),
            502,
        ),
        (404, HTML, MissingError("tryton has no such record"), 404),
        (500, HTML, BrokenError("tryton failed with 500; its own log says why"), 502),
        (302, b"", BrokenError("tryton failed with 302; its own log says why"), 502),
        (200, b"<html>", WireError("tryton answered something else than its JSON"), 502),
        (200, b"[]", WireError("a record was expected, not list"), 502),
    ],
)
async def test_each_answer_has_its_meaning_and_is_asked_for_once(
    script: Script,
    scripted: Tryton,
    status: int,
    body: bytes,
    expected: ConnectorError,
    problem_status: int,
) -> None:
    script.answers = [COMPANY, answer(status, body)]
    erp = await enter(scripted)

    with pytest.raises(type(expected)) as caught:
        await read(erp)

    assert caught.value.message == expected.message
    assert problem_of(caught.value).status == problem_status
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("status", "failure", "problem_status"),
    [(423, LockedError, 409), (503, UnavailableError, 503)],
)
async def test_what_had_no_effect_is_sent_again_before_it_is_told(
    script: Script,
    scripted: Tryton,
    status: int,
    failure: type[ConnectorError],
    problem_status: int,
) -> None:
    script.answers = [COMPANY, answer(status, HTML), answer(200, RECORD)]
    erp = await enter(scripted)
    await press(erp)

    script.answers = [answer(status, HTML)] * 4
    with pytest.raises(failure) as caught:
        await press(erp)
    assert problem_of(caught.value).status == problem_status
    assert not caught.value.in_doubt


async def test_no_page_past_the_end_is_an_empty_page(script: Script, scripted: Tryton) -> None:
    script.answers = [COMPANY, answer(416, HTML)]

    assert await (await enter(scripted)).search("sale.sale", fields=["id"], limit=2) == []


async def test_being_asked_to_wait_is_passed_on_and_kept(script: Script, scripted: Tryton) -> None:
    script.answers = [COMPANY, answer(429, HTML, "retry-after: 7")]
    erp = await enter(scripted)

    for _ in range(2):
        with pytest.raises(ThrottledError) as caught:
            await read(erp)
        problem = problem_of(caught.value)
        assert problem.status == 503
        assert problem.headers == (("Retry-After", "7"),)
        assert problem.extensions["system"] == "tryton"

    assert len(script.requests) == 2


async def test_a_read_whose_connection_broke_is_sent_once_more(
    script: Script, scripted: Tryton
) -> None:
    script.answers = [COMPANY, None, answer(200, RECORD)]

    assert await read(await enter(scripted)) is not None
    assert len(script.requests) == 3


async def test_a_write_whose_connection_broke_is_in_doubt_and_not_sent_again(
    script: Script, scripted: Tryton
) -> None:
    script.answers = [COMPANY, None]
    erp = await enter(scripted)

    with pytest.raises(UnavailableError) as caught:
        await press(erp)

    assert caught.value.in_doubt
    problem = problem_of(caught.value)
    assert problem.kind.slug == "bad-upstream-answer"
    assert problem.extensions == {"system": "tryton"}
    assert len(script.requests) == 2


async def test_half_an_answer_to_a_write_is_in_doubt(script: Script, scripted: Tryton) -> None:
    script.answers = [COMPANY, answer(200, RECORD)[:-5]]
    erp = await enter(scripted)

    with pytest.raises(UnavailableError) as caught:
        await press(erp)

    assert caught.value.in_doubt


async def test_an_answer_without_end_is_cut_off(script: Script, scripted: Tryton) -> None:
    endless = b"HTTP/1.0 200 x\r\n\r\n" + b" " * (MAX_ANSWER_BYTES + 1)
    script.answers = [COMPANY, endless]
    erp = await enter(scripted)

    with pytest.raises(BrokenError, match="more than"):
        await read(erp)


async def test_nothing_is_sent_after_the_deadline(script: Script, scripted: Tryton) -> None:
    script.answers = [COMPANY]
    erp = await enter(scripted, seconds=0.05)
    await asyncio.sleep(0.06)

    with pytest.raises(OutOfTimeError):
        await read(erp)

    assert len(script.requests) == 1


async def test_a_server_that_drips_is_left_at_the_deadline(
    scripted: Tryton, anyio_backend: str
) -> None:
    """Each byte in time is not an answer in time."""
    del anyio_backend

    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 x\r\n\r\n[")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.02)
        gone.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    scripted.connection.base_url = f"http://127.0.0.1:{port}/erp"
    began = monotonic()
    async with server:
        with pytest.raises(OutOfTimeError):
            await enter(scripted, seconds=0.3)

        assert 0.25 < monotonic() - began < 1.0
        await gone.wait()


async def test_a_closed_port_is_unavailable_at_once_and_nothing_is_in_doubt(
    script: Script, scripted: Tryton
) -> None:
    scripted.connection.base_url = "http://127.0.0.1:1/erp"
    began = monotonic()

    with pytest.raises(UnavailableError) as caught:
        await enter(scripted)

    assert not caught.value.in_doubt
    assert monotonic() - began < 1.0
    assert script.requests == []


async def test_the_key_is_in_no_repr_and_no_message(script: Script, scripted: Tryton) -> None:
    script.answers = [answer(401, HTML)]

    with pytest.raises(UnauthenticatedError) as caught:
        await enter(scripted)

    assert "a-key-of" not in f"{scripted!r} {caught.value!r} {caught.value}"
