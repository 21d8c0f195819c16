"""Orders of all kinds, killed at every call and every write of the journal, end whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.sandboxes import SANDBOXES
from tests.portico.workflow.kills.crew import crew
from tests.process_apis.orders.kills.proof import ENDS, WORKER, Trial
from tests.soak.whole import whole
from tests.support.sandbox import running_beside
from tests.support.tryton import (  # noqa: F401  # fixtures, and the hook that allows for the set-up
    open_api,
    pytest_collection_modifyitems,
    tryton,
    tryton_data,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portico.sandbox.running import Running
    from system_apis.tryton.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio
# More than any of these flows has; and what the shortest one has.
MOST_POINTS, LEAST_POINTS = 60, 14


@pytest.fixture(scope="module")
def bank() -> Iterator[Running]:
    with running_beside(SANDBOXES["stripe"]) as running:
        yield running


@whole
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", list(ENDS))
async def test_an_order_that_is_killed_anywhere_ends_whole(
    kind: str,
    tryton: Sandbox,  # noqa: F811  # a fixture
    bank: Running,
    tmp_path: Path,
) -> None:
    async with crew(WORKER) as workers, open_api(tryton.endpoint) as api:
        trial = Trial(kind, workers, tmp_path, tryton, api, bank)
        await trial.all(range(1, MOST_POINTS), journal=True)

    assert trial.wrong == []
    assert trial.killed >= LEAST_POINTS, "the flow has fewer places to end than it should"
