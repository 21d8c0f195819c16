"""Records of many callers in a cluster of three."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from portico.idempotency.scope import Scope, record_id
from portico.idempotency.store import StoreOptions
from tests.portico.idempotency.conftest import PATIENT
from tests.portico.idempotency.setting import Operation, Setting, attempt
from tests.portico.redis.servers import eventually, opened, programs
from tests.portico.redis.test_cluster import Trio

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio
CALLERS = [Scope(client_id=f"client {number}") for number in range(12)]


@pytest.fixture(scope="module")
def trio() -> Iterator[Trio]:
    program = programs()["redis-server"]
    if program is None:
        pytest.skip("needs redis-server: no such program here")
    with tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as folder:
        trio = Trio(program, Path(folder))
        try:
            trio.start()
            yield trio
        finally:
            trio.stop()


async def test_f19_every_caller_is_served_by_the_primary_of_its_slot(trio: Trio) -> None:
    async with opened(trio.url, PATIENT) as client:
        setting = Setting(client, StoreOptions(max_keys=10))
        operation = Operation()

        for scope in CALLERS * 2:
            await setting.run(operation, attempt(scope=scope))

        owners = {trio.owner(setting.name(attempt(scope=scope))) for scope in CALLERS}
        assert owners == {0, 1, 2}
        assert operation.runs == len(CALLERS)
        await setting.close()


async def test_f19_a_cluster_that_is_down_is_an_outage_for_the_callers_of_that_server(
    trio: Trio,
) -> None:
    """A server that misses a slot answers CLUSTERDOWN for all of its own."""
    async with opened(trio.url, PATIENT) as client:
        setting, operation = Setting(client), Operation()
        attempts = [attempt("stranded", scope=scope) for scope in CALLERS]
        unserved, name = attempts[0], setting.name(attempts[0])
        owner, slot = trio.owner(name), key_slot(name)
        server = trio.servers[owner]
        others = [each for each in attempts if trio.owner(setting.name(each)) != owner]

        server.ask("CLUSTER", "DELSLOTS", slot)
        try:
            problem = await setting.refused(operation, unserved)
            for other in others:
                await setting.run(operation, other)
        finally:
            server.ask("CLUSTER", "ADDSLOTS", slot)
        assert problem.status == 503
        assert operation.runs == len(others) > 0

        await eventually(lambda: setting.run(operation, unserved))
        assert operation.runs == len(others) + 1
        await setting.close()


async def test_doubts_are_listed_of_all_primaries(trio: Trio) -> None:
    async with opened(trio.url, PATIENT) as client:
        setting = Setting(client)
        wanted = set()
        for scope in CALLERS:
            await (await setting.claimed(attempt(scope=scope))).in_doubt()
            wanted.add(record_id(setting.name(attempt(scope=scope))))

        found = [shown.record_id async for shown in setting.operators.list_in_doubt()]

        assert set(found) == wanted
        assert len(found) == len(wanted)
        await setting.close()
