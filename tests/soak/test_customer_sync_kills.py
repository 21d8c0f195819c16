"""Processes that are killed while they keep customers in step: each customer once, everywhere."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from system_apis.salesforce.sandbox.objects import OBJECTS
from system_apis.salesforce.sandbox.store import Saving
from tests.process_apis.customer_sync.conftest import APIS, sandboxes, settings
from tests.soak.processes import PROCESSES, Processes
from tests.soak.whole import whole
from tests.support import tryton as real_tryton
from tests.support.serving import eventually
from tests.support.tryton import pytest_collection_modifyitems, tryton_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from portico.sandbox.running import Running
    from system_apis.tryton.sandbox.server import Sandbox
    from tests.support.postgres import Postgres

__all__ = ["pytest_collection_modifyitems", "tryton_data"]

# A claim that a killed process left ends after a minute; then the next look goes on.
IN_STEP_SECONDS = 180.0
# More steps than a sync has: the loop ends when one is through before it can be killed.
MAX_STEPS = 60
_OF_SYNCS = "workflow_uuid like 'sync-%' or workflow_uuid like 'match-%'"
# Rounds of making, changing and killing.
ROUNDS = 15
_PHONES = """select party_party.name, value from party_party join party_contact_mechanism
    on party = party_party.id where type = 'phone' and party_contact_mechanism.active"""


class Journal:
    """What the processes have noted of syncs and matches, seen without them."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        url = config["workflows"].get("database")
        if url is None:
            file = Path(str(config["data"])) / "workflows" / "workflows.sqlite"
            self._table, url = "operation_outputs", f"sqlite:///{file}"
        else:
            self._table = "dbos.operation_outputs"
            url = url.replace("postgresql://", "postgresql+psycopg://")
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)

    def steps(self) -> int:
        """Return how many steps were taken."""
        query = f"select count(*) from {self._table} where {_OF_SYNCS}"  # our own
        with self._engine.connect() as connection:
            return int(connection.execute(sa.text(query)).scalar_one())

    def is_quiet(self) -> bool:
        """Tell whether no sync goes on; waiting ones begin again with each look."""
        before = self.steps()
        time.sleep(3)
        return self.steps() == before


