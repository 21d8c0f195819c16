"""slowapi's limiter as authors of APIs use it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from limits import parse
from limits.aio.strategies import FixedWindowRateLimiter, RateLimiter
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from portico.client.tiers import TierClient
from portico.deadline import Deadline
from portico.limits.aio import GCRARateLimiter, PorticoStorage, WindowRateLimiter
from portico.limits.async_limiter import AsyncLimiter
from portico.limits.bucket import LimitError
from portico.limits.demand import KeySpace
from portico.limits.process import ProcessStorage
from portico.problems import Problem
from portico.server.bind import bind
from portico.server.call import Call, Caller, Reply
from portico.trace import Trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.portico.limits.setting import Setting
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio


def call_of(client_id: str = "partner") -> Call[None]:
    return Call(
        operation_id="readOrders",
        caller=Caller(subject="somebody", client_id=client_id),
        deadline=Deadline.after(5),
        trace=Trace.start(),
        request_id="r",
        tiers=TierClient("process/orders.v1", {}),
        resources=None,
    )


async def test_a_handler_is_limited_by_the_client_of_its_call() -> None:
    limiter = AsyncLimiter()

    @limiter.limit("2/minute")
    async def read_orders(call: Call[None], *, page: int = 1) -> dict[str, int]:
        del call
        return {"page": page}

    assert [await read_orders(call_of(), page=page) for page in (1, 2)] == [
        {"page": 1},
        {"page": 2},
    ]
    with pytest.raises(Problem) as caught:
        await read_orders(call_of())
    fields = dict(caught.value.headers)
    assert (caught.value.status, caught.value.kind.slug) == (429, "quota-exceeded")
    assert fields["ratelimit-policy"] == '"2-per-1-minute";q=2;w=60;portico-burst=2'
    assert fields["retry-after"] == "30"
    assert isinstance(caught.value.__cause__, RateLimitExceeded)
    assert await read_orders(call_of("another")) == {"page": 1}


async def test_a_handler_stays_what_the_contract_is_bound_to() -> None:
    limiter = AsyncLimiter()

    @limiter.limit("2/minute")
    async def read_orders(call: Call[None], *, page: int = 1) -> Reply:
        del call, page
        return Reply(status=200, body=[], headers=[("etag", '"1"')])

    assert asyncio.iscoroutinefunction(read_orders)
    assert callable(bind)
    assert read_orders.__module__ == __name__
    reply = await read_orders(call_of())
    names = [name for name, _ in reply.headers]
    assert names == ["etag", "ratelimit-policy", "ratelimit"]


async def test_limits_above_one_another_are_checked_together() -> None:
    limiter = AsyncLimiter()

    @limiter.limit("2/minute")
    @limiter.limit("9/hour;9/hour", key_func=lambda: "everyone")
    async def read_orders(call: Call[None]) -> Reply:
        del call
        return Reply()

    async def remaining() -> str:
        return dict((await read_orders(call_of())).headers)["ratelimit"]

    assert '"9-per-1-hour";r=8' in await remaining()
    assert '"9-per-1-hour";r=7' in await remaining()
    for _ in range(4):
        with pytest.raises(Problem):
            await read_orders(call_of())
    # The refused ones consumed nothing of what everyone shares, and nothing counted twice.
    assert '"9-per-1-hour";r=6' in dict((await read_orders(call_of("b"))).headers)["ratelimit"]


async def test_cost_scope_exemption_and_providers_are_slowapis() -> None:
    limiter = AsyncLimiter(default_limits=["50/hour"], key_prefix="shop")

    @limiter.shared_limit("10/hour", scope="orders", cost=lambda request: len(request.operation_id))
    async def read_orders(call: Call[None]) -> Reply:
        del call
        return Reply()

    @limiter.shared_limit("10/hour", scope="orders", override_defaults=False)
    async def list_orders(call: Call[None]) -> Reply:
        del call
        return Reply()

    @limiter.limit(
        lambda key: "1/hour" if key == "free" else "3/hour",
        key_func=lambda request: request.caller.client_id,
        exempt_when=lambda request: request.caller.client_id == "us",
    )
    async def export_orders(call: Call[None]) -> str:
        del call
        return "exported"

    assert dict((await read_orders(call_of())).headers)["ratelimit"].startswith(
        '"10-per-1-hour";r=0'
    )
    with pytest.raises(Problem):
        await list_orders(call_of())
    told = dict((await list_orders(call_of("other"))).headers)["ratelimit"]
    assert told.startswith('"10-per-1-hour";r=9')
    assert '"50-per-1-hour";r=49' in told
    for client_id, times in (("free", 1), ("gold", 3), ("us", 20)):
        for _ in range(times):
            assert await export_orders(call_of(client_id)) == "exported"
    for client_id in ("free", "gold"):
        with pytest.raises(Problem):
            await export_orders(call_of(client_id))


async def test_a_limiter_that_is_disabled_or_a_function_that_is_exempt_is_not_limited() -> None:
    limiter, off = AsyncLimiter(), AsyncLimiter(enabled=False)

    @off.limit("1/day")
    async def one(call: Call[None]) -> int:
        del call
        return 1

    @limiter.exempt  # type: ignore[untyped-decorator]  # slowapi has no types
    @limiter.limit("1/day")
    async def two(call: Call[None]) -> int:
        del call
        return 2

    assert [await one(call_of()) for _ in range(3)] == [1, 1, 1]
    assert [await two(call_of()) for _ in range(3)] == [2, 2, 2]


def test_what_cannot_be_limited_is_refused_where_it_is_written() -> None:
    limiter = AsyncLimiter()
    with pytest.raises(LimitError, match="expected limits"):
        limiter.limit("often")
    with pytest.raises(LimitError, match="no coroutine function"):
        limiter.limit("1/second")(lambda request: request)
    with pytest.raises(LimitError, match="takes none of call, request, websocket"):

        @limiter.limit("1/second")
        async def nobody(who: str) -> str:
            return who

    with pytest.raises(LimitError, match="expected strategy"):
        AsyncLimiter(strategy="moving-window")


def _application(limiter: AsyncLimiter) -> Starlette:
    @limiter.limit("2/minute")
    async def page(request: Request) -> Response:
        return JSONResponse({"path": request.url.path})

    @limiter.limit("2/minute")
    async def stream(request: Request) -> Response:
        del request

        async def parts() -> AsyncIterator[bytes]:
            for part in (b"a", b"b", b"c"):
                yield part

        return StreamingResponse(parts())

    async def refused(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, RateLimitExceeded)
        return limiter.response(error, type_base="/portal/problems/")

    return Starlette(
        routes=[Route("/page", page), Mount("/api", routes=[Route("/stream", stream)])],
        exception_handlers={RateLimitExceeded: refused},
    )


async def test_an_endpoint_is_limited_streaming_and_mounted_too() -> None:
    limiter = AsyncLimiter(get_remote_address, headers_enabled=True)
    transport = httpx.ASGITransport(_application(limiter))
    async with httpx.AsyncClient(transport=transport, base_url="http://portico.test") as client:
        for path in ("/page", "/api/stream"):
            answers = [await client.get(path) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            assert answers[0].headers["ratelimit"] == '"2-per-1-minute";r=1;t=30'
            assert answers[0].headers["x-ratelimit-remaining"] == "1"
            assert answers[2].headers["retry-after"] == "30"
            assert answers[2].headers["content-type"] == "application/problem+json"
            assert answers[2].json()["violated-policies"] == ["2-per-1-minute"]


async def test_nothing_blocks_and_no_thread_is_started(server: Server, own: Setting) -> None:
    """slowapi's own middleware stops the loop for as long as Redis stops."""
    threads = threading.active_count()
    limiter = AsyncLimiter()
    limiter.connect(own.engine)

    @limiter.limit("1000/hour")
    async def read_orders(call: Call[None]) -> Reply:
        del call
        return Reply()

    await read_orders(call_of())
    server.ask("CLIENT", "PAUSE", 250, "ALL")
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(read_orders(call_of()))
    longest, last = 0.0, loop.time()
    while not task.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, loop.time() - last), loop.time()
    assert (await task).status == 200
    assert longest < 0.15
    assert threading.active_count() == threads


