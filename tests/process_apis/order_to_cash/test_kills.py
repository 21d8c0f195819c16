"""A process killed at any write of the journal or call of a system: nothing lost, nothing twice.

A sample: each story is killed at one of its crash points. tests/soak has them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.portico.workflow.kills.crew import crew
from tests.process_apis.order_to_cash.kills.proof import WORKER, each_story_once
from tests.process_apis.order_to_cash.kills.stories import STORIES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
# No story has fewer than thirty points: one is killed early in its story, another late.
POINTS = (4, 28, 12, 20, 8, 16, 24)


async def test_a_kill_anywhere_leaves_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    async with crew(WORKER) as workers:
        findings = await each_story_once(workers, tmp_path, POINTS)

    assert {name: found.wrong for name, found in findings.items()} == {name: [] for name in STORIES}
    assert {name: found.killed for name, found in findings.items()} == dict.fromkeys(STORIES, 1)
