"""Commands of operators: records of keys, and plans of clients, beside a running gateway."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.stores import open_stores
from portico.idempotency.attempt import Attempt
from portico.idempotency.claim import Claim
from portico.idempotency.policy import Policy
from portico.idempotency.scope import Scope
from tests.support.commands import Done, Run
from tests.support.serving import CONTRACTS, Served, in_process

NOTES = "/experience/kiosk/v1/notes"
LIMITS = {"plans": {"standard": {}, "tiny": {"few": {"limits": "1/day"}}}}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Served]:
    embedded = {"tryton": False, "redis": True}
    with in_process(tmp_path / "data", embedded=embedded, rate_limits=LIMITS) as served:
        yield served


@pytest.fixture
def command(portico: Run, running: Served, tmp_path: Path) -> Run:
    """Return what runs a command with the configuration of the running gateway."""
    config = tmp_path / "portico.yaml"
    settings: dict[str, Any] = {
        "data": str(running.gateway.config.data),
        "contracts": str(CONTRACTS),
        "embedded": {"tryton": False},
        "rate_limits": LIMITS,
        "clients": {"tests": {"secret": "generated:tests", "scopes": ["kiosk:use"]}},
    }
    config.write_text(yaml.safe_dump(settings))

    def run(*words: str) -> Done:
        return portico(words[0], "--config", config, *words[1:])

    return run


def doubtful(running: Served, key: str) -> None:
    """Leave a record in doubt, as a process does that was told to stop."""

    async def leave() -> None:
        config, secrets = running.gateway.config, running.gateway.secrets
        async with open_stores(config, secrets, "/portal/problems/") as stores:
            assert stores.records is not None
            attempt = Attempt(
                scope=Scope(client_id="tests", subject="tests"),
                key=key,
                fingerprint=b"1:of-another-time",
                operation="process/orders.v1/createOrder",
            )
            claim = await stores.records.claim(attempt, Policy())
            assert isinstance(claim, Claim)
            await claim.in_doubt()

    asyncio.run(leave())


def note(running: Served, key: str) -> Any:
    return running.request("POST", NOTES, json={"text": "a"}, headers={"Idempotency-Key": key})


def test_a_record_is_shown_by_the_key_of_its_client(running: Served, command: Run) -> None:
    note(running, "shown")

    done = command(
        "idempotency", "show", "shown", "--client", "tests", "--subject", "ada", "--json"
    )

    found = json.loads(done.out)
    assert done.code == 0
    assert (found["state"], found["status"]) == ("completed", 201)
    assert found["operation"] == "experience/kiosk.v1/addNote"
    by_id = command("idempotency", "show", found["id"])
    assert by_id.code == 0
    assert re.search(r"^state +completed$", by_id.out, re.MULTILINE)


def test_what_is_in_doubt_is_listed_and_settled(running: Served, command: Run) -> None:
    doubtful(running, "lost")

    listed = command("idempotency", "list", "--in-doubt")
    (found,) = json.loads(command("idempotency", "list", "--json").out)
    assert listed.code == 1
    assert "process/orders.v1/createOrder" in listed.out
    assert listed.out.endswith("1 in doubt\n")

    settled = command("idempotency", "resolve", found["id"], "--status", "201", "--body", "{}")
    again = command("idempotency", "resolve", "lost", "--client", "tests", "--no-effect")

    assert settled.code == 0
    assert "repeats get this answer" in settled.out
    assert again.code == 3
    assert "not in doubt" in again.err
    shown = json.loads(command("idempotency", "show", found["id"], "--json").out)
    assert (shown["state"], shown["status"]) == ("completed", 201)


def test_what_had_no_effect_may_run_again(running: Served, command: Run) -> None:
    doubtful(running, "nothing-done")

    done = command("idempotency", "resolve", "nothing-done", "--client", "tests", "--no-effect")

    assert done.code == 0
    assert "the key may run again" in done.out
    assert command("idempotency", "list").code == 0


def test_what_is_not_there_says_where_it_may_be(command: Run) -> None:
    done = command("idempotency", "show", "nothing", "--client", "tests")

    assert done.code == 3
    assert "there is no record" in done.err
    assert command("idempotency", "show", "no id at all").code == 3
    assert command("idempotency", "list").out == "0 in doubt\n"


def test_a_client_gets_another_plan_while_the_gateway_runs(running: Served, command: Run) -> None:
    assert [note(running, f"a{number}").status_code for number in range(3)] == [201] * 3

    assert command("plan", "assign", "tests", "tiny").out == "tests has the plan tiny\n"
    time.sleep(2.3)  # processes look every two seconds
    assert [note(running, f"b{number}").status_code for number in range(2)] == [201, 429]
    assert json.loads(command("plan", "list", "--json").out) == {"tests": "tiny"}

    assert command("plan", "withdraw", "tests").out == "tests has the plan standard\n"
    time.sleep(2.3)
    assert note(running, "c").status_code == 201


def test_a_plan_that_is_none_is_refused(command: Run) -> None:
    done = command("plan", "assign", "tests", "platinum")

    assert done.code == 3
    assert "the plans are standard, tiny" in done.err
