"""Server CPU per request: on-CPU time of the whole process, divided by the requests answered."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import order
from bench.load import KEY
from bench.servers import token

SECONDS = 3.0
ROUNDS = 3
CONNECTIONS = 32
_READY_SECONDS = 30.0


# What is served, beside bare uvicorn: each adds a stage, the last has all of them.
GATEWAYS = (
    "in-process",
    "in-process-limited",
    "in-process-keyed",
    "in-process-limited-keyed",
    "proxied",
    "proxied-limited-keyed",
)


def measure() -> dict[str, dict[str, float | str]]:
    """Return the CPU of a request through each gateway, with bare uvicorn beside, and the tail."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.json"
        return _measure(keys, token(keys))


def _measure(keys: Path, bearer: str) -> dict[str, dict[str, float | str]]:
    requests = {name: post(bearer, keyed="keyed" in name) for name in GATEWAYS}
    requests["bare"] = get()
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ("bare", *GATEWAYS)}
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(server("upstream", keys, core=1))
        url = f"http://127.0.0.1:{upstream[1]}"
        servers = {name: stack.enter_context(server(name, keys, url)) for name in rounds}
        for name, (_, port) in servers.items():  # warm
            load(port, requests[name], 1.0)
        for _ in range(ROUNDS):
            for name, (pid, port) in servers.items():
                rounds[name].append(_round(pid, port, requests[name]))
    cpu = {name: statistics.median(one["cpu_us"] for one in all_) for name, all_ in rounds.items()}
    p99 = statistics.median(one["p99_ms"] for one in rounds["in-process"])
    results: dict[str, dict[str, float | str]] = {
        f"gateway.{name.replace('-', '_')}": {
            "cpu_us": round(cpu[name], 1),
            "share_of_bare_uvicorn": round(cpu["bare"] / cpu[name], 3),
        }
        for name in GATEWAYS
    }
    results["gateway.p99_ms"] = {"value": round(p99, 2), "unit": "ms"}
    results["bare_uvicorn"] = {"cpu_us": round(cpu["bare"], 1), "share_of_bare_uvicorn": 1.0}
    return results


def _round(pid: int, port: int, request: bytes) -> dict[str, float]:
    before = _on_cpu(pid)
    result = load(port, request, SECONDS)
    spent = _on_cpu(pid) - before
    if result["failures"]:
        raise RuntimeError(f"{result['failures']} of {result['requests']} requests failed")
    return {**result, "cpu_us": spent / 1000 / result["requests"]}


def _on_cpu(pid: int) -> int:
    """Return the nanoseconds all threads of a process have run."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


def _pinned(core: int) -> list[str]:
    if shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        return []
    return ["taskset", "-c", str(core)]


def load(port: int, request: bytes, seconds: float) -> dict[str, Any]:
    """Send a request over and over on many connections; return what the generator counted."""
    words = [sys.executable, "-m", "bench.load", "127.0.0.1", str(port)]
    done = subprocess.run(
        [*_pinned(1), *words, str(CONNECTIONS), str(seconds)],
        input=request,
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + 30,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@contextlib.contextmanager
def server(name: str, keys: Path, upstream: str = "", core: int = 0) -> Iterator[tuple[int, int]]:
    """Run one of the programs of bench.servers; yield its process and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "bench.servers", name, str(port), upstream]
    with subprocess.Popen(
        [*_pinned(core), *words],
        env={**os.environ, "BENCH_KEYS": str(keys)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            _wait(process, port)
            yield process.pid, port
        finally:
            process.terminate()
            process.wait(timeout=15)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + _READY_SECONDS
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise RuntimeError(process.stderr.read().decode() if process.stderr else "it ended")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answered on port {port}")


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    row = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(row.split()[1]) / 1024


def get() -> bytes:
    return b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


def post(bearer: str, *, keyed: bool = False) -> bytes:
    """Return the raw request that places the order, with a key that the load makes new."""
    fields = {
        "host": "127.0.0.1",
        "authorization": f"Bearer {bearer}",
        "content-length": str(len(order.BODY)),
        **order.HEADERS,
    }
    if keyed:
        fields["idempotency-key"] = KEY.decode()
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /process/bench/v1{order.TARGET} HTTP/1.1\r\n{head}\r\n".encode() + order.BODY
