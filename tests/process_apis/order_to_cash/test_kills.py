"""A process killed at any write of the journal or call of a system: nothing lost, nothing twice.

A sample: each story is tried at every fortieth of its crash points. tests/soak has them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.portico.workflow.kills.crew import crew
from tests.process_apis.order_to_cash.kills.proof import WORKER, each_story
from tests.process_apis.order_to_cash.kills.stories import STORIES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
# A kill in each sixty of some six hundred points: half a minute on two idle cores.
STRIDE = 60


async def test_a_kill_anywhere_leaves_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    async with crew(WORKER) as workers:
        findings = await each_story(workers, tmp_path, stride=STRIDE)

    assert {name: found.wrong for name, found in findings.items()} == {name: [] for name in STORIES}
    assert all(found.killed >= 1 for found in findings.values())
