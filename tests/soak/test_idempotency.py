"""Minutes of retries against a store that is killed again and again: nothing happens twice."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from bench.serving import resident_mib
from tests.portico.idempotency.processes import Crowd
from tests.portico.redis.servers import Server, programs

SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
# As often as a write can be lost: what was answered is on disk.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
RESTART_SECONDS = 3.0
ATTEMPTS = 6
KNOWN = {"idempotency-in-flight", "idempotency-in-doubt", "idempotency-store-unavailable"}
ALLOWED_GROWTH_MIB = 24.0


@pytest.mark.parametrize("program", programs().items(), ids=lambda item: item[0])
@pytest.mark.timeout(SECONDS * 2 + 120)
def test_no_key_has_two_effects_while_the_store_dies_again_and_again(
    program: tuple[str, Path | None],
) -> None:
    name, path = program
    if path is None:
        pytest.skip(f"needs {name}: no such program here")
    with tempfile.TemporaryDirectory(prefix="portico-") as folder:
        server = Server(path, Path(folder) / "redis", *DURABLE)
        with server:
            crowd = Crowd(server.url, os.urandom(32), Path(folder))
            try:
                _soak(crowd, server)
            finally:
                crowd.close()


def _soak(crowd: Crowd, server: Server) -> None:
    workers = crowd.workers(2)
    _round(crowd, "warm")
    before = [resident_mib(worker.pid) for worker in workers]
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + SECONDS
    restart_at = time.monotonic() + RESTART_SECONDS
    for number in itertools.count():
        if time.monotonic() > until:
            break
        if time.monotonic() > restart_at:
            server.kill()
            outcomes.update(_round(crowd, f"down-{number}"))
            server.start()
            restart_at = time.monotonic() + RESTART_SECONDS
        outcomes.update(_round(crowd, f"round-{number}"))

    assert outcomes["executed"] > 10, outcomes
    assert all(effects <= 1 for effects in crowd.all_effects().values())
    after = [resident_mib(worker.pid) for worker in workers]
    assert all(b - a < ALLOWED_GROWTH_MIB for a, b in zip(before, after, strict=True))


def _round(crowd: Crowd, prefix: str) -> Counter[str]:
    """Let both workers try the same new keys many times; check what each key led to."""
    workers = crowd.workers(2)
    keys = [f"{prefix}-{number}" for number in range(8)]
    seconds = random.choice([0, 0.01, 0.05])
    told = {
        key: [worker.tell(key, count=ATTEMPTS, seconds=seconds) for worker in workers]
        for key in keys
    }
    outcomes: Counter[str] = Counter()
    for key, commands in told.items():
        results = [result for command in commands for result in command.results()]
        responses = {result.split()[1] for result in results if " " in result}
        assert len(responses) <= 1, (key, results)
        words = [result.split()[0] for result in results]
        assert set(words) - KNOWN <= {"executed", "replayed"}, (key, results)
        outcomes.update(words)
    return outcomes