async def test_limiters_of_two_processes_share_their_counts_over_redis(setting: Setting) -> None:
    async def read_orders(call: Call[None]) -> Reply:
        del call
        return Reply()

    limited = []
    for _ in range(2):
        limiter = AsyncLimiter(key_prefix=setting.prefix)
        limiter.connect(setting.another().engine)
        limited.append(limiter.limit("5/hour")(read_orders))
    allowed = 0
    for attempt in range(8):
        try:
            await limited[attempt % 2](call_of())
        except Problem:
            continue
        allowed += 1
    assert allowed == 5


async def test_the_strategies_are_those_of_limits(setting: Setting) -> None:
    storage = PorticoStorage(setting.engine, KeySpace(setting.prefix))
    item = parse("3/hour")
    for strategy in (GCRARateLimiter(storage), WindowRateLimiter(storage)):
        assert isinstance(strategy, RateLimiter)
        assert [await strategy.hit(item, "k") for _ in range(4)] == [True, True, True, False]
        assert not await strategy.test(item, "k")
        assert (await strategy.get_window_stats(item, "k")).remaining == 0
        assert await strategy.hit(item, "other", cost=3)
        await strategy.clear(item, "k")
        assert (await strategy.get_window_stats(item, "k")).remaining == 3
    fixed = FixedWindowRateLimiter(storage)
    item = parse("3/hour").__class__(3, namespace=setting.prefix)
    assert [await fixed.hit(item, "f") for _ in range(4)] == [True, True, True, False]
    stats = await fixed.get_window_stats(item, "f")
    assert stats.remaining == 0
    assert await storage.check()


async def test_the_same_limits_can_be_asked_without_a_loop() -> None:
    limiter = AsyncLimiter()
    assert isinstance(limiter, Limiter)
    item = parse("2/hour")
    assert [limiter.limiter.hit(item, "k", "s") for _ in range(3)] == [True, True, False]
    assert not limiter.limiter.test(item, "k", "s")
    assert limiter.limiter.get_window_stats(item, "k", "s").remaining == 0


def test_counters_of_the_process_are_bounded_and_expire() -> None:
    now = 100.0
    storage: Any = ProcessStorage(capacity=10, clock=lambda: now)
    assert [storage.incr("k", 5) for _ in range(3)] == [1, 2, 3]
    assert (storage.get("k"), storage.get_expiry("k")) == (3, 105.0)
    storage.clear("k")
    assert storage.get("k") == 0
    for number in range(100):
        storage.incr(f"k{number}", 5)
    assert storage.reset() <= 20
