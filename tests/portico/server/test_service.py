"""A running API: its deadline, the check of its answers, and calls made in parallel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from portico.client.tiers import TierClient
from portico.contract import load
from portico.contract.strict import StrictValidator
from portico.deadline import Deadline
from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.server.bind import Bound
from portico.server.call import ANONYMOUS, Call, Reply
from portico.server.service import ResponseCheck, Service
from portico.server.validation import Validation
from portico.trace import Trace
from tests.support.serving import CONTRACTS

pytestmark = pytest.mark.anyio
CONTRACT = load(CONTRACTS / "system" / "shelf.v1.yaml")
GOOD = {"amount": "5.00"}


def a_call(seconds: float = 5.0) -> Call[None]:
    return Call(
        operation_id="fail",
        caller=ANONYMOUS,
        deadline=Deadline.after(seconds),
        trace=Trace.start(),
        request_id="id-1",
        tiers=TierClient("system/shelf.v1", {}),
        resources=None,
    )


def service(handler: Callable[..., Any], mode: str = "enforce") -> Service:
    """Return shelf with one handler in the place of the one that fails."""
    validation = Validation.parse(mode)
    strict = StrictValidator(CONTRACT.document) if mode == "strict" else None
    bound = Bound(handler, (), takes_body=False, status=200)
    return Service(CONTRACT, {"fail": bound}, None, validation, strict)


async def run(handler: Callable[..., Any], mode: str = "enforce", seconds: float = 5.0) -> Reply:
    return await service(handler, mode).invoke(
        CONTRACT.operations["fail"], a_call(seconds), {"path": {}, "query": {}, "header": {}}
    )


def answering(answer: object) -> Callable[..., Any]:
    async def handler(call: Call[None]) -> object:
        del call
        return answer

    return handler


async def test_a_body_alone_is_the_only_success() -> None:
    reply = await run(answering(GOOD))

    assert (reply.status, reply.body, reply.media_type) == (200, GOOD, "application/json")


async def test_an_expired_deadline_runs_nothing() -> None:
    ran = []

    async def handler(call: Call[None]) -> object:
        ran.append(call)
        return GOOD

    with pytest.raises(Problem) as raised:
        await run(handler, seconds=0.0)

    assert raised.value.status == 504
    assert ran == []


async def test_a_handler_is_cancelled_at_the_deadline() -> None:
    ended = []

    async def handler(call: Call[None]) -> object:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(call.deadline.remaining())
        return GOOD

    with pytest.raises(Problem) as raised:
        await run(handler, seconds=0.05)

    assert raised.value.kind.slug == "deadline-exceeded"
    assert ended
    assert ended[0] < 0.01


async def test_a_timeout_of_the_handlers_own_is_an_error_of_its_own() -> None:
    async def handler(call: Call[None]) -> object:
        del call
        raise TimeoutError("of a library")

    with pytest.raises(TimeoutError, match="of a library"):
        await run(handler)


async def in_parallel(*failures: Exception) -> None:
    async def fail(failure: Exception) -> None:
        raise failure

    async with asyncio.TaskGroup() as tasks, asyncio.TaskGroup() as more:
        for index, failure in enumerate(failures):
            (more if index % 2 else tasks).create_task(fail(failure))


async def test_the_first_problem_of_parallel_calls_is_the_answer() -> None:
    first, second = Problem(NOT_FOUND, "a"), Problem(CONFLICT, "b")

    async def handler(call: Call[None]) -> None:
        del call
        await in_parallel(first, second)

    with pytest.raises(Problem) as raised:
        await run(handler)

    assert raised.value in {first, second}


async def test_an_error_among_the_problems_is_an_error() -> None:
    async def handler(call: Call[None]) -> None:
        del call
        await in_parallel(Problem(NOT_FOUND), KeyError("a"))

    with pytest.raises(ExceptionGroup):
        await run(handler)


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({"amount": 5}, True),
        ({}, True),
        (None, True),
        (Reply(status=202, body=GOOD), True),
        (Reply(body=GOOD, media_type="application/xml"), True),
        (Reply(body=b"octets", media_type="application/json"), False),
        (Reply(body=GOOD, headers=[("X-Extra", "1")]), False),
        (GOOD, False),
    ],
    ids=str,
)
async def test_an_answer_is_held_against_its_contract(answer: object, wrong: bool) -> None:
    if not wrong:
        await run(answering(answer))
        return
    with pytest.raises(Problem) as raised:
        await run(answering(answer))

    assert raised.value.kind.slug == "response-contract-violation"
    assert raised.value.extensions == {"api": "system/shelf.v1", "operation": "fail"}


async def test_a_stream_is_not_looked_into() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"{"

    stream = parts()
    reply = await run(answering(Reply(body=stream, media_type="application/json")))

    assert reply.body is stream


@pytest.mark.parametrize("mode", ["report", "off", "sample: 1/3"])
async def test_other_modes_let_it_pass(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    running = service(answering({"amount": "private value"}), mode)
    for _ in range(6):
        reply = await running.invoke(CONTRACT.operations["fail"], a_call(), {})
        assert reply.body == {"amount": "private value"}

    assert running.check.violations == {"report": 6, "off": 0, "sample: 1/3": 2}[mode]
    assert caplog.text.count("at=#/amount") == running.check.violations
    assert "private value" not in caplog.text


@pytest.mark.parametrize(("answer", "wrong"), [(GOOD, False), ({"amount": 5}, True)])
async def test_strict_asks_openapi_core_as_well(answer: object, wrong: bool) -> None:
    if not wrong:
        await run(answering(answer), "strict")
        return
    with pytest.raises(Problem):
        await run(answering(answer), "strict")


async def test_write_only_members_do_not_leave() -> None:
    reply = await run(answering({**GOOD, "secret": "hidden"}))

    assert reply.body == GOOD


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("enforce", [True] * 4),
        ("strict", [True] * 4),
        ("report", [True] * 4),
        ("off", [False] * 4),
        ("sample: 1/1", [True] * 4),
        ("sample: 1/2", [False, True, False, True]),
    ],
)
def test_what_is_due_follows_from_the_mode(text: str, due: list[bool]) -> None:
    check = ResponseCheck("api", Validation.parse(text))

    assert [check.due() for _ in range(4)] == due


@pytest.mark.parametrize("text", ["", "Enforce", "sample", "sample: 1/0", "sample: 2/3", "on"])
def test_an_unknown_mode_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected enforce, report, sample: 1/N, strict or off"):
        Validation.parse(text)


def test_it_says_what_it_is() -> None:
    assert repr(service(answering(GOOD))) == "<Service system/shelf.v1 1 handlers>"
