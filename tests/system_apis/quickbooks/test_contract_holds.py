"""schemathesis, which knows nothing of us, finds the contract kept on a sandbox without limits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.config import Config
from portico.sandbox.running import run_sandboxes
from system_apis.quickbooks.sandbox.kind import QuickBooksKind
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.support.serving import PUBLIC_URL, serving
from tests.system_apis.quickbooks.conftest import UNLIMITED

API = "system/quickbooks.v1"
# QuickBooks has rules that no schema knows, and says so with 422.
CONFIG = """\
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 413, 414, 415, 422, 429, 431]
"""
SEED = "20261"


@contextmanager
def sandbox_without_limits() -> Iterator[str]:
    """Run the sandbox on a thread until the end of the block and yield its URL."""
    found: list[str] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with run_sandboxes({"quickbooks": QuickBooksKind()}, lambda name: name) as running:
            sandbox = running["quickbooks"].sandbox
            assert isinstance(sandbox, QuickBooksSandbox)
            sandbox.requests_per_second = UNLIMITED
            sandbox.requests_per_minute = UNLIMITED * 60
            found.append(running["quickbooks"].url)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        ready.wait(20)
        yield found[0]
    finally:
        done.set()
        thread.join(20)


def config_for(url: str, folder: Path) -> Config:
    settings = dict(QuickBooksKind().settings(url))
    for name in ("client_secret", "refresh_token"):
        file = folder / name
        file.write_text(str(settings[name]).removeprefix("generated:"))
        settings[name] = f"file:{file}"
    settings.update(requests_per_second=UNLIMITED, requests_per_minute=UNLIMITED * 10)
    return Config.model_validate(
        {
            "data": folder,
            "access_log": "off",
            "public_url": PUBLIC_URL,
            "embedded": {"tryton": False, "redis": False, "sandboxes": False},
            "apis": {API: {"settings": settings}},
        }
    )


@pytest.mark.timeout(180)
def test_no_server_error_and_no_undocumented_response(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    program = str(Path(sys.executable).parent / "schemathesis")
    with (
        sandbox_without_limits() as url,
        serving(config_for(url, tmp_path), only=[API]) as served,
    ):
        token = served.token("quickbooks:read", "quickbooks:write")
        done = subprocess.run(
            [
                *(program, "--no-color", "run", f"{served.url}/portal/apis/{API}/openapi.json"),
                *("--url", f"{served.url}/system/quickbooks/v1"),
                *("-H", f"Authorization: Bearer {token}"),
                *("--phases", "examples,coverage,fuzzing", "-n", "4", "--seed", SEED),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=160,
        )

    assert done.returncode == 0, done.stdout + done.stderr
