"""Kills a process at each of its crash points, and looks at what is in the books and the CRM."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from gateway.sandboxes import SANDBOXES
from portico.sandbox.faults import Faults
from portico.sandbox.running import run_sandboxes
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.process_apis.order_to_cash.conftest import SECRET, SYSTEMS, UNLIMITED, settings
from tests.process_apis.order_to_cash.kills.stories import STORIES, Story, Stripe
from tests.support.serving import plain

if TYPE_CHECKING:
    from portico.sandbox.running import Running
    from tests.portico.workflow.kills.crew import Crew

GATEWAY = "https://gateway.test"
WORKER = Path(__file__).with_name("worker.py")
DOCUMENTS = ("Invoice", "Payment", "RefundReceipt", "CreditMemo")
OPPORTUNITY = "Grinders for the second counter"
# So many kills at once: most of one is waiting for the lease of the dead process to end.
PARALLEL = 6
# More crash points than any story has; those after the last one return at once.
LIMIT = 1000


@dataclass
class Findings:
    """What was wrong, and how much was tried."""

    killed: int = 0
    points: int = 0
    wrong: list[str] = field(default_factory=list)


async def each_story_once(crew: Crew, folder: Path, points: Iterable[int]) -> dict[str, Findings]:
    """Tell every story, each killed at one point of its own; some at the same time."""
    room = asyncio.Semaphore(PARALLEL)

    async def tell(name: str, point: int) -> tuple[str, Findings]:
        place = folder / name.replace(" ", "-")
        place.mkdir()
        async with room:
            return name, await Proof(crew, STORIES[name], place).one_crash_point(point)

    told = (tell(name, point) for name, point in zip(STORIES, points, strict=True))
    return dict(await asyncio.gather(*told))


class Proof:
    """One story. What is over before the killing begins is done once, and copied for each kill."""

    def __init__(self, crew: Crew, story: Story, folder: Path) -> None:
        self._crew = crew
        self._story = story
        self._folder = folder

    async def one_crash_point(self, point: int) -> Findings:
        """Kill a process at one crash point."""
        await self._prepare()
        killed, wrong = await self._crash_at(point)
        return Findings(killed=killed, points=point * killed, wrong=wrong)

    async def each_crash_point(self) -> Findings:
        """Kill a process at its first crash point, another at its second, to the last."""
        await self._prepare()
        findings = Findings()
        room, last = asyncio.Semaphore(PARALLEL), asyncio.Event()

        async def one(point: int) -> None:
            async with room:
                if last.is_set():
                    return
                killed, wrong = await self._crash_at(point)
                findings.killed += killed
                findings.points = max(findings.points, point * killed)
                findings.wrong += [f"killed at {point}: {what}" for what in wrong]
                if not killed:
                    last.set()

        await asyncio.gather(*(one(point) for point in range(1, LIMIT)))
        return findings

    async def _prepare(self) -> None:
        """Let what comes before the story happen, without any trouble."""
        story, folder = self._story, self._folder / "prepared"
        folder.mkdir()
        async with _systems(folder) as running:
            await asyncio.to_thread(_act, running, story.before)
            if story.delivered:
                answer = await self._answer(folder, running, story.delivered)
                assert answer is not None, "nobody killed it"
                assert "runs" in answer, answer
            await asyncio.to_thread(_act, running, story.acts)

    async def _crash_at(self, point: int) -> tuple[bool, list[str]]:
        """Kill a process at one point, have another finish; return whether the point was there."""
        folder = self._folder / f"point-{point}"
        await asyncio.to_thread(shutil.copytree, self._folder / "prepared", folder)
        async with _systems(folder) as running:
            books = running["quickbooks"].faulty
            books.set(Faults(lost_responses=self._story.lost_answers))
            answer = await self._answer(folder, running, self._story.deliveries, crash_at=point)
            killed = answer is None
            if killed:
                # Stripe had no answer, and sends it all again.
                books.set(Faults(lost_responses=self._story.lost_answers))
                answer = await self._answer(folder, running, self._story.deliveries)
            wrong = self._judge(running, answer)
        await asyncio.to_thread(shutil.rmtree, folder)
        return killed, wrong

    async def _answer(
        self,
        folder: Path,
        running: Mapping[str, Running],
        kinds: Sequence[str],
        crash_at: int = 0,
    ) -> dict[str, Any] | None:
        """Have a process take deliveries; return how the runs ended, None if it was killed."""
        events = running["stripe"].sandbox.state.table("event").values()
        chosen = [next(each for each in events if each["type"] == kind) for kind in kinds]
        worker = await self._crew.start(
            config=plain(_config(folder, running)),
            secret=SECRET,
            deliveries=[orjson.dumps(event).decode() for event in chosen],
            runs=[f"webhook:stripe:{event['id']}" for event in chosen],
            crash_at=crash_at,
        )
        return await worker.answer()

    def _judge(self, running: Mapping[str, Running], answer: dict[str, Any] | None) -> list[str]:
        """Return what is not as it has to be."""
        if answer is None or "runs" not in answer:
            return [f"a process ended as {answer}"]
        story, wrong = self._story, []
        phases = sorted(run["phase"] for run in answer["runs"].values())
        if phases != sorted(story.phases):
            wrong.append(f"the runs are {answer['runs']}")
        found = {name: _left(running, name) for name in DOCUMENTS}
        documents = {name: story.documents.get(name, []) for name in DOCUMENTS}
        if found != documents:
            wrong.append(f"the books have {found}")
        if _stage(running) != story.stage:
            wrong.append(f"the stage is {_stage(running)}")
        return wrong


@contextlib.asynccontextmanager
async def _systems(folder: Path) -> AsyncIterator[Mapping[str, Running]]:
    kinds = {name: SANDBOXES[name] for name in SYSTEMS}
    async with run_sandboxes(kinds, lambda _: SECRET, folder=folder / "systems") as running:
        books = running["quickbooks"].sandbox
        assert isinstance(books, QuickBooksSandbox)
        books.requests_per_second = books.requests_per_minute = UNLIMITED
        yield running


def _config(folder: Path, running: Mapping[str, Running]) -> dict[str, Any]:
    config = settings(folder, running)
    config["public_url"] = GATEWAY
    # Nothing but the deliveries starts anything.
    config["apis"]["process/order-to-cash.v1"]["settings"]["poll"] = ""
    return config


def _act(running: Mapping[str, Running], acts: Sequence[Any]) -> None:
    headers = {"authorization": f"Bearer {SECRET}"}
    with httpx.Client(base_url=running["stripe"].url, headers=headers) as http:
        for act in acts:
            act(Stripe(http))


def _left(running: Mapping[str, Running], entity: str) -> list[str]:
    """Return what is left of each document: what is due, unapplied or credited, or given back."""
    found = []
    for record in running["quickbooks"].sandbox.state.table(entity).values():
        if "Voided" in record.get("PrivateNote", ""):
            found.append("void")
            continue
        names = {"Invoice": "Balance", "Payment": "UnappliedAmt"}
        found.append(f"{record[names.get(entity, 'TotalAmt')]:.2f}")
    return sorted(found)


def _stage(running: Mapping[str, Running]) -> str:
    opportunities = running["salesforce"].sandbox.state.table("Opportunity").values()
    (stage,) = [each["StageName"] for each in opportunities if each["Name"] == OPPORTUNITY]
    return str(stage)
