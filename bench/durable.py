"""What outlasts a request: intake, workflows, parked workflows, several processes, webhooks.

PostgreSQL is measured where its programs are: the one that Debian installs, or that is on PATH.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.durable_worker import SECRET
from tests.support import postgres

INTAKE_PER_SECOND = 60
INTAKE_SECONDS = 8
WORKFLOWS = 800
PARKED = 2000
DELIVERIES = 800
_CPU_SECONDS = 10.0
# Processes that start together are ready within this time.
_START_SECONDS = 6.0
# A sender is awake this long before it sends.
_AWAKE_SECONDS = 0.002
_TICKS = 100  # of /proc, on every Linux

Row = dict[str, float | str]


def measure() -> dict[str, Row]:
    """Return the durable.* values."""
    with tempfile.TemporaryDirectory(prefix="portico-") as folder:
        results = {**_intake(_sqlite(folder, "intake")), **_parked(_sqlite(folder, "parked"))}
        results.update(_per_second("workflows", *_rate(_sqlite(folder, "steps"), 1)))
        results.update(_per_second("webhooks_out", *_deliveries(_sqlite(folder, "deliveries"))))
    binaries = postgres.programs()
    return {**results, **(_several(binaries) if binaries else {})}


def _per_second(name: str, rate: float, cpu_us: float) -> dict[str, Row]:
    """Return a rate, and the CPU of one: what a busy machine cannot spoil."""
    return {
        f"durable.{name}": {"value": round(rate, 1), "unit": "/s"},
        f"durable.{name}_each": {"cpu_us": round(cpu_us)},
    }


def _sqlite(folder: str, name: str) -> str:
    return f"sqlite:///{folder}/{name}.sqlite"


@contextlib.contextmanager
def _worker(*words: object) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.durable_worker", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("a process of the measurement ended before it was done")
    found: dict[str, Any] = json.loads(line)
    return found


def _intake(database: str) -> dict[str, Row]:
    """Send signed deliveries at a steady rate, one after the other, and time the answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with _worker("door", database, port) as process:
        _told(process)
        spent = _cpu_seconds(process.pid)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for number in range(INTAKE_PER_SECOND):  # warm
            _send(connection, *_signed(f"warm-{number}"))
        begin, taken = time.perf_counter(), []
        for number in range(INTAKE_PER_SECOND * INTAKE_SECONDS):
            due = begin + number / INTAKE_PER_SECOND
            delivery = _signed(f"evt-{number}")
            time.sleep(max(0.0, due - time.perf_counter() - _AWAKE_SECONDS))
            while time.perf_counter() < due:
                pass  # a timer that wakes the sender late is not the door's
            # From when it was due: a late answer makes the next one late too.
            _send(connection, *delivery)
            taken.append((time.perf_counter() - due) * 1000)
        connection.close()
        cpu = (_cpu_seconds(process.pid) - spent) / (len(taken) + INTAKE_PER_SECOND)
    taken.sort()
    return {
        "durable.intake_each": {"cpu_us": round(cpu * 1e6)},
        "durable.intake_p50_ms": {"value": round(taken[len(taken) // 2], 2), "unit": "ms"},
        "durable.intake_p99_ms": {"value": round(taken[int(len(taken) * 0.99)], 2), "unit": "ms"},
    }


def _signed(name: str) -> tuple[bytes, dict[str, str]]:
    """Return a delivery as Stripe sends it: its body and header fields."""
    body = json.dumps({"id": name, "type": "customer.subscription.created", "x": "y" * 2000})
    at = int(time.time())
    signed = hmac.new(SECRET.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    headers = {"stripe-signature": f"t={at},v1={signed}", "content-type": "application/json"}
    return body.encode(), headers


def _send(connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]) -> None:
    connection.request("POST", "/webhooks/stripe", body, headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"the door answered {answer.status}")


def _parked(database: str) -> dict[str, Row]:
    """Park workflows, look at what they cost, kill the process, and let another take them up."""
    with _worker("park", database, PARKED, PARKED) as process:
        _told(process)
        _told(process)
        time.sleep(2.0)
        before = _cpu_seconds(process.pid)
        time.sleep(_CPU_SECONDS)
        share = (_cpu_seconds(process.pid) - before) / _CPU_SECONDS * 100
        process.send_signal(signal.SIGKILL)
        process.wait()
    with _worker("park", database, PARKED, 0) as process:
        _told(process)
        begin = time.perf_counter()
        _told(process)
        took = time.perf_counter() - begin
    return {
        "durable.parked_2000_cpu": {"value": round(share, 1), "unit": "%"},
        "durable.parked_2000_recovered": {"value": round(took, 1), "unit": "s"},
    }


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return float(int(fields[11]) + int(fields[12])) / _TICKS


def _rate(database: str, processes: int) -> tuple[float, float]:
    """Return workflows of three steps a second over processes that begin together, and their CPU.

    The CPU is that of one workflow in microseconds.
    """
    at = time.time() + _START_SECONDS
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(_worker("steps", database, WORKFLOWS, at)) for _ in range(processes)
        ]
        told = [_told(worker) for worker in workers]
    seconds = max(one["end"] for one in told) - min(one["begin"] for one in told)
    count = WORKFLOWS * processes
    return count / seconds, sum(one["cpu_seconds"] for one in told) / count * 1e6


def _several(binaries: Path) -> dict[str, Row]:
    server = postgres.Postgres(binaries)
    try:
        server.start()
        one, two = (_rate(server.new_database(), processes)[0] for processes in (1, 2))
    finally:
        server.close()
    return {
        "durable.postgresql": {"value": round(one, 1), "unit": "/s"},
        "durable.postgresql_2": {"value": round(two, 1), "unit": "/s"},
        "durable.postgresql_scaling": {"value": round(two / one, 2), "unit": "x"},
    }


def _deliveries(database: str) -> tuple[float, float]:
    """Return webhooks that arrive a second, and the CPU of one in microseconds."""
    with _worker("receive", "") as receiver:
        port = _told(receiver)["port"]
        url = f"http://127.0.0.1:{port}/hook"
        with _worker("deliver", database, DELIVERIES, url) as sender:
            told = _told(sender)
        if receiver.stdin:
            receiver.stdin.close()
        received = _told(receiver)["received"]
    if received != DELIVERIES:
        raise RuntimeError(f"{received} of {DELIVERIES} webhooks arrived")
    return DELIVERIES / told["seconds"], told["cpu_seconds"] / DELIVERIES * 1e6
