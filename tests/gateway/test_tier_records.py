"""Idempotency spans the tiers: each keeps its record, and a lost one above runs nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from portico.contract import ContractError
from portico.idempotency.scope import Locator, Scope
from tests.gateway.conftest import MODES
from tests.support.serving import Served, in_process

RELAY = "/experience/kiosk/v1/relay"
EMBEDDED = {"tryton": False, "redis": True}
ECHO = {"operation": "echo", "arguments": {"name": "a"}, "body": {"note": "n"}}


@pytest.fixture(scope="module", params=list(MODES))
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve the network with records, in one process and as three services on one Redis."""
    data = tmp_path_factory.mktemp(request.param)
    with MODES[request.param](data, embedded=EMBEDDED) as served:
        yield served


def relay(served: Served, key: str, **changes: Any) -> dict[str, Any]:
    response = served.request(
        "POST", RELAY, json={**ECHO, **changes}, headers={"Idempotency-Key": key}
    )
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def echoed(found: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = found["replies"][0]["body"]
    return body


def forget(served: Served, *clients: str) -> int:
    """Delete the records of callers, as when Redis lost its last writes; return how many."""
    config = served.gateway.config
    secret = served.gateway.secrets.resolve(config.idempotency.secret, "").encode()
    (path,) = (config.data / "redis").glob("**/*.sock")
    deleted = 0
    with redis.Redis(unix_socket_path=str(path)) as store:
        for client in clients:
            tag = Locator(secret).tag(Scope(client_id=client))
            names = list(store.scan_iter(f"portico:idem:{{{tag}}}:*"))
            deleted += store.delete(*names) if names else 0
    return deleted


def test_a_repeat_is_answered_by_the_edge(recorded: Served) -> None:
    first, again = relay(recorded, "edge"), relay(recorded, "edge")

    assert again == first


@pytest.mark.parametrize(
    "lost", [["tests"], ["experience/kiosk.v1"], ["tests", "experience/kiosk.v1"]]
)
def test_what_is_below_a_lost_record_runs_once(recorded: Served, lost: list[str]) -> None:
    """The request id that the lowest tier saw is that of its one run."""
    key = "-".join(["lost", *lost]).replace("/", "-").replace(".", "-")
    first = echoed(relay(recorded, key))
    assert forget(recorded, *lost) >= len(lost)

    again = echoed(relay(recorded, key))

    assert again["requestId"] == first["requestId"]
    assert again["key"] == first["key"]


def test_each_tier_has_a_key_of_its_own(recorded: Served) -> None:
    """IDM-36: and none has the key of the client."""
    found = echoed(relay(recorded, "own"))

    assert found["key"] not in {"", "own"}
    assert len(found["key"]) == 40


def test_another_request_of_a_tier_under_its_key_is_refused(recorded: Served) -> None:
    """The edge has forgotten the first request; the tier below has not."""
    relay(recorded, "mismatch")
    forget(recorded, "tests")
    changed = {**ECHO, "arguments": {"name": "b"}}

    refused = recorded.request("POST", RELAY, json=changed, headers={"Idempotency-Key": "mismatch"})

    assert refused.status_code in {409, 422}
    assert "idempotency" in refused.json()["type"]


def test_a_refusal_of_a_system_is_its_answer_the_next_time_too(recorded: Served) -> None:
    taken = {"operation": "createThing", "arguments": {}, "body": {"name": "taken"}, "catch": True}
    first = relay(recorded, "taken", **taken)
    forget(recorded, "tests", "experience/kiosk.v1")
    again = relay(recorded, "taken", **taken)

    assert first["status"] == again["status"] == 409
    assert first["problem"] == again["problem"]


def test_an_unavailable_system_frees_the_keys_above_it(recorded: Served) -> None:
    """IDM-34: nothing was done, so the same key may run as soon as the system is back."""
    down = {"operation": "fail", "arguments": {"kind": "unavailable"}, "body": None}
    refused = recorded.request(
        "POST", RELAY, json={**ECHO, **down}, headers={"Idempotency-Key": "down"}
    )
    again = recorded.request(
        "POST", RELAY, json={**ECHO, **down}, headers={"Idempotency-Key": "down"}
    )

    assert refused.status_code == again.status_code == 503
    assert "idempotent-replayed" not in again.headers


@pytest.mark.parametrize(
    ("described", "cause"),
    [
        ("{inDoubt: sometimes}", "x-idempotency has inDoubt: sometimes"),
        ("{inDoubt: reconcile}", "need each other"),
        ("{inDoubt: reconcile, statusOperation: nothing}", "no operation nothing"),
        ("{inDoubt: reconcile, statusOperation: getPublic}", "no parameter idempotencyKey"),
        ("{statusOperation: getPublic}", "need each other"),
    ],
)
def test_an_extension_that_is_not_understood_does_not_start(
    tmp_path: Path, described: str, cause: str
) -> None:
    import shutil

    from tests.support.serving import CONTRACTS

    contracts = tmp_path / "openapi"
    shutil.copytree(CONTRACTS, contracts)
    kiosk = contracts / "experience" / "kiosk.v1.yaml"
    text = kiosk.read_text().replace(
        "operationId: addNote", f"operationId: addNote\n      x-idempotency: {described}"
    )
    kiosk.write_text(text)

    with (
        pytest.raises(ContractError) as error,
        in_process(tmp_path / "data", contracts=contracts, embedded=EMBEDDED),
    ):
        pass

    assert cause in str(error.value)
    assert "kiosk.v1.yaml:" in str(error.value)
