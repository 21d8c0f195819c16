"""Decisions on a real server, and without it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from portico.limits.bucket import Outage, Unit
from portico.limits.headers import LimitHeaders
from portico.limits.limit import ConcurrencyPolicy, QuotaPolicy, Strategy
from portico.limits.refusal import refusal
from portico.limits.scripts import CHARGE, CHECK
from portico.redis.errors import Reason, RedisUnavailable
from tests.portico.limits.setting import WRITE, Setting, rate
from tests.portico.redis.servers import PATIENCE_SECONDS, opened, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio

PLENTY = rate("1000/hour")
FEW = rate("3/hour", name="few", strategy=Strategy.WINDOW)
MONTH = QuotaPolicy(name="month", per_month=100)


async def test_rl_01_the_header_is_right_to_the_second_when_it_is_obeyed(setting: Setting) -> None:
    policy = rate("2/second", burst=2)
    assert await setting.count(policy, tries=3) == 2
    verdict = await setting.check(policy)
    assert verdict.retry_after_seconds == 1
    await asyncio.sleep(verdict.retry_after_seconds)
    assert (await setting.check(policy)).allowed


async def test_rl_02_remaining_counts_down_with_every_request(setting: Setting) -> None:
    demand = setting.demand(PLENTY, FEW)
    told = []
    for _ in range(3):
        verdict = await setting.engine.check(demand)
        told.append([standing.remaining for standing in verdict.standings()])
    assert told == [[999, 2], [998, 1], [997, 0]]


async def test_rl_09_a_refused_request_consumes_none_of_its_limits(setting: Setting) -> None:
    assert await setting.count(PLENTY, MONTH, FEW, tries=50) == 3
    demand = setting.demand(PLENTY, MONTH, FEW)
    refused = await setting.engine.check(demand)
    assert refused.violated() == ["few"]
    assert [standing.remaining for standing in refused.standings()] == [997, 97, 0]


async def test_rl_09_looking_consumes_nothing(setting: Setting) -> None:
    demand = setting.demand(PLENTY, FEW, MONTH)
    for _ in range(5):
        assert (await setting.engine.peek(demand)).allowed
    assert (await setting.engine.check(demand)).numbers[3] == 999


async def test_rl_10_clients_do_not_share_a_limit_and_operations_of_one_do(
    setting: Setting,
) -> None:
    assert await setting.count(FEW, tries=5, client_id="a") == 3
    assert await setting.count(FEW, tries=5, client_id="b") == 3
    assert not (await setting.check(FEW, client_id="a", operation=WRITE)).allowed


async def test_rl_11_what_can_never_be_allowed_does_not_ask_redis(setting: Setting) -> None:
    policy = rate("10/hour", unit=Unit.CONTENT_BYTES)
    verdict = await setting.check(policy, content_bytes=11)
    assert (verdict.allowed, verdict.never) == (False, True)
    assert refusal(verdict, LimitHeaders()).status == 403
    assert (await setting.check(policy, content_bytes=10)).allowed


async def test_the_cost_of_a_response_is_charged_even_where_it_is_more_than_is_left(
    setting: Setting,
) -> None:
    policy = rate("1000/hour", name="bytes", unit=Unit.CONTENT_BYTES)
    demand = setting.demand(policy)
    verdict = await setting.engine.check(demand)
    setting.engine.charge_bytes(verdict.demand, 1500)
    await setting.engine.settled()
    refused = await setting.engine.check(demand)
    assert not refused.allowed
    # One for the request, 1500 for the response, at a thousand in an hour.
    assert 1808 - 5 <= refused.retry_after_seconds <= 1808


async def test_a_cost_can_be_charged_by_name_afterwards(setting: Setting) -> None:
    demand = setting.demand(PLENTY, MONTH)
    verdict = await setting.engine.check(demand)
    setting.engine.charge(verdict.demand, {"month": 9})
    await setting.engine.settled()
    told = await setting.engine.check(demand)
    assert [standing.remaining for standing in told.standings()] == [998, 89]


async def test_one_script_of_redis_6_2_commands_serves_all(server: Server, own: Setting) -> None:
    """What newer servers have is not used: Redis itself counts what was called."""
    policies = (PLENTY, FEW, MONTH, ConcurrencyPolicy(name="at-once", at_once=2))
    (await own.check(*policies)).release()
    own.engine.charge(own.demand(PLENTY), {"default": 3})
    await own.engine.settled()
    stats = server.ask("INFO", "commandstats")
    assert isinstance(stats, dict)
    called = {name.removeprefix("cmdstat_").upper() for name in stats}
    limits = {"GET", "SET", "TIME", "LLEN", "LINDEX", "RPUSH", "DEL", "PEXPIRE", "ZCOUNT", "ZADD"}
    limits |= {"ZSCORE", "ZREM", "ZREMRANGEBYSCORE", "EVALSHA"}
    beside = {"SCRIPT|LOAD", "SCRIPT", "HELLO", "CLIENT", "PING", "INFO", "CONFIG|GET", "SELECT"}
    assert {name for name in called if not name.startswith("CLIENT")} <= limits | beside


# Redis away.


async def test_rl_12_while_redis_is_away_each_worker_grants_its_part_and_says_so(
    server: Server, own: Setting
) -> None:
    policy = rate("40/hour")
    workers = [own.another(workers=4) for _ in range(4)]
    server.kill()
    assert [await worker.count(policy, tries=30) for worker in workers] == [10] * 4
    verdict = await workers[0].check(policy)
    assert verdict.is_local
    assert (b"portico-ratelimit-scope", b"process") in LimitHeaders().fields(verdict)
    assert workers[0].engine.away
    assert workers[0].engine.statistics.local == 31
    for worker in workers:
        await worker.engine.close()


async def test_rl_12_an_outage_is_no_second_burst(server: Server, own: Setting) -> None:
    """What Redis had counted is known to the workers that asked it."""
    worker = own.another(workers=2)
    steady, hard = rate("100/hour"), rate("60/hour", name="hard", strategy=Strategy.WINDOW)
    month = QuotaPolicy(name="month", per_month=100)
    assert await worker.count(steady, tries=80) == 80
    assert await worker.count(hard, tries=60) == 60
    assert await worker.count(month, tries=96) == 96
    server.kill()
    # A fifth of the steady limit is left, of which this worker grants half.
    assert await worker.count(steady, tries=50) == 10
    assert await worker.count(hard, tries=50) == 0
    assert await worker.count(month, tries=50) == 2
    await worker.engine.close()


async def test_rl_12_a_window_stays_one_while_its_workers_count_alone(
    server: Server, own: Setting
) -> None:
    worker = own.another(workers=2)
    server.kill()
    assert await worker.count(rate("40/hour", strategy=Strategy.WINDOW), tries=50) == 20
    await worker.engine.close()


async def test_rl_12_closed_is_503_and_not_429(server: Server, own: Setting) -> None:
    policy = rate("5/minute", name="login", outage=Outage.CLOSED)
    assert (await own.check(policy)).allowed
    server.kill()
    verdict = await own.check(PLENTY, policy)
    problem = refusal(verdict, LimitHeaders())
    assert not verdict.allowed
    assert (problem.status, problem.kind.slug) == (503, "temporary-reduced-capacity")
    assert problem.extensions == {"violated-policies": ["login"]}
    assert own.engine.statistics.closed == 1


async def test_rl_12_only_the_first_requests_of_an_outage_wait_for_the_timeout(
    server: Server, own: Setting
) -> None:
    loop = asyncio.get_running_loop()
    assert (await own.check(PLENTY)).allowed
    server.signal(signal.SIGSTOP)
    try:
        began = loop.time()
        first = await asyncio.gather(*[own.check(PLENTY) for _ in range(20)])
        waited = loop.time() - began
        began = loop.time()
        later = [await own.check(PLENTY) for _ in range(200)]
        assert 0.1 < waited < 2.0
        assert loop.time() - began < 10.0  # each would wait 0.3 s
        assert all(verdict.is_local for verdict in [*first, *later])
    finally:
        server.signal(signal.SIGCONT)
    await until(lambda: not own.engine.away)
    assert not (await own.check(PLENTY)).is_local


async def test_rl_12_recovery_grants_no_fresh_burst(server: Server, own: Setting) -> None:
    """What two workers have granted alone is charged before Redis is asked again."""
    policy, month = rate("40/hour"), QuotaPolicy(name="month", per_month=40)
    workers = [own.another(workers=2) for _ in range(2)]
    server.kill()
    granted = [await worker.count(policy, month, tries=30) for worker in workers]
    assert granted == [20, 20]
    server.start()
    await until(lambda: not any(worker.engine.away for worker in workers))
    for worker in workers:
        await worker.engine.settled()
        verdict = await worker.check(policy, month)
        assert not verdict.is_local
        assert verdict.violated() == ["default", "month"]
        await worker.engine.close()


async def test_rl_12_until_what_is_owed_is_charged_nobody_asks_redis(setting: Setting) -> None:
    """It is there, but does not know yet what was granted without it."""
    failure = RedisUnavailable(Reason.TIMEOUT, "no reply", sent=True)
    assert setting.engine.failed(setting.demand(FEW), failure).is_local
    assert (await setting.check(FEW)).is_local
    async with asyncio.timeout(PATIENCE_SECONDS):
        while setting.engine.away:  # noqa: ASYNC110  # the very next moment is meant
            await asyncio.sleep(0)
    verdict = await setting.check(FEW)
    assert (verdict.is_local, verdict.numbers[3]) == (False, 0)


async def test_rl_12_a_charge_whose_answer_was_lost_is_made_once(setting: Setting) -> None:
    assert setting.client is not None
    demand = setting.demand(MONTH)
    (key,), (bucket,) = demand.keys, demand.buckets
    for identity in (b"one", b"one", b"two"):
        arguments: list[bytes | int] = [b"%b 5" % bucket.words, 0, identity]
        await setting.client.run(CHARGE, [key, key + b":" + identity], arguments)
    assert (await setting.engine.peek(demand)).numbers[3] == 90


@pytest.mark.parametrize("clients", [20, 100])
async def test_rl_12_charges_that_come_to_nothing_are_made_again(
    server: Server, own: Setting, clients: int
) -> None:
    """The server answers and does not write, in the midst of the recovery or at its end."""
    failure = RedisUnavailable(Reason.TIMEOUT, "no reply", sent=True)
    demands = [own.demand(MONTH, client_id=f"client-{number}") for number in range(clients)]
    server.ask("CLIENT", "PAUSE", 500, "WRITE")
    for demand in demands:
        assert own.engine.failed(demand, failure).is_local
    await until(lambda: own.client is not None and not own.client.available)
    await until(lambda: not own.engine.away and own.client is not None and own.client.available)
    await own.engine.settled()
    await until(lambda: not own.engine.away)
    await own.engine.settled()
    left = [(await own.engine.peek(demand)).numbers[3] for demand in demands]
    assert left == [99] * clients


async def test_rl_12_each_outage_starts_from_what_redis_told_before_it(
    server: Server, own: Setting
) -> None:
    policy = rate("40/hour", name="hard", strategy=Strategy.WINDOW)
    worker = own.another(workers=1)
    server.kill()
    assert await worker.count(policy, tries=20) == 20
    server.start()
    await until(lambda: not worker.engine.away)
    await worker.engine.settled()
    assert await worker.count(policy, tries=15) == 15
    server.kill()
    assert await worker.count(policy, tries=30) == 5
    await worker.engine.close()


async def test_rl_12_a_caller_that_was_quiet_is_not_punished_for_an_outage(
    server: Server, own: Setting
) -> None:
    server.kill()
    assert (await own.check(PLENTY, client_id="busy")).is_local
    server.start()
    await until(lambda: not own.engine.away)
    verdict = await own.check(rate("1000/hour"), client_id="quiet")
    assert verdict.numbers[3] == 999


async def test_rl_12_a_server_that_has_forgotten_everything_is_told_what_it_knew(
    server: Server, own: Setting
) -> None:
    """It is killed and comes back without its data."""
    steady = rate("100/hour")
    hard = rate("60/hour", name="hard", strategy=Strategy.WINDOW)
    month = QuotaPolicy(name="month", per_month=1000)
    assert await own.count(steady, hard, month, tries=60) == 60
    server.kill()
    assert (await own.check(steady)).is_local
    server.start()
    assert server.ask("DBSIZE") == 0
    await until(lambda: not own.engine.away)
    await own.engine.settled()
    told = await own.engine.peek(own.demand(steady, hard, month))
    assert told.violated() == ["hard"]
    left = [standing.remaining for standing in told.standings()]
    assert left == [39, 0, 940]


async def test_rl_12_a_server_that_has_forgotten_nothing_is_not_told_twice(
    server: Server, own: Setting
) -> None:
    """It only stops for a while."""
    steady = rate("100/hour")
    hard = rate("60/hour", name="hard", strategy=Strategy.WINDOW)
    month = QuotaPolicy(name="month", per_month=1000)
    assert await own.count(steady, hard, month, tries=30) == 30
    server.signal(signal.SIGSTOP)
    try:
        await own.check(PLENTY, client_id="somebody-else")
        assert own.engine.away
    finally:
        server.signal(signal.SIGCONT)
    await until(lambda: not own.engine.away)
    told = await own.engine.peek(own.demand(steady, hard, month))
    assert [standing.remaining for standing in told.standings()] == [70, 30, 970]


async def test_rl_12_what_is_granted_under_load_while_redis_comes_back_is_charged(
    server: Server, own: Setting
) -> None:
    """Requests never pause for the recovery, and none of what they cost is lost."""
    month = QuotaPolicy(name="month", per_month=1_000_000)
    granted = 0
    running = True

    async def keep_asking() -> None:
        nonlocal granted
        while running:
            verdict = await own.check(month)
            granted += verdict.allowed
            await asyncio.sleep(0)

    server.kill()
    tasks = [asyncio.create_task(keep_asking()) for _ in range(8)]
    await asyncio.sleep(0.2)
    server.start()
    await until(lambda: own.engine.statistics.local > 0 and not own.engine.away)
    await asyncio.sleep(0.2)
    running = False
    await asyncio.gather(*tasks)
    await own.engine.settled()
    told = await own.engine.peek(own.demand(month))
    assert 1_000_000 - told.standings()[0].remaining == granted


async def test_rl_12_a_key_that_something_else_has_written_is_no_500(
    shared_server: Server, setting: Setting
) -> None:
    demand = setting.demand(FEW)
    shared_server.ask("SET", demand.keys[0], "not a list")
    verdict = await setting.engine.check(demand)
    assert (verdict.allowed, verdict.is_local) == (True, True)
    assert not setting.engine.away
    assert not (await setting.check(PLENTY)).is_local


async def test_redis_away_from_the_beginning_is_an_outage_like_any_other(folder: Path) -> None:
    async with opened(f"unix://{folder}/nobody") as client, Setting(client) as setting:
        assert (await setting.check(PLENTY)).is_local


async def test_an_answer_to_another_script_is_read_and_settled_like_our_own(
    setting: Setting,
) -> None:
    """What an admission script does, that has other things to decide as well."""
    assert setting.client is not None
    demand = setting.demand(FEW)
    reply = await setting.client.run(CHECK, demand.keys, [demand.argument])
    assert isinstance(reply, list)
    assert setting.engine.read(demand, reply).allowed
    failure = RedisUnavailable(Reason.TIMEOUT, "no reply", sent=True)
    assert setting.engine.failed(demand, failure).is_local
    assert setting.engine.away


async def test_memory_is_bounded_whatever_callers_there_are(own: Setting, server: Server) -> None:
    worker = own.another(capacity=50)
    server.kill()
    for number in range(500):
        await worker.check(FEW, client_id=f"client-{number}")
    assert "50 owed" in repr(worker.engine)
    assert worker.engine.statistics.local == 500
    await worker.engine.close()


async def test_without_redis_a_process_counts_for_itself_and_that_is_no_outage() -> None:
    async with Setting(None) as alone:
        assert await alone.count(rate("40/hour"), tries=60) == 40
        verdict = await alone.check(rate("40/hour"))
        assert not verdict.is_local
        assert "0 owed" in repr(alone.engine)
