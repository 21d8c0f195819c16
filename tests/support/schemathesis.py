"""schemathesis against one system API, on a system that is running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.config import Config
from portico.contract import load
from tests.support.sandbox import SECRET
from tests.support.serving import serving

SPECS = Path(__file__).parents[2] / "specs" / "openapi"
HOOKS = Path(__file__).parents[1] / "e2e" / "schemathesis_hooks.py"
EXAMPLES = "2"  # of each operation in the fuzzing phase; coverage comes on top
SEED = "20261"


def finds_no_issues(api: str, settings: Mapping[str, object], folder: Path) -> None:
    """Serve an API with these settings, and fail with what schemathesis finds.

    Of the settings, every one that is a secret becomes a reference to a file with SECRET.
    """
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    hidden = {
        name: f"file:{secret}" if str(value).strip("*") == "" else value
        for name, value in settings.items()
    }
    config = Config.model_validate(
        {
            "data": folder,
            "access_log": "off",
            "public_url": "https://portico.test",
            "embedded": {"tryton": False, "redis": False},
            "apis": {api: {"settings": hidden, "exposed": True}},
            "clients": {"tests": {"secret": "generated:tests", "scopes": []}},
        }
    )
    operations = load(SPECS / f"{api}.yaml").operations.values()
    scopes = sorted({scope for each in operations for scope in each.security.scopes()})
    with serving(config, only=[api]) as served:
        _run(api, served.url, served.token(*scopes), folder)


def _run(api: str, url: str, token: str, folder: Path) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            *("--no-color", "run", f"{url}/portal/apis/{api}/openapi.json"),
            *("--url", f"{url}/{api.replace('.v', '/v')}"),
            *("-H", f"Authorization: Bearer {token}"),
            *("--phases", "examples,coverage,fuzzing", "-n", EXAMPLES, "--seed", SEED),
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS.stem, "PYTHONPATH": str(HOOKS.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
