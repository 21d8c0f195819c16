"""Minutes of mixed load on the gateway: no server error, and memory that does not grow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import order
from bench.servers import token
from bench.serving import load, post, resident_mib, server

SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
# Arenas that fill up and caches that reach their bounds; a leak of 100 bytes a request is far more.
ALLOWED_GROWTH_MIB = 8.0


@pytest.mark.timeout(SECONDS * 4 + 60)
def test_memory_is_flat_and_every_answer_right_under_load(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    bearer = token(keys)
    good = post(bearer)
    wrong = good.replace(order.BODY, order.BODY.replace(b'"EUR"', b'"XXX"'))
    stranger = good.replace(b"authorization: Bearer ", b"x-nothing: ")

    with server("in-process", keys) as (pid, port):
        load(port, good, SECONDS / 5)
        before = resident_mib(pid)
        served = load(port, good, SECONDS / 2)
        refused = [load(port, request, SECONDS / 10) for request in (wrong, stranger)]
        again = load(port, good, SECONDS / 5)
        after = resident_mib(pid)

    assert served["failures"] == again["failures"] == 0
    assert all(one["failures"] == one["requests"] for one in refused)
    assert after - before < ALLOWED_GROWTH_MIB
