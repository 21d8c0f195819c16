"""An order is placed or undone whole, wherever its process is killed: real ERP, real protocol.

`tests/soak` has the long form: every kind of order, and every write of the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.sandboxes import SANDBOXES
from tests.portico.workflow.kills.crew import crew
from tests.process_apis.orders.kills.proof import WORKER, Trial
from tests.support.sandbox import running_beside
from tests.support.tryton import (  # noqa: F401  # fixtures, and the hook that allows for the set-up
    open_api,
    pytest_collection_modifyitems,
    tryton,
    tryton_data,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from portico.sandbox.running import Running
    from system_apis.tryton.sandbox.server import Sandbox

# What waits here is another process to start, on machines that do more than this.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def bank() -> Iterator[Running]:
    with running_beside(SANDBOXES["stripe"]) as running:
        yield running


# After each call, when it has had its effect and nobody knows: the draft, the authorization, the
# confirmation, the capture; and where somebody cancelled the sale meanwhile, the confirmation that
# was refused, and the two that undo.
@pytest.mark.parametrize(("kind", "points"), [("card", range(2, 9, 2)), ("gone", range(6, 11, 2))])
async def test_an_order_that_is_killed_at_any_call_ends_whole(
    kind: str,
    points: Sequence[int],
    tryton: Sandbox,  # noqa: F811  # a fixture
    bank: Running,
    tmp_path: Path,
) -> None:
    async with crew(WORKER) as workers, open_api(tryton.endpoint) as api:
        trial = Trial(kind, workers, tmp_path, tryton, api, bank)
        await trial.all(points, journal=False)

    assert trial.wrong == []
    assert trial.killed == len(points)
