"""Processes that die, stand still and race: the effect happens at most once."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.portico.idempotency.processes import Crowd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.portico.redis.servers import Server

RECORDED = {"sending": "recorded"}
REEXECUTE = {"in_doubt": "reexecute", "reexecutable": True}
LEASE_SECONDS = 0.5
DOUBT = ["idempotency-in-doubt"]
IN_FLIGHT = "idempotency-in-flight"


@pytest.fixture(scope="module")
def crowd(shared_server: Server) -> Iterator[Crowd]:
    with tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as folder:
        crowd = Crowd(shared_server.url, os.urandom(32), Path(folder))
        yield crowd
        crowd.close()


@pytest.fixture
def key() -> str:
    return os.urandom(8).hex()


def expiry() -> None:
    time.sleep(LEASE_SECONDS + 0.05)


@pytest.mark.parametrize("policy", [RECORDED, {}], ids=["recorded", "assumed"])
def test_f08_killed_before_it_acted_frees_the_key_only_where_that_is_recorded(
    crowd: Crowd, key: str, policy: dict[str, Any]
) -> None:
    first, second = crowd.workers(2)
    first.pause(key, "claimed", policy=policy)

    first.end()
    assert second.ask(key, policy=policy) == [IN_FLIGHT]
    expiry()
    results = second.ask(key, policy=policy)

    if policy is RECORDED:
        assert results[0].startswith("executed")
        assert crowd.effects(key) == 1
    else:
        assert results == DOUBT
        assert crowd.effects(key) == 0


@pytest.mark.parametrize("at", ["dispatched", "acted"])
def test_f09_killed_after_it_may_have_acted_is_in_doubt(crowd: Crowd, key: str, at: str) -> None:
    first, second = crowd.workers(2)
    first.pause(key, at, policy=RECORDED)

    first.end()
    expiry()

    assert [second.ask(key, policy=RECORDED) for _ in range(3)] == [DOUBT] * 3
    assert crowd.effects(key) == (at == "acted")


def test_f10_killed_before_the_response_was_sent_is_replayed(crowd: Crowd, key: str) -> None:
    """F10, IDM-30: the response outlives its process."""
    first, second = crowd.workers(2)
    first.pause(key, "completed")

    first.end()

    assert second.ask(key)[0].startswith("replayed")
    assert crowd.effects(key) == 1


def test_f11_terminated_stores_what_ends_in_time_and_leaves_the_rest_in_doubt(
    crowd: Crowd, key: str
) -> None:
    first, second = crowd.workers(2)
    quick, stuck = f"quick-{key}", f"stuck-{key}"
    first.pause(quick, "acted", pause_seconds=0.1)
    first.pause(stuck, "acted")

    first.end(signal.SIGTERM)

    assert second.ask(quick)[0].startswith("replayed")
    assert second.ask(stuck) == DOUBT
    assert (crowd.effects(quick), crowd.effects(stuck)) == (1, 1)


def test_f12_a_process_that_stood_still_for_two_leases_stores_nothing(
    crowd: Crowd, key: str
) -> None:
    first, second = crowd.workers(2)
    told = first.pause(key, "acted", pause_seconds=30, policy=REEXECUTE)

    first.signal(signal.SIGSTOP)
    time.sleep(2 * LEASE_SECONDS)
    taken = second.ask(key, policy=REEXECUTE)
    first.signal(signal.SIGCONT)

    assert taken[0].startswith("executed")
    assert told.results() == DOUBT
    assert second.ask(key, policy=REEXECUTE) == [taken[0].replace("executed", "replayed")]


def test_f12_a_process_that_stood_still_runs_nobody_twice_without_leave(
    crowd: Crowd, key: str
) -> None:
    first, second = crowd.workers(2)
    told = first.pause(key, "acted", pause_seconds=30)

    first.signal(signal.SIGSTOP)
    time.sleep(2 * LEASE_SECONDS)
    found = second.ask(key)
    first.signal(signal.SIGCONT)

    assert found == told.results() == second.ask(key) == DOUBT
    assert crowd.effects(key) == 1


def test_f12_a_process_that_stood_still_before_it_acted_does_not_act(
    crowd: Crowd, key: str
) -> None:
    first, second = crowd.workers(2)
    told = first.pause(key, "claimed", pause_seconds=30, policy=RECORDED)

    first.signal(signal.SIGSTOP)
    time.sleep(2 * LEASE_SECONDS)
    found = second.ask(key, policy=RECORDED)
    first.signal(signal.SIGCONT)

    assert found[0].startswith("executed")
    assert told.results() == DOUBT
    assert crowd.effects(key) == 1


def test_f16_of_three_processes_one_takes_over(crowd: Crowd, key: str) -> None:
    first, *takers = crowd.workers(4)
    first.pause(key, "dispatched", policy=REEXECUTE)
    first.end()
    expiry()

    told = [taker.tell(key, policy=REEXECUTE, seconds=0.2) for taker in takers]
    results = sorted(one.results()[0] for one in told)

    assert results[0].startswith("executed")
    assert results[1:] == [IN_FLIGHT] * 2
    assert crowd.effects(key) == 1


def test_idm_19_a_hundred_at_once_on_two_processes_are_one_execution_every_time(
    crowd: Crowd, key: str
) -> None:
    processes = crowd.workers(2)
    keys = [f"{key}-{number}" for number in range(50)]
    for one in keys:
        told = [process.tell(one, count=50) for process in processes]
        results = [result for part in told for result in part.results()]

        executed = [result for result in results if result.startswith("executed")]
        assert len(results) == 100
        assert len(executed) == 1
        replay = executed[0].replace("executed", "replayed")
        assert set(results) <= {executed[0], replay, IN_FLIGHT}
        assert processes[1].ask(one) == [replay]

    assert [crowd.effects(one) for one in keys] == [1] * 50


def test_idm_19_all_who_wait_on_two_processes_get_the_one_result(crowd: Crowd, key: str) -> None:
    told = [process.tell(key, count=50, wait=5, seconds=0.2) for process in crowd.workers(2)]

    results = [result for one in told for result in one.results()]

    assert len(set(results)) == 2
    assert sum(result.startswith("executed") for result in results) == 1
    assert crowd.effects(key) == 1
