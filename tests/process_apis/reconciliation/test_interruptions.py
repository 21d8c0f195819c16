"""Runs that are interrupted: by a system that is down, by the end of their process."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config import Config
from tests.process_apis.reconciliation.conftest import ALWAYS, BASE, POLL_SECONDS
from tests.process_apis.reconciliation.counterpart import (
    EVERY,
    Counterpart,
    serving_counterpart,
)
from tests.process_apis.reconciliation.processes import alone, killed_at
from tests.support.serving import PUBLIC_URL, eventually, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres import Postgres
    from tests.support.serving import Served

# Runs wait for one another, and processes are started, on a machine that may be busy.
pytestmark = pytest.mark.timeout(240)
SCOPES = ["reconciliation:read", "reconciliation:write", "operations:read", "operations:write"]
RECORDS = 2 * EVERY
PAGES = RECORDS // 100
SECONDS = 40.0


@pytest.fixture
def counterpart() -> Iterator[Counterpart]:
    with serving_counterpart(Counterpart(RECORDS)) as found:
        yield found


def ask(served: Served, method: str, path: str, **options: Any) -> Any:
    headers = {"idempotency-key": "k"} | options.pop("headers", {})
    token = served.token(*SCOPES, subject="tests")
    answer = served.request(method, path, token=token, headers=headers, **options)
    assert answer.is_success, answer.text
    return answer.json()


def started(served: Served, key: str = "once") -> str:
    body = {"subjects": ["invoices"], "period": ALWAYS}
    headers = {"idempotency-key": key}
    return str(ask(served, "POST", f"{BASE}/runs", json=body, headers=headers)["id"])


def reached(served: Served, run_id: str, phase: str) -> dict[str, Any]:
    path = f"{BASE}/runs/{run_id}"
    there = eventually(
        lambda: ask(served, "GET", path)["phase"] == phase, SECONDS, every=POLL_SECONDS
    )
    run: dict[str, Any] = ask(served, "GET", path)
    assert there, run
    return run


def kinds(report: Any) -> Counter[str]:
    return Counter(found["kind"] for found in report["items"])


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_list_that_broke_off_is_read_on_from_there(
    counterpart: Counterpart, tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    """While QuickBooks is down, Stripe is read; nothing is read twice but the page that failed."""
    config = alone(tmp_path, counterpart, retry_seconds=1.0)
    config["public_url"] = PUBLIC_URL
    if database == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        config["workflows"]["database"] = server.new_database()
    counterpart.failures = {("quickbooks", 7): 2, ("stripe", 3): 1}
    with serving(Config.model_validate(config), only=["process/reconciliation"]) as served:
        run_id = started(served)
        path = f"{BASE}/runs/{run_id}"
        assert eventually(lambda: "nextTryAt" in ask(served, "GET", path), SECONDS)
        waiting = ask(served, "GET", path)
        run = reached(served, run_id, "done")
        report, asked = ask(served, "GET", f"{path}/report"), Counter(counterpart.asked)
        second = started(served, key="again")
        reached(served, second, "done")
        newest = ask(served, "GET", f"{BASE}/runs?limit=1")
        older = ask(served, "GET", f"{BASE}/runs?limit=1&cursor={newest['nextCursor']}")
        same = ask(served, "GET", f"{BASE}/runs/{second}/report")["items"]

    assert [page["items"][0]["id"] for page in (newest, older)] == [second, run_id]
    assert "nextCursor" not in older
    assert same == report["items"]
    assert "does not answer" in waiting["cause"]
    assert waiting["phase"] == "reading"
    pages = {part["work"]: part["pages"] for part in waiting["progress"]}
    assert pages["read invoices of stripe"] == 3
    assert pages["read invoices of quickbooks"] == 7
    again = {place: times for place, times in asked.items() if times > 1}
    assert again == {("quickbooks", 7): 3, ("stripe", 3): 2}
    assert "cause" not in run
    assert "nextTryAt" not in run
    assert kinds(report) == counterpart.expected


def test_a_system_that_stays_away_is_a_dead_letter_until_it_is_replayed(
    counterpart: Counterpart, tmp_path: Path
) -> None:
    config = alone(tmp_path, counterpart, retries=1)
    config["public_url"] = PUBLIC_URL
    counterpart.failures = {("quickbooks", 5): 2}
    apis = ["process/reconciliation", "experience/operations"]
    with serving(Config.model_validate(config), only=apis) as served:
        run_id = started(served)
        failed = reached(served, run_id, "failed")
        dead = "/experience/operations/v1/dead-letters"
        assert eventually(lambda: ask(served, "GET", dead)["items"], SECONDS)
        (letter,) = ask(served, "GET", dead)["items"]
        key = {"idempotency-key": "replay"}
        ask(served, "POST", f"{dead}/{letter['id']}/replay", headers=key)
        reached(served, run_id, "done")
        report = ask(served, "GET", f"{BASE}/runs/{run_id}/report")

    assert failed["cause"] == "quickbooks: quickbooks does not answer"
    assert letter["name"] == "reconciliation.v1"
    assert max(counterpart.asked.values()) == 3, "the page that failed, and no other"
    assert kinds(report) == counterpart.expected


def test_the_clock_starts_runs_of_everything_that_follow_one_another(
    counterpart: Counterpart, tmp_path: Path
) -> None:
    counterpart.records = EVERY
    config = alone(tmp_path, counterpart, schedule="* * * * * *", period_days=365)
    config["public_url"] = PUBLIC_URL
    with serving(Config.model_validate(config), only=["process/reconciliation"]) as served:

        def runs() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = ask(served, "GET", f"{BASE}/runs")["items"]
            return [run for run in items if run["phase"] == "done"]

        assert eventually(lambda: len(runs()) >= 2, SECONDS, every=POLL_SECONDS)
        first, second = runs()[-1], runs()[-2]
        reports = [ask(served, "GET", f"{BASE}/runs/{run['id']}/report") for run in (first, second)]
        findings = ask(served, "GET", f"{BASE}/findings")["items"]

    assert first["id"].startswith("nightly-")
    assert first["startedBy"] == "schedule"
    assert first["subjects"] == ["customers", "orders", "invoices"]
    assert first["endedAt"] <= second["begunAt"], "runs follow one another"
    assert reports[0]["items"] == reports[1]["items"]
    assert kinds(reports[0]) == counterpart.expected
    assert len(findings) == len(reports[0]["items"]), "and a finding is one, whoever saw it"


def test_a_run_goes_on_where_its_process_was_killed(
    counterpart: Counterpart, tmp_path: Path
) -> None:
    """Nothing is missing or twice in the report; tests/soak kills it in each of the two lists."""
    killed_at(tmp_path, counterpart, [PAGES // 3])
