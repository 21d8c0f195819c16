"""`portico serve --workers`: several processes that are one gateway."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.gateway.cli.test_serve import ready, start, stopping
from tests.support.serving import CONTRACTS, eventually

WORKERS = 3
SETTINGS = f"""
listen: {{port: 0}}
contracts: {CONTRACTS}
access_log: 'off'
embedded: {{tryton: false}}
clients:
  shop: {{secret: 'generated:shop', scopes: ['kiosk:use']}}
apis:
  process/absent.v1: {{url: 'http://127.0.0.1:9'}}
rate_limits:
  plans:
    standard:
      choices: {{limits: 60/hour, operations: [experience/kiosk.v1/choose]}}
"""


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, Path]]:
    """Run three workers; yield their address, the supervisor's process and the data folder."""
    folder = tmp_path_factory.mktemp("workers")
    config = folder / "portico.yaml"
    config.write_text(SETTINGS)
    process = start(config, "--workers", str(WORKERS))
    with stopping(process):
        yield ready(process), process.pid, folder / "data"


def children(pid: int) -> set[int]:
    """Return the workers of a supervisor."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found if is_worker(int(child))}


def is_worker(pid: int) -> bool:
    try:
        return b"--worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def token(url: str, data: Path) -> str:
    secret = (data / "secrets" / "shop").read_text().strip()
    answer = httpx.post(
        f"{url}/oauth2/token", auth=("shop", secret), data={"grant_type": "client_credentials"}
    )
    found: str = answer.json()["access_token"]
    return found


@pytest.mark.parametrize(
    ("path", "amount", "asked"),
    [("choices/a", 60, 150), ("scarce", 3, 30)],
    ids=["a limit of the plan", "a limit of a handler"],
)
def test_together_they_admit_what_one_would(
    supervisor: tuple[str, int, Path], path: str, amount: int, asked: int
) -> None:
    url, pid, data = supervisor
    headers = {"Authorization": f"Bearer {token(url, data)}"}

    def ask(_: int) -> int:
        # A connection each, so that all workers get some.
        with httpx.Client() as http:
            address = f"{url}/experience/kiosk/v1/{path}"
            return http.get(address, headers=headers, timeout=20).status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(ask, range(asked)))

    assert len(children(pid)) == WORKERS
    assert (statuses.count(200), statuses.count(429)) == (amount, asked - amount)


def test_a_write_runs_once_whichever_worker_it_meets(supervisor: tuple[str, int, Path]) -> None:
    url, _, data = supervisor
    headers = {"Authorization": f"Bearer {token(url, data)}", "Idempotency-Key": "one"}

    def write(_: int) -> httpx.Response:
        with httpx.Client() as http:
            path = f"{url}/experience/kiosk/v1/notes"
            return http.post(path, headers=headers, json={"text": "a"}, timeout=20)

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(write, range(48)))

    written = [response for response in found if response.status_code == 201]
    first = [response for response in written if "idempotent-replayed" not in response.headers]
    assert len(first) == 1
    assert {response.status_code for response in found} <= {201, 409}


def test_a_worker_that_is_killed_is_replaced(supervisor: tuple[str, int, Path]) -> None:
    url, pid, _ = supervisor
    before = children(pid)
    victim = min(before)

    os.kill(victim, signal.SIGKILL)

    assert eventually(lambda: len(children(pid) - {victim}) == WORKERS, seconds=15)
    answers = [httpx.get(f"{url}/experience/kiosk/v1/public").status_code for _ in range(20)]
    assert set(answers) == {200}


@pytest.mark.timeout(120)
def test_workers_do_not_outlive_their_supervisor(tmp_path: Path) -> None:
    config = tmp_path / "portico.yaml"
    config.write_text(SETTINGS)
    process = start(config, "--workers", "2")
    ready(process)
    workers = children(process.pid)

    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)

    assert len(workers) == 2
    assert eventually(lambda: not any(map(is_worker, workers)), seconds=15)


@pytest.mark.timeout(120)
def test_a_signal_lets_all_of_them_drain(tmp_path: Path) -> None:
    config = tmp_path / "portico.yaml"
    config.write_text(SETTINGS)
    process = start(config, "--workers", "2", stderr=subprocess.DEVNULL)
    with stopping(process):
        ready(process)
        workers = children(process.pid)

    assert process.returncode == 0
    assert not any(map(is_worker, workers))
