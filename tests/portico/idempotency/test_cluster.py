"""Records of many callers in a cluster of three."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.idempotency.scope import Scope, record_id
from portico.idempotency.store import StoreOptions
from tests.portico.idempotency.conftest import PATIENT
from tests.portico.idempotency.setting import Operation, Setting, attempt
from tests.portico.redis.servers import opened, programs
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
