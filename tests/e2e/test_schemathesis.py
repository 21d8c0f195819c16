"""schemathesis over every style of parameter: what the real contracts do not use is tried too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import KIOSK, SHELF, Served, network_config, serving

# Left out is what a test asks to go wrong, and paths that hold lists of any text.
OPERATIONS = {
    SHELF: ["listThings", "createThing", "echo"],
    KIOSK: ["getPublic", "getMixed", "choose", "addNote"],
}
# Refusals of the connection layer, which a contract does not declare one by one.
CONFIG = """\
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 413, 414, 415, 422, 429, 431]
"""
SEED = "20261"


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = network_config(tmp_path_factory.mktemp("exposed"), apis={SHELF: {"exposed": True}})
    with serving(config) as served:
        yield served


@pytest.mark.timeout(120)
@pytest.mark.parametrize("api", OPERATIONS)
def test_no_server_error_and_no_undocumented_response(
    exposed: Served, api: str, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    program = str(Path(sys.executable).parent / "schemathesis")
    base_path = "/" + api.replace(".v", "/v")
    chosen = [word for name in OPERATIONS[api] for word in ("--include-operation-id", name)]

    done = subprocess.run(
        [
            *(program, "--no-color", "run", f"{exposed.url}/portal/apis/{api}/openapi.json"),
            *("--url", exposed.url + base_path, *chosen),
            *("-H", f"Authorization: Bearer {exposed.token()}"),
            *("--phases", "examples,coverage,fuzzing", "-n", "10", "--seed", SEED),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
