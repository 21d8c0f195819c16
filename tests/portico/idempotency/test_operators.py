"""What operators see and settle."""

from __future__ import annotations

import pytest

from portico.idempotency.operators import NotSettledError
from portico.idempotency.policy import Policy, Sending
from portico.idempotency.problems import IN_DOUBT
from portico.idempotency.record import State, StoredResponse
from portico.idempotency.scope import record_id
from tests.portico.idempotency.setting import (
    Operation,
    Setting,
    attempt,
    dies,
    expiry,
)

pytestmark = pytest.mark.anyio


def id_of(setting: Setting, key: str = "first") -> str:
    return record_id(setting.name(attempt(key)))


async def test_a_record_is_shown_with_what_it_says(setting: Setting) -> None:
    await setting.run(Operation(), policy=Policy(retention_seconds=1000))

    shown = await setting.operators.show(id_of(setting))

    assert shown is not None
    assert shown.record is not None
    assert shown.record.state is State.COMPLETED
    assert shown.record.operation == "process/orders.v1/createOrder"
    assert shown.record.request_id == "0b6f1c3a5d7e4f2a"
    assert shown.record.response is not None
    assert shown.record.response.status == 201
    assert 990 < shown.expires_in_seconds <= 1000
    assert 0 <= shown.age_seconds < 10
    assert not shown.in_doubt


async def test_what_is_not_there_is_not_shown(setting: Setting) -> None:
    assert await setting.operators.show(id_of(setting)) is None


async def test_an_unreadable_record_is_shown_as_such(setting: Setting) -> None:
    await setting.set_raw(b"nonsense")

    shown = await setting.operators.show(id_of(setting))

    assert shown is not None
    assert shown.record is None


async def test_the_list_has_what_is_in_doubt_and_nothing_else(setting: Setting) -> None:
    recorded = Policy(sending=Sending.RECORDED)
    await dies(setting, attempt("crashed"))
    await dies(setting, attempt("never sent"), recorded)
    await (await setting.claimed(attempt("told"))).in_doubt()
    await setting.claimed(attempt("running"), Policy())
    await setting.run(Operation(), attempt("done"))
    await (await setting.claimed(attempt("free"))).release()
    await expiry()

    mine = {id_of(setting, name) for name in ("crashed", "told")}
    others = {id_of(setting, name) for name in ("never sent", "running", "done", "free")}
    found = {shown.record_id async for shown in setting.operators.list_in_doubt()}

    assert mine <= found
    assert not others & found


async def test_the_list_is_bounded(setting: Setting) -> None:
    for number in range(5):
        await (await setting.claimed(attempt(str(number)))).in_doubt()

    assert len([shown async for shown in setting.operators.list_in_doubt(limit=3)]) == 3


async def test_a_doubt_is_settled_with_the_response_it_led_to(setting: Setting) -> None:
    epoch = await doubt(setting)

    await setting.operators.resolve(
        id_of(setting), epoch, StoredResponse(status=201, headers=(), body=b"found")
    )

    operation = Operation()
    assert (await setting.run(operation)).body == b"found"
    assert operation.runs == 0


async def test_a_doubt_is_settled_as_without_effect(setting: Setting) -> None:
    epoch = await doubt(setting)

    await setting.operators.resolve(id_of(setting), epoch, None)

    operation = Operation()
    assert not (await setting.run(operation)).replayed
    assert operation.claim is not None
    assert operation.claim.epoch > epoch


async def doubt(setting: Setting) -> int:
    await dies(setting)
    await expiry()
    assert (await setting.refused(Operation())).kind is IN_DOUBT
    shown = await setting.operators.show(id_of(setting))
    assert shown is not None
    assert shown.record is not None
    return shown.record.epoch


async def test_an_owner_that_comes_back_after_the_settlement_is_refused(setting: Setting) -> None:
    claim = await setting.claimed()
    await claim.in_doubt()
    await setting.operators.resolve(id_of(setting), claim.epoch, None)

    assert (await claim.complete(201)).value == "lost"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("absent", "no such record"),
        ("changed", "has changed"),
        ("running", "running"),
        ("settled", "not in doubt"),
        ("unreadable", "cannot be read"),
    ],
)
async def test_what_is_not_in_doubt_is_not_settled(setting: Setting, state: str, says: str) -> None:
    epoch = 1
    if state in {"changed", "running", "settled"}:
        claim = await setting.claimed(policy=Policy())
        epoch = claim.epoch + (state == "changed")
        if state == "settled":
            await claim.complete(200)
    elif state == "unreadable":
        await setting.set_raw(b"nonsense")
    before = await setting.raw()

    with pytest.raises(NotSettledError, match=says):
        await setting.operators.resolve(id_of(setting), epoch, None)

    assert await setting.raw() == before
