"""What `portico doctor` finds: each thing that can be wrong, and what to do about it."""

from __future__ import annotations

import time

import pytest
from starlette.responses import JSONResponse, Response

from portico.connectors.checkup import Check, Probe, check_up
from portico.connectors.messages import read
from tests.portico.connectors.conftest import Post, job

pytestmark = pytest.mark.anyio

PROBES = [
    Probe(permission="parcels: read", request=read("parcels.get", "parcels/1")),
    Probe(permission="lists: read", request=read("parcels.list", "parcels")),
]


async def found(post: Post, offset: float = 0.0) -> list[Check]:
    post.service.add("R-1")
    connection = post.parcels.connection
    return await check_up(connection, PROBES, job(), lambda: time.time() + offset)


async def test_a_healthy_system_is_well(post: Post) -> None:
    checks = await found(post)

    assert all(check.well for check in checks)
    assert [check.name for check in checks] == [
        *("reachable", "credentials", "clock", "permission", "permission", "limits")
    ]
    assert checks[-1].detail == "calls: 7 of 100 used"


async def test_a_wrong_clock_is_told(post: Post) -> None:
    (clock,) = (check for check in await found(post, offset=-90.0) if check.name == "clock")

    assert not clock.well
    assert clock.detail in {"-90 s from theirs", "-89 s from theirs"}
    assert "synchronize" in clock.remedy


async def test_a_lacking_permission_is_named_and_the_others_are_tried(post: Post) -> None:
    post.service.instead.append(Response(status_code=403))
    checks = await found(post)

    assert [(check.name, check.well) for check in checks[:2]] == [
        ("permission", False),
        ("reachable", True),
    ]
    assert checks[0].detail.startswith("parcels: read")


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        ([Response(status_code=401), Response(status_code=401)], "credentials"),
        ([Response(status_code=429, headers={"retry-after": "99"})], "limits"),
        ([Response(status_code=503, headers={"retry-after": "99"})], "reachable"),
        ([JSONResponse({"failure": {"code": "odd", "text": "odd"}})], "parcels: read"),
    ],
)
async def test_what_every_probe_would_meet_is_told_once(
    post: Post, answers: list[Response], name: str
) -> None:
    post.service.instead += answers
    (check,) = await found(post)

    assert (check.name, check.well) == (name, False)
    assert check.remedy
