"""Minutes of retried writes on two workers while their Redis is killed again and again."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bench.serving import resident_mib
from tests.gateway.cli.test_serve import ready, start, stopping
from tests.gateway.cli.test_workers import children
from tests.support.bank import Bank, serving

SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
# A minute in the long run; in a short one often enough to happen.
RESTART_SECONDS = max(3.0, SECONDS / 10)
CLIENTS = 8
ATTEMPTS = 4
ALLOWED_GROWTH_MIB = 24.0
CONTRACT = """
openapi: 3.1.1
info: {title: Payments, version: 1.0.0}
paths:
  /payments:
    post:
      operationId: pay
      security: []
      parameters:
        - {name: Idempotency-Key, in: header, required: true, schema: {type: string}}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses:
        '201': {description: Paid., content: {application/json: {schema: {type: object}}}}
        default: {description: Not., content: {application/problem+json: {schema: {type: object}}}}
  /status:
    get:
      operationId: find
      security: []
      parameters:
        - {name: idempotencyKey, in: query, required: true, schema: {type: string}}
      responses:
        default: {description: It., content: {application/json: {schema: {type: object}}}}
"""
SETTINGS = """
listen: {port: 0}
access_log: 'off'
embedded: {tryton: false}
contracts: contracts
rate_limits:
  plans: {standard: {requests: {limits: 100000/second}, at-once: {at_once: 1000}}}
external:
  pay: {contract: pay.yaml, base_path: /pay, urls: [URL], unsecured: anonymous}
"""


@dataclass(slots=True)
class Told:
    """What the clients were told."""

    statuses: Counter[int] = field(default_factory=Counter)
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, key: str, response: httpx.Response) -> None:
        with self.lock:
            self.statuses[response.status_code] += 1
            if response.status_code == 201:
                self.bodies.setdefault(key, set()).add(response.content)


@pytest.mark.timeout(SECONDS * 2 + 120)
def test_no_write_happens_twice_and_nothing_is_a_server_error(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "pay.yaml").write_text(CONTRACT)
    with serving() as bank:
        config = tmp_path / "portico.yaml"
        config.write_text(SETTINGS.replace("URL", bank.url))
        process = start(config, "--workers", "2")
        with stopping(process):
            url = ready(process)
            told = Told()
            _load(url, told, 2.0)
            before = {pid: resident_mib(pid) for pid in children(process.pid)}
            killing = _killing(tmp_path / "data" / "redis")
            _load(url, told, SECONDS)
            killing.set()
            after = {pid: resident_mib(pid) for pid in children(process.pid)}

        _check(told, bank)
        assert before.keys() == after.keys()
        assert all(after[pid] - before[pid] < ALLOWED_GROWTH_MIB for pid in before)


def _check(told: Told, bank: Bank) -> None:
    assert told.statuses[201] > 50
    assert set(told.statuses) <= {200, 201, 404, 409, 503}, told.statuses
    assert all(count == 1 for count in bank.paid.values())
    # Whoever was answered, first or by a replay, was told the same.
    assert all(len(bodies) == 1 for bodies in told.bodies.values())


def _load(url: str, told: Told, seconds: float) -> None:
    until = time.monotonic() + seconds

    def client(number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(timeout=20) as http:
            while time.monotonic() < until:
                key = f"key-{number}-{chance.getrandbits(64):016x}"
                for _ in range(ATTEMPTS):
                    headers = {"Idempotency-Key": key}
                    told.note(key, http.post(f"{url}/pay/payments", json={}, headers=headers))
                query = {"idempotencyKey": key}
                told.note("", http.get(f"{url}/pay/status", params=query))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))


def _killing(folder: Path) -> threading.Event:
    """Kill the embedded Redis again and again until the event is set."""
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(RESTART_SECONDS):
            for path in folder.glob("**/*.pid"):
                os.kill(int(path.read_text()), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    return stop
