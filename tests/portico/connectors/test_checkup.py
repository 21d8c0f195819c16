"""What `portico doctor` finds: each thing that can be wrong, and what to do about it."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from portico.connectors.checkup import Check, Probe, Remedies, check_up
from portico.connectors.connection import open_connection
from portico.connectors.credentials import bearer
from portico.connectors.failures import NotPermittedError
from portico.connectors.messages import read
from tests.portico.connectors.conftest import Post, job
from tests.portico.connectors.parcels.connector import DIALECT, Settings
from tests.portico.redis.test_tls import LOOPBACK, issue
from tests.support.serving import free_port

pytestmark = pytest.mark.anyio

PROBES = [
    Probe(permission="parcels: read", request=read("parcels.get", "parcels/1")),
    Probe(permission="lists: read", request=read("parcels.list", "parcels")),
]


async def found(post: Post, offset: float = 0.0) -> list[Check]:
    post.service.add("R-1")
    connection = post.parcels.connection
    return await check_up(connection, PROBES, job(), clock=lambda: time.time() + offset)


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

    assert [(check.name, check.well) for check in checks] == [
        ("reachable", True),
        ("credentials", True),
        ("permission", False),
        ("clock", True),
        ("permission", True),
    ]
    assert checks[2].detail.startswith("parcels: read")


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        ([Response(status_code=401), Response(status_code=401)], "credentials"),
        ([Response(status_code=429, headers={"retry-after": "99"})], "limits"),
        ([Response(status_code=503, headers={"retry-after": "99"})], "reachable"),
        ([Response("<html>", status_code=500)], "permission"),
    ],
)
async def test_what_every_probe_would_meet_is_told_once(
    post: Post, answers: list[Response], name: str
) -> None:
    post.service.instead += answers
    check, clock = await found(post)

    assert (check.name, check.well) == (name, False)
    assert check.remedy
    assert (clock.name, clock.well) == ("clock", True)


async def test_what_the_system_says_of_one_probe_is_told_and_the_others_are_tried(
    post: Post,
) -> None:
    post.service.instead.append(JSONResponse({"failure": {"code": "odd", "text": "no such field"}}))
    checks = await found(post)

    assert [(check.detail, check.well) for check in checks if check.name == "permission"] == [
        ("parcels: read: no such field", False),
        ("lists: read", True),
    ]


async def test_who_is_refused_learns_of_a_wrong_clock(post: Post) -> None:
    post.service.instead += [Response(status_code=401), Response(status_code=401)]
    checks = await found(post, offset=300.0)

    assert [(check.name, check.well) for check in checks] == [
        ("credentials", False),
        ("clock", False),
    ]


async def test_what_to_do_is_said_in_words_of_the_system(post: Post) -> None:
    remedies: Remedies = {"odd": "turn it", NotPermittedError: "ask the postmaster"}
    post.service.instead += [
        JSONResponse({"failure": {"code": "odd", "text": "no"}}),
        Response(status_code=403),
    ]
    checks = await check_up(post.parcels.connection, PROBES, job(), remedies=remedies)

    assert [check.remedy for check in checks if check.name == "permission"] == [
        "turn it",
        "ask the postmaster",
    ]


@pytest.mark.parametrize(
    ("used", "well"), [("7/100", True), ("90/100", True), ("91/100", False), ("100/100", False)]
)
async def test_a_limit_that_is_nearly_used_up_is_told(post: Post, used: str, well: bool) -> None:
    answer = {"id": "1", "parcels": []}
    post.service.instead += [JSONResponse(answer, headers={"x-calls": used}) for _ in PROBES]
    limits = (await found(post))[-1]

    assert (limits.name, limits.well) == ("limits", well)
    assert limits.detail == f"calls: {used.replace('/', ' of ')} used"


async def unreachable(base_url: str) -> Check:
    settings = Settings.model_validate(
        {"base_url": base_url, "client_id": "us", "client_secret": "a secret"}
    )
    async with open_connection(settings, DIALECT, lambda _: bearer("t")) as connection:
        (check,) = await check_up(connection, PROBES, job())
    assert (check.name, check.well) == ("reachable", False)
    assert base_url in check.detail
    return check


async def test_a_port_where_nothing_listens_is_told_apart() -> None:
    check = await unreachable(f"http://127.0.0.1:{free_port()}")

    assert "nothing listens there" in check.detail
    assert "port" in check.remedy


async def test_a_host_that_does_not_exist_is_told_apart() -> None:
    check = await unreachable("http://parcels.invalid")

    assert "there is no such host" in check.detail
    assert "host" in check.remedy


async def test_a_server_without_tls_is_told_apart(post: Post) -> None:
    check = await unreachable(post.parcels.connection.base_url.replace("http:", "https:"))

    assert "it does not speak TLS there" in check.detail
    assert "scheme" in check.remedy


async def test_a_certificate_that_is_not_trusted_is_told_apart(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = issue(tmp_path, "parcels", LOOPBACK)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        check = await unreachable(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    assert "its certificate is not trusted" in check.detail
    assert "ca_file" in check.remedy
