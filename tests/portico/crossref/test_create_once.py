"""No interleaving of attempts, crashes and retries creates two records for one canonical id."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portico.connectors.failures import ConnectorError, OutOfTimeError, RefusedError
from portico.crossref.creating import LEASE_MARGIN_SECONDS, Creation, Found, create_once
from portico.crossref.engine import open_engine
from portico.crossref.records import Key, Link
from portico.crossref.schema import migrate
from portico.crossref.store import CrossReferences
from tests.support.postgres import Postgres

KEY = Key(entity="customer", canonical_id="C-1", system="vendor", instance="test")
SECONDS = 10.0
Round = tuple[int, list[tuple[int, str]], int]


@dataclass(slots=True)
class Vendor:
    """A system that may know idempotency keys, may refuse, and whose answers may get lost."""

    keyed: bool
    records: list[str] = field(default_factory=list)
    by_key: dict[str, str] = field(default_factory=dict)

    def create(self, operation_id: str) -> str:
        if self.keyed and operation_id in self.by_key:
            return self.by_key[operation_id]
        self.records.append(f"v-{len(self.records) + 1}")
        return self.by_key.setdefault(operation_id, self.records[-1])


class Attempt:
    """One call that stops before each step until it is let go on; one that is not let go died."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.began = world.now
        self.gate = asyncio.Event()
        self.outcome = "answer"
        self.task = asyncio.create_task(self.run())

    async def run(self) -> Found[str] | Link:
        creation = Creation(
            key=KEY,
            external_key="C-1",
            look_up=self.look_up,
            create=self.create,
            keyed=self.world.vendor.keyed,
        )
        return await create_once(self.world.references, creation, SECONDS)

    async def step(self) -> None:
        self.gate.clear()
        await self.gate.wait()
        if self.world.now - self.began > SECONDS:
            raise OutOfTimeError("too late")

    async def look_up(self) -> Found[str] | None:
        await self.step()
        records = self.world.vendor.records
        return Found(external_id=records[0], record="") if records else None

    async def create(self, operation_id: str) -> Found[str]:
        await self.step()
        if self.outcome == "refuse":
            raise RefusedError("no")
        if self.outcome == "late":
            self.world.on_their_way.append(operation_id)
            raise OutOfTimeError("no answer in time")
        external_id = self.world.vendor.create(operation_id)
        await self.step()
        if self.outcome == "lose":
            raise OutOfTimeError("the answer was lost")
        return Found(external_id=external_id, record="", created=True)


class World:
    def __init__(self, references: CrossReferences, vendor: Vendor) -> None:
        self.now = 0.0
        self.references = references
        self.vendor = vendor
        self.attempts: list[Attempt] = []
        self.on_their_way: list[str] = []

    def pass_time(self, seconds: float) -> None:
        """Let requests arrive that nobody waits for any more, and time pass."""
        while self.on_their_way:
            self.vendor.create(self.on_their_way.pop())
        self.now += seconds

    async def go(self, number: int, outcome: str) -> None:
        """Let an attempt do its next step, if it is not over."""
        alive = [attempt for attempt in self.attempts if not attempt.task.done()]
        if not alive:
            return
        attempt = alive[number % len(alive)]
        attempt.outcome = outcome
        attempt.gate.set()
        await self.settle(attempt)

    async def settle(self, attempt: Attempt) -> None:
        """Wait until an attempt stops before a step, or is over."""
        await asyncio.sleep(0)
        # It runs on threads too, which no event of this loop tells of.
        while not attempt.task.done() and attempt.gate.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.0005)


OUTCOMES = st.sampled_from(("answer", "answer", "lose", "late", "refuse"))
STEPS = st.lists(st.tuples(st.integers(0, 2), OUTCOMES), max_size=10)
# Attempts begin together, take steps in any order, and time passes before the next ones begin.
ROUNDS = st.lists(
    st.tuples(st.integers(1, 3), STEPS, st.sampled_from([0, 1, 11, 60])), min_size=1, max_size=3
)


async def play(keyed: bool, rounds: list[Round], url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    vendor = Vendor(keyed)
    world = World(CrossReferences(engine, clock=lambda: world.now), vendor)
    for beginning, steps, seconds in rounds:
        for _ in range(beginning):
            attempt = Attempt(world)
            world.attempts.append(attempt)
            attempt.gate.set()
            await world.settle(attempt)
        for number, outcome in steps:
            await world.go(number, outcome)
        if seconds:
            world.pass_time(seconds)
    # Whoever is still under way died there. One more call, in the end, gets through.
    world.pass_time(SECONDS + LEASE_MARGIN_SECONDS + 1)
    last = Attempt(world)
    while not last.task.done():
        last.gate.set()
        await asyncio.sleep(0.0005)
    await last.task
    link = await world.references.find(KEY)

    assert len(vendor.records) == 1
    assert link is not None
    assert (link.state, link.external_id) == ("linked", vendor.records[0])
    for attempt in world.attempts:
        attempt.task.cancel()
        with contextlib.suppress(ConnectorError, asyncio.CancelledError):
            await attempt.task
    engine.dispose()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(keyed=st.booleans(), rounds=ROUNDS)
def test_there_is_one_record_and_it_is_linked(keyed: bool, rounds: list[Round]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(keyed, rounds, f"sqlite:///{folder}/references.sqlite"))


# A database takes a quarter of a second to make, so there are fewer.
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(keyed=st.booleans(), rounds=ROUNDS)
def test_so_it_is_on_postgresql(postgresql: Postgres, keyed: bool, rounds: list[Round]) -> None:
    asyncio.run(play(keyed, rounds, postgresql.new_database()))