class Systems:
    """What there is in the three systems, seen without the gateway."""

    def __init__(self, running: Mapping[str, Running], erp: Sandbox) -> None:
        crm, books = running["salesforce"].sandbox, running["quickbooks"].sandbox
        self._store: Any = crm.org.data.store  # type: ignore[attr-defined]  # the CRM's own
        self._books = books.state
        self._erp = erp
        self._saving = Saving(version="v68.0", allow_duplicates=True)

    def make_account(self, name: str) -> str:
        """Let somebody make an account in the CRM; return its id."""
        values = {"Name": name, "Type": "Customer", "Phone": "+31 10 555 0909"}
        return str(self._store.insert(OBJECTS["account"], values, self._saving))

    def call_at(self, account_id: str, phone: str) -> None:
        """Let somebody change the phone of an account in the CRM, which masters it."""
        self._store.update(OBJECTS["account"], account_id, {"Phone": phone}, self._saving)

    def phones(self) -> dict[str, dict[str, str]]:
        """Return the phone of each name, by system."""
        customers = list(self._books.table("Customer").values())
        return {
            "salesforce": {a["Name"]: a["Phone"] or "" for a in self._store.records("Account")},
            "quickbooks": {
                each["DisplayName"]: each.get("PrimaryPhone", {}).get("FreeFormNumber", "")
                for each in customers
            },
            "tryton": dict(self._asked(_PHONES)),
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how often each name is there, by system."""
        parties = [row[0] for row in self._asked("select name from party_party")]
        names = {
            "salesforce": [each["Name"] for each in list(self._store.records("Account"))],
            "quickbooks": [e["DisplayName"] for e in list(self._books.table("Customer").values())],
            "tryton": parties,
        }
        return {
            system: {each: found.count(each) for each in found} for system, found in names.items()
        }

    def _asked(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self._erp.database, timeout=10)) as erp:
            return erp.execute(query).fetchall()


@dataclass(frozen=True, slots=True)
class World:
    """Three systems, and the configuration of those who keep their customers in step."""

    systems: Systems
    config: dict[str, Any]
    journal: Journal


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tryton_data: Path, tmp_path: Path) -> Iterator[World]:
    with real_tryton.running(tryton_data, tmp_path / "erp") as erp, sandboxes() as running:
        config = settings(tmp_path, running, erp)
        # Processes that start over and over are late with renewals that are due each third.
        config["workflows"]["lease_seconds"] = 3.0
        if request.param == "postgresql":
            server: Postgres = request.getfixturevalue("postgres")
            config["workflows"]["database"] = server.new_database()
            config["references"] = {"url": server.new_database()}
        yield World(Systems(running, erp), config, Journal(config))


@whole
@pytest.mark.timeout(1800)
def test_a_process_killed_at_any_step_leaves_no_customer_twice(
    world: World, tmp_path: Path
) -> None:
    journal, systems = world.journal, world.systems
    gateway = Processes(tmp_path, world.config, APIS, 1)
    made = []
    try:
        assert eventually(journal.is_quiet, IN_STEP_SECONDS)
        for boundary in range(1, MAX_STEPS):
            name = f"Killed at {boundary}"
            before = journal.steps()
            systems.make_account(name)
            made.append(name)
            everywhere = partial(_everywhere, systems, [name])
            if not _kill_at(gateway, journal, before + boundary, everywhere):
                break
            assert eventually(everywhere, IN_STEP_SECONDS), systems.counts()
            assert eventually(journal.is_quiet, IN_STEP_SECONDS)
        time.sleep(5)  # whatever would make another one has the time to
    finally:
        gateway.close()

    assert 10 < len(made) < MAX_STEPS - 1
    _assert_once(systems, made)


@whole
@pytest.mark.timeout(1800)
def test_processes_that_are_killed_leave_no_customer_twice_and_no_change_behind(
    world: World, tmp_path: Path
) -> None:
    """Of three, while customers are made and changed in the CRM."""
    chance, systems = random.Random(23), world.systems
    processes = Processes(tmp_path, world.config, APIS)
    made: dict[str, str] = {}
    try:
        for number in range(ROUNDS):
            for letter in "ab":
                name = f"Killed {number} {letter}"
                made[name] = systems.make_account(name)
            changed = chance.choice(list(made.values()))
            time.sleep(chance.uniform(0.05, 2.0))
            systems.call_at(changed, f"+31 10 555 {number:04}")
            time.sleep(chance.uniform(0.05, 1.0))
            processes.kill(chance.randrange(PROCESSES))
        in_step = partial(_agree, systems, list(made))
        assert eventually(in_step, IN_STEP_SECONDS, every=1.0), _disputed(systems, list(made))
        assert eventually(world.journal.is_quiet, IN_STEP_SECONDS)
        time.sleep(5)  # whatever would make another one has the time to
    finally:
        processes.close()

    _assert_once(systems, list(made))
    assert _disputed(systems, list(made)) == {}


def _kill_at(gateway: Processes, journal: Journal, steps: int, over: Any) -> bool:
    """Kill the process at a step; False if everything was done before it came."""
    deadline = time.monotonic() + IN_STEP_SECONDS
    while journal.steps() < steps:
        if over() and journal.is_quiet():
            return False
        assert time.monotonic() < deadline
        time.sleep(0.001)
    gateway.kill(0)
    return True


def _everywhere(systems: Systems, names: Sequence[str]) -> bool:
    found = systems.counts().values()
    return all(counts.get(name, 0) >= 1 for counts in found for name in names)


def _agree(systems: Systems, names: Sequence[str]) -> bool:
    return not _disputed(systems, names)


def _disputed(systems: Systems, names: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """Return the customers that are not everywhere with the phone that they have in the CRM."""
    found = systems.phones()
    said = {name: {system: found[system].get(name) for system in found} for name in names}
    return {name: phones for name, phones in said.items() if len(set(phones.values())) > 1}


def _assert_once(systems: Systems, names: Sequence[str]) -> None:
    for system, counts in systems.counts().items():
        assert {name: counts.get(name, 0) for name in names} == dict.fromkeys(names, 1), system
