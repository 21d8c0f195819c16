"""schemathesis, which knows nothing of us, finds every contract kept by the running network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Network

ROOT = Path(__file__).parents[2] / "specs" / "openapi"
APIS = sorted(
    f"{path.parent.name}/{path.stem}"
    for tier in ("system", "process", "experience")
    for path in (ROOT / tier).glob("*.yaml")
    # Its limits are ten requests a second; tests of its own try it without them.
    if path.stem != "quickbooks.v1"
)
EXAMPLES = "5"  # of each operation in the fuzzing phase; coverage comes on top
SEED = "20261"
# A healthy network has nothing there: that everything is not found is no warning.
EMPTY = {"experience/operations.v1", "process/customer-sync.v1"}
HOOKS = Path(__file__).parent / "schemathesis_hooks.py"


# Some have rules that no schema knows, and say so with 422: a bank, clocks that are ahead, and
# countries that there are.
RULES_OF_ITS_OWN = """\
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]
"""
WITH_RULES = {
    "system/stripe.v1",
    "system/tryton.v1",
    "process/orders.v1",
    "process/inventory.v1",
    "process/reconciliation.v1",
    "experience/storefront.v1",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("api", APIS)
def test_no_server_error_and_no_undocumented_response(
    network: Network, api: str, tmp_path: Path
) -> None:
    if api in WITH_RULES:
        (tmp_path / "schemathesis.toml").write_text(RULES_OF_ITS_OWN)
    program = str(Path(sys.executable).parent / "schemathesis")
    done = subprocess.run(
        [
            *(program, "--no-color", "run", f"{network.url}/portal/apis/{api}/openapi.json"),
            *("-H", f"Authorization: Bearer {network.token()}"),
            *("--phases", "examples,coverage,fuzzing", "-n", EXAMPLES, "--seed", SEED),
            *(("--warnings", "off") if api in EMPTY else ()),
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS.stem, "PYTHONPATH": str(HOOKS.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    # Without data of its own schemathesis warns that it saw mostly refusals.
    assert api in WITH_RULES or "No issues found" in done.stdout
