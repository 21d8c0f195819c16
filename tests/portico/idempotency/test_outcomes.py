"""What becomes of a key, by how its operation ended."""

from __future__ import annotations

from typing import Any

import pytest

from portico.idempotency.policy import Disposition, Policy, Sending
from portico.idempotency.problems import IN_DOUBT, IN_FLIGHT
from portico.idempotency.replay import (
    Answer,
)
from portico.problems import (
    BAD_UPSTREAM,
    CONFLICT,
    DEADLINE_EXCEEDED,
    INTERNAL_ERROR,
    RECORD_CHANGED,
    SYSTEM_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    Problem,
)
from tests.portico.idempotency.setting import (
    Operation,
    Setting,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [200, 302, 400, 404, 409, 422])
async def test_idm_33_what_the_handler_answered_is_stored(setting: Setting, status: int) -> None:
    operation = Operation(Answer(status))

    await setting.run(operation)

    assert (await setting.run(operation)).status == status
    assert operation.runs == 1


async def test_idm_33_a_problem_of_the_handler_is_stored_with_its_body(setting: Setting) -> None:
    operation = Operation(failure=Problem(CONFLICT, "taken"))

    first = await setting.run(operation)
    again = await setting.run(operation)

    assert first.status == 409
    assert isinstance(first.body, bytes)
    assert b'"detail":"taken"' in first.body
    assert again.body == first.body
    assert again.header(b"content-type") == b"application/problem+json"
    assert operation.runs == 1


@pytest.mark.parametrize("status", [408, 425, 429])
async def test_idm_33_being_turned_away_is_not_stored(setting: Setting, status: int) -> None:
    operation = Operation(Answer(status))

    assert (await setting.run(operation)).status == status
    assert (await setting.run(operation)).status == status
    assert operation.runs == 2


@pytest.mark.parametrize("kind", [CONFLICT, RECORD_CHANGED])
async def test_a_conflict_that_says_when_to_come_again_is_not_stored(
    setting: Setting, kind: Any
) -> None:
    operation = Operation(failure=Problem(kind, "locked", headers=[("Retry-After", "1")]))

    await setting.refused(operation)
    operation.failure = None

    assert not (await setting.run(operation)).replayed
    assert operation.runs == 2


async def test_idm_34_a_500_is_stored_by_default(setting: Setting) -> None:
    operation = Operation(failure=Problem(INTERNAL_ERROR))

    await setting.run(operation)

    assert (await setting.run(operation)).replayed
    assert operation.runs == 1


@pytest.mark.parametrize(
    ("on_error", "state"), [(Disposition.RELEASE, "F"), (Disposition.IN_DOUBT, "D")]
)
async def test_idm_34_the_contract_may_say_otherwise_about_a_500(
    setting: Setting, on_error: Disposition, state: str
) -> None:
    policy = Policy(reexecutable=True, on_error=on_error)

    await setting.run(Operation(Answer(500)), policy=policy)

    assert await setting.state() == state


@pytest.mark.parametrize("kind", [BAD_UPSTREAM, DEADLINE_EXCEEDED])
async def test_idm_34_a_502_or_504_is_in_doubt(setting: Setting, kind: Any) -> None:
    operation = Operation(failure=Problem(kind))

    problem = await setting.refused(operation)
    again = await setting.refused(operation)

    assert problem.kind is kind
    assert ("idempotency-status", "in-doubt") in problem.headers
    assert again.kind is IN_DOUBT
    assert operation.runs == 1


async def test_idm_34_a_504_of_the_upstream_itself_is_in_doubt(setting: Setting) -> None:
    answer = await setting.run(Operation(Answer(504)))

    assert answer.header(b"idempotency-status") == b"in-doubt"
    assert await setting.state() == "D"


@pytest.mark.parametrize("kind", [SYSTEM_UNAVAILABLE, TOO_MANY_REQUESTS])
async def test_idm_34_when_nothing_was_sent_the_key_is_free(setting: Setting, kind: Any) -> None:
    operation = Operation(failure=Problem(kind))
    await setting.refused(operation)
    operation.failure = None

    assert not (await setting.run(operation)).replayed
    assert operation.runs == 2


@pytest.mark.parametrize(("reexecutable", "state"), [(False, "D"), (True, "F")])
async def test_idm_34_being_turned_away_half_way_is_in_doubt_unless_a_second_run_is_harmless(
    setting: Setting, reexecutable: bool, state: str
) -> None:
    policy = Policy(sending=Sending.MARKED, reexecutable=reexecutable)

    await setting.refused(Operation(failure=Problem(SYSTEM_UNAVAILABLE), marks=True), policy=policy)

    assert await setting.state() == state


async def test_idm_34_a_callee_that_is_not_done_leaves_its_caller_undone(
    setting: Setting,
) -> None:
    await setting.refused(Operation(failure=Problem(IN_FLIGHT)))

    assert await setting.state() == "D"
