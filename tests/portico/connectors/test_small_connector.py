"""A connector to a simple REST system fits in 150 lines and has everything the kit offers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from portico.connectors.failures import DuplicateError, MissingError, QuotaError, problem_of
from portico.connectors.watermarks import Watermark
from tests.portico.connectors.conftest import Post, job

pytestmark = pytest.mark.anyio

MAX_LINES = 150


def failure(code: str, status: int = 200, **more: object) -> Response:
    return JSONResponse({"failure": {"code": code, "text": "no", **more}}, status_code=status)


def test_it_fits_in_150_lines() -> None:
    source = Path(__file__).parent / "parcels" / "connector.py"

    assert len(source.read_text().splitlines()) <= MAX_LINES


async def test_a_record_is_read_and_mapped_without_floats(post: Post) -> None:
    post.service.add("R-1")

    assert await post.parcels.get("1", job()) == {
        "id": "1",
        "reference": "R-1",
        "postage": {"amount": "4.95", "currency": "EUR"},
        "updatedAt": "2026-11-02T09:30:00Z",
    }
    allowance = post.parcels.connection.allowances["calls"]
    assert (allowance.used, allowance.total) == (7, 100)


async def test_a_failure_hidden_in_a_200_is_found(post: Post) -> None:
    with pytest.raises(MissingError, match="there is no parcel") as raised:
        await post.parcels.get("9", job())

    problem = problem_of(raised.value)
    assert problem.status == 404
    assert problem.extensions == {"system": "parcels", "systemCode": "unknown"}


async def test_what_is_locked_is_tried_again(post: Post) -> None:
    post.service.add("R-1")
    post.service.instead += [failure("held", 409), failure("held", 409)]

    assert (await post.parcels.get("1", job()))["id"] == "1"
    assert post.parcels.connection.counters.of("parcels.get").tries == 3


async def test_a_duplicate_names_the_record_in_the_way(post: Post) -> None:
    post.service.instead.append(failure("known", 400, parcels=["17"]))

    with pytest.raises(DuplicateError) as raised:
        await post.parcels.send_off("R-1", "key", job())

    assert problem_of(raised.value).status == 409
    assert problem_of(raised.value).extensions["recordIds"] == ["17"]


async def test_a_used_up_quota_is_a_503_with_a_long_wait(post: Post) -> None:
    post.service.instead.append(failure("month-used-up", 403))

    with pytest.raises(QuotaError) as raised:
        await post.parcels.get("1", job())

    problem = problem_of(raised.value)
    assert (problem.status, dict(problem.headers)["Retry-After"]) == (503, "900")


async def test_a_write_whose_answer_was_lost_takes_effect_once(post: Post) -> None:
    post.service.instead += [Response(status_code=502), Response(status_code=502)]

    sent = await post.parcels.send_off("R-1", "key-1", job())

    assert sent["reference"] == "R-1"
    assert list(post.service.parcels) == ["1"]


async def test_every_page_is_read(post: Post) -> None:
    for number in range(5):
        post.service.add(f"R-{number}")

    assert [str(entry["id"]) async for entry in post.parcels.every(job())] == list("12345")


async def test_changes_are_told_once_also_those_that_commit_late(post: Post) -> None:
    post.service.add("R-1", "2026-11-02T10:00:00+00:00")
    mark = Watermark(at=datetime(2026, 11, 2, 9, 59, tzinfo=UTC))

    first, mark = await post.parcels.changes(mark, job())
    # It was stamped before the last look and became visible after it.
    post.service.add("R-2", "2026-11-02T09:59:30+00:00")
    second, mark = await post.parcels.changes(mark, job())
    third, mark = await post.parcels.changes(mark, job())

    assert [change.id for change in first] == ["1"]
    assert [change.id for change in second] == ["2"]
    assert third == []
    assert mark.at == datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
