"""Eight real processes on one limit, each with four requests at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.limits.bucket import MICROSECONDS
from tests.portico.limits.model import Log, TokenBucket, most_within

if TYPE_CHECKING:
    from tests.portico.redis.servers import Server

WORKERS = 8
SECONDS = 1.3
# Half of the hosts have a clock that is ten minutes off, either way.
SHIFTS = (0, 600, 0, -600, 0, 600, 0, -600)
PROGRAM = Path(__file__).with_name("workers.py")

Told = dict[str, list[tuple[int, bool]]]


@pytest.fixture(scope="module")
def told(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return what the server told all of them, in the order in which it decided."""
    prefix = f"t{uuid.uuid4().hex[:12]}"
    command = [sys.executable, str(PROGRAM), shared_server.url, prefix, str(SECONDS)]
    out = tmp_path_factory.mktemp("workers") / "out"
    with out.open("ab") as stdout:
        subprocess.run([*command, *map(str, SHIFTS)], stdout=stdout, check=True, timeout=50)
    reports = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(reports) == WORKERS
    assert all(report[name] for report in reports for name in report)
    return {
        name: sorted((at, allowed) for report in reports for at, allowed in report[name])
        for name in reports[0]
    }


def _differences(seen: list[tuple[int, bool]], model: TokenBucket | Log) -> int:
    """Return how many decisions differ from those of one that decides alone.

    Two of the same microsecond cannot be put in order, so such a pair counts by its sum.
    """
    different = 0
    by_time: dict[int, list[bool]] = {}
    for at, allowed in seen:
        by_time.setdefault(at, []).append(allowed)
    for at, decisions in by_time.items():
        different += abs(sum(decisions) - sum(model.take(at) for _ in decisions))
    return different


def test_rl_11_eight_processes_admit_to_the_request_what_one_would(told: Told) -> None:
    seen = told["gcra"]
    model = TokenBucket(700, 3 * MICROSECONDS, 90)
    model.at = seen[0][0]
    assert _differences(seen, model) == 0
    admitted = sum(allowed for _, allowed in seen)
    lasted = seen[-1][0] - seen[0][0]
    assert admitted <= 90 + lasted * 700 / (3 * MICROSECONDS)
    assert admitted < len(seen)


def test_rl_11_eight_processes_share_a_burst_to_the_request(told: Told) -> None:
    assert sum(allowed for _, allowed in told["slow"]) == 400
    assert len(told["slow"]) > 400


def test_rl_11_eight_processes_admit_to_the_request_what_one_window_would(told: Told) -> None:
    seen = told["window"]
    assert _differences(seen, Log(150, MICROSECONDS)) == 0
    admitted = [(at, 1) for at, allowed in seen if allowed]
    assert most_within(admitted, MICROSECONDS) == 150
    assert len(admitted) > 150


def test_a_client_that_hammers_still_gets_its_share(told: Told) -> None:
    """Refused requests consume nothing: from the first refusal on, all that refills is admitted.

    Unless a busy machine lets all processes rest until the bucket is full.
    """
    seen = told["gcra"]
    first = next(index for index, (_, allowed) in enumerate(seen) if not allowed)
    hammered = seen[first:]
    longest_rest = max(later - at for (at, _), (later, _) in pairwise(hammered))
    refilled = (hammered[-1][0] - hammered[0][0]) * 700 // (3 * MICROSECONDS)
    at_rest = longest_rest * 700 // (3 * MICROSECONDS)
    admitted = sum(allowed for _, allowed in hammered)
    assert len(hammered) - admitted > 100
    # The parts of a request that are there at either end make the difference.
    assert -1 <= refilled - admitted <= 1 + at_rest


def test_clocks_of_hosts_have_no_effect(told: Told) -> None:
    """Half of the processes run with a wrong clock, and every time told is the server's."""
    times = [at for seen in told.values() for at, _ in seen]
    assert max(times) - min(times) < 60 * MICROSECONDS
