"""A gateway in a process of its own, that can be killed, and measured."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import httpx
import yaml

from tests.process_apis.reconciliation.conftest import ALWAYS, BASE, POLL_SECONDS
from tests.support.serving import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.process_apis.reconciliation.counterpart import Counterpart

START_SECONDS = 60.0
CALLEES = (
    "process/order-to-cash.v1",
    "system/stripe.v1",
    "system/quickbooks.v1",
    "system/salesforce.v1",
    "system/tryton.v1",
)


def alone(folder: Path, counterpart: Counterpart, **own: Any) -> dict[str, Any]:
    """Return the configuration of reconciliation.v1 whose systems are elsewhere."""
    settings = {"schedule": "", "settling_seconds": 0, "retry_seconds": 0.5, **own}
    return {
        "data": folder / "data",
        "access_log": "off",
        "embedded": {"tryton": False, "redis": False, "sandboxes": False},
        "apis": {
            "process/reconciliation.v1": {"settings": settings},
            **{name: {"url": counterpart.url} for name in CALLEES},
        },
        "clients": {
            "tests": {
                "secret": "generated:tests",
                "scopes": ["reconciliation:read", "reconciliation:write"],
            }
        },
        "rate_limits": {},
        "workflows": {"lease_seconds": 3.0},
    }


@dataclass(slots=True)
class GatewayProcess:
    """`portico serve` with reconciliation.v1 alone."""

    folder: Path
    config: dict[str, Any]
    port: int = field(default_factory=free_port)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30.0))
    _process: subprocess.Popen[bytes] | None = None
    _token: str = ""

    def __enter__(self) -> Self:
        config = {**self.config, "data": str(self.config["data"])}
        (self.folder / "portico.yaml").write_text(yaml.safe_dump(config))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.http.close()

    def start(self) -> None:
        words = ["serve", "--config", "portico.yaml", "--port", str(self.port)]
        only = ["--only", "process/reconciliation"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *words, *only],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.folder,
            )
        assert eventually(self._is_ready, START_SECONDS, every=POLL_SECONDS), (
            self.folder / "log"
        ).read_text()[-2000:]
        secret = (self.folder / "data" / "secrets" / "tests").read_text().strip()
        answer = self.http.post(
            f"{self.url}/oauth2/token",
            auth=("tests", secret),
            data={"grant_type": "client_credentials"},
        )
        self._token = answer.json()["access_token"]

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with contextlib.suppress(httpx.HTTPError):
            return self.http.get(f"{self.url}/readyz").status_code == 200
        return False

    def kill(self) -> None:
        """End it as a loss of power would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def resident_bytes(self) -> int:
        """Return how much memory the process has, as Linux tells it."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}", "idempotency-key": str(uuid4())}
        given = options.pop("headers", {})
        answer = self.http.request(
            method, f"{self.url}{BASE}{path}", headers={**headers, **given}, **options
        )
        assert answer.is_success, answer.text
        return answer

    def start_run(self, subject: str = "invoices") -> str:
        body = {"subjects": [subject], "period": ALWAYS}
        return str(self.ask("POST", "/runs", json=body).json()["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/runs/{run_id}").json()
        return found

    def read(self, run_id: str) -> int:
        """Return how many pages a run has read so far."""
        progress = self.run(run_id)["progress"]
        return sum(part["pages"] for part in progress if part["work"].startswith("read"))

    def done(self, run_id: str, seconds: float = 60.0) -> dict[str, Any]:
        ends = {"done", "failed"}
        assert eventually(lambda: self.run(run_id)["phase"] in ends, seconds, every=POLL_SECONDS), (
            self.run(run_id)
        )
        run = self.run(run_id)
        assert run["phase"] == "done", run
        return run


def killed_at(folder: Path, counterpart: Counterpart, pages: Sequence[int]) -> None:
    """Kill the process of a run when it has read so many pages, each time, and see it to its end.

    The report is that of an undisturbed run, and no page is read again but the one that was under
    way.
    """
    counterpart.page_seconds = 0.05
    with GatewayProcess(folder, alone(folder, counterpart)) as gateway:
        run_id = gateway.start_run()
        for count in pages:
            assert eventually(lambda count=count: gateway.read(run_id) >= count, START_SECONDS)
            gateway.kill()
            gateway.start()
        gateway.done(run_id)
        disturbed = gateway.ask("GET", f"/runs/{run_id}/report").json()
        asked = Counter(counterpart.asked)
        counterpart.page_seconds = 0.0
        second = gateway.start_run()
        gateway.done(second)
        undisturbed = gateway.ask("GET", f"/runs/{second}/report").json()

    assert disturbed["items"] == undisturbed["items"]
    assert Counter(found["kind"] for found in disturbed["items"]) == counterpart.expected
    assert sum(times - 1 for times in asked.values()) <= len(pages)
    in_books = -(-counterpart.total("quickbooks") // 100)
    assert len(asked) == counterpart.total("stripe") // 100 + in_books
