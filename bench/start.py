"""How long `portico serve` takes to be ready with all contracts, and how much memory it has."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.serving import resident_mib

ROUNDS = 3
_CONFIG = """\
access_log: 'off'
embedded: {tryton: false}
apis:
  system/tryton.v1:
    settings: {base_url: 'http://127.0.0.1:9/erp', key: 'generated:unused'}
"""


def measure() -> dict[str, dict[str, float | str]]:
    """Return start.seconds and start.mib, medians of three starts; the ERP is not among them."""
    starts = [_start() for _ in range(ROUNDS)]
    seconds = statistics.median(one[0] for one in starts)
    mebibytes = statistics.median(one[1] for one in starts)
    return {
        "start.seconds": {"value": round(seconds, 2), "unit": "s"},
        "start.mib": {"value": round(mebibytes, 1), "unit": "MiB"},
    }


def _start() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "portico.yaml").write_text(_CONFIG)
        begin = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "serve", "--port", "0"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "PORT"},
        ) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                took = time.perf_counter() - begin
                if "ready" not in line:
                    raise RuntimeError(f"the gateway did not start: {line}")
                return took, resident_mib(process.pid)
            finally:
                process.terminate()
                process.wait(timeout=15)
