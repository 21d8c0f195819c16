"""`make bench`: every measurement, a table with its targets, and bench/results.json."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from gateway.protocol.serve import quiet_collector

RESULTS = Path(__file__).parent / "results.json"
MODULES = (
    *("contract", "identity", "tier", "connectors", "systems", "traffic", "serving", "durable"),
    "start",
)
SYSTEMS = ("quickbooks", "salesforce", "sap", "stripe", "tryton")
# What we hold ourselves to: CPU microseconds, or the unit of the value.
TARGETS = {
    "contract.request": 12.0,
    "contract.response": 8.0,
    "route.200": 1.5,
    "route.2000": 1.5,
    "identity.cached": 4.0,
    "identity.client_credentials": 400.0,
    "identity.20000_tokens": 2.0,
    "gateway.in_process": 60.0,
    "gateway.proxied": 110.0,
    "tier.hop": 30.0,
    "gateway.proxied_limited_keyed": 130.0,
    "connector.overhead": 400.0,
    "connector.growth_mib": 2.0,
    **{f"connector.overhead.{name}": 400.0 for name in SYSTEMS},
    **{f"connector.list_200.{name}": 1.0 for name in SYSTEMS},
    **{f"connector.growth_mib.{name}": 2.0 for name in SYSTEMS},
    "gateway.p99_ms": 5.0,
    "admission.32": 14.0,
    "admission.alone": 60.0,
    "completion.32": 8.0,
    "idempotency.record.overhead": 1600.0,
    "load.1000_operations": 3.0,
    "load.1000_operations_mib": 120.0,
    "start.seconds": 2.0,
    "start.mib": 150.0,
    "durable.intake_p50_ms": 3.0,
    "durable.intake_p99_ms": 10.0,
    "durable.parked_2000_cpu": 3.0,
    "durable.parked_2000_recovered": 10.0,
}
# These are to be reached, not to be kept below.
LEAST = {
    "durable.workflows": 120.0,
    "durable.webhooks_out": 120.0,
    "durable.postgresql_scaling": 1.6,
}


def main() -> int:
    """Measure one module after the other, so that none disturbs another."""
    results: dict[str, dict[str, float | str]] = {}
    for name in sys.argv[1:] or MODULES:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        module = importlib.import_module(f"bench.{name}")
        with quiet_collector():  # as the gateway serves
            results.update(module.measure())
    if "bare_uvicorn" in results:
        bare = float(results["bare_uvicorn"]["cpu_us"])
        for row in results.values():
            if "cpu_us" in row:
                row.setdefault("share_of_bare_uvicorn", round(bare / float(row["cpu_us"]), 2))
    _print(results)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**known, **results}, indent=2) + "\n")
    return 0


def _print(results: dict[str, dict[str, float | str]]) -> None:
    print(f"{'':32}{'measured':>14}{'target':>12}{'share of bare uvicorn':>24}")
    for name, row in results.items():
        value = f"{row['cpu_us']} µs" if "cpu_us" in row else f"{row['value']} {row['unit']}"
        target = f"≤ {TARGETS[name]:g}" if name in TARGETS else ""
        target = f"≥ {LEAST[name]:g}" if name in LEAST else target
        share = row.get("share_of_bare_uvicorn")
        shown = f"{float(share):.0%}" if share else ""
        print(f"{name:32}{value:>14}{target:>12}{shown:>24}")


if __name__ == "__main__":
    sys.exit(main())
