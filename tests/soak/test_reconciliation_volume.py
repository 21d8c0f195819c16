"""A hundred thousand invoices on each side, compared in flat memory, with progress to be seen."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.process_apis.reconciliation.counterpart import EVERY, Counterpart, serving_counterpart
from tests.process_apis.reconciliation.processes import GatewayProcess, alone, killed_at
from tests.soak.whole import whole

if TYPE_CHECKING:
    from pathlib import Path

RECORDS, CUSTOMERS = 100_000, 20_000
WARM = 2 * EVERY
MAX_GROWTH_BYTES = 64 * 1024 * 1024
SECONDS = 1500.0


def watched(gateway: GatewayProcess, run_id: str) -> tuple[int, list[int]]:
    """Wait for a run; return the most memory it took, and what was read at each look."""
    peak, seen = 0, []
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        peak = max(peak, gateway.resident_bytes)
        run = gateway.run(run_id)
        seen.append(sum(part["records"] for part in run["progress"]))
        if run["phase"] in {"done", "failed"}:
            assert run["phase"] == "done", run
            return peak, seen
        time.sleep(0.2)
    raise AssertionError(gateway.run(run_id))


def report(gateway: GatewayProcess, run_id: str) -> Counter[str]:
    found: list[dict[str, Any]] = gateway.ask("GET", f"/runs/{run_id}/report").json()["items"]
    return Counter(each["kind"] for each in found)


@whole
@pytest.mark.timeout(SECONDS + 200)
def test_customers_of_four_systems_take_no_more_memory_than_a_thousand(tmp_path: Path) -> None:
    """Each list is read whole, and customers of the books are found by their names."""
    counterpart = Counterpart(0, customers=WARM)
    with (
        serving_counterpart(counterpart),
        GatewayProcess(tmp_path, alone(tmp_path, counterpart)) as gateway,
    ):
        baseline, _ = watched(gateway, gateway.start_run("customers"))
        counterpart.customers = CUSTOMERS
        began = time.monotonic()
        run_id = gateway.start_run("customers")
        peak, seen = watched(gateway, run_id)
        took = time.monotonic() - began
        found = report(gateway, run_id)

    growth = (peak - baseline) / 1024 / 1024
    print(f"{seen[-1]} records and keys in {took:.0f} s, {growth:.1f} MiB over {baseline >> 20}")  # noqa: T201  # what it is run for
    assert found == {"name_differs": CUSTOMERS // EVERY}
    assert peak - baseline < MAX_GROWTH_BYTES


@whole
@pytest.mark.timeout(SECONDS + 200)
def test_a_hundred_thousand_records_take_no_more_memory_than_a_thousand(tmp_path: Path) -> None:
    counterpart = Counterpart(WARM)
    with (
        serving_counterpart(counterpart),
        GatewayProcess(tmp_path, alone(tmp_path, counterpart)) as gateway,
    ):
        baseline, _ = watched(gateway, gateway.start_run())
        counterpart.records = RECORDS
        began = time.monotonic()
        run_id = gateway.start_run()
        peak, seen = watched(gateway, run_id)
        took = time.monotonic() - began
        found = report(gateway, run_id)

    growth = (peak - baseline) / 1024 / 1024
    print(f"{seen[-1]} records and keys in {took:.0f} s, {growth:.1f} MiB over {baseline >> 20}")  # noqa: T201  # what it is run for
    assert found == counterpart.expected
    assert peak - baseline < MAX_GROWTH_BYTES
    assert seen == sorted(seen)
    assert len(set(seen)) > 20, "it was to be seen how far it came"


@pytest.mark.timeout(240)
def test_a_run_that_is_killed_in_each_of_its_lists_reports_the_same(tmp_path: Path) -> None:
    with serving_counterpart(Counterpart(4 * EVERY)) as counterpart:
        pages = counterpart.total("stripe") // 100
        killed_at(tmp_path, counterpart, [pages // 3, pages + 5])
