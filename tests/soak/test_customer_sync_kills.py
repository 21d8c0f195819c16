"""A process that is killed at every boundary of the steps of a sync: one customer everywhere."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from system_apis.salesforce.sandbox.objects import OBJECTS
from system_apis.salesforce.sandbox.store import Saving
from tests.process_apis.customer_sync.conftest import APIS, sandboxes, settings
from tests.soak.whole import whole
from tests.support import tryton as real_tryton
from tests.support.serving import eventually, free_port
from tests.support.tryton import pytest_collection_modifyitems, tryton_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portico.sandbox.running import Running
    from system_apis.tryton.sandbox.server import Sandbox

__all__ = ["pytest_collection_modifyitems", "tryton_data"]

READY_SECONDS = 60.0
# A claim that a killed process left ends after a minute; then the next look goes on.
IN_STEP_SECONDS = 180.0
# More steps than a sync has: the loop ends when one is through before it can be killed.
MAX_STEPS = 60
_STEPS = "select count(*) from operation_outputs where workflow_uuid like ? or workflow_uuid like ?"


class Killable:
    """A gateway as a process of its own, that is killed and started again."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._file = folder / "portico.yaml"
        self._file.write_text(yaml.safe_dump(_plain(config)))
        self._journal = Path(str(config["data"])) / "workflows" / "workflows.sqlite"
        self._port = free_port()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        words = ["serve", "--config", str(self._file), "--port", str(self._port)]
        only = [word for name in APIS for word in ("--only", name)]
        with (self._file.parent / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *words, *only],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self._file.parent,
            )
        assert eventually(lambda: self._is_ready(process), READY_SECONDS), "it does not start"
        return process

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, (self._file.parent / "log").read_text()[-2000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self._port}/readyz").status_code == 200
        return False

    def steps(self) -> int:
        """Return how many steps of syncs and matches were taken."""
        with contextlib.closing(sqlite3.connect(self._journal, timeout=10)) as journal:
            return int(journal.execute(_STEPS, ("sync-%", "match-%")).fetchone()[0])

    def restart(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = self._start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


class Systems:
    """What there is in the three systems, seen without the gateway."""

    def __init__(self, running: Mapping[str, Running], erp: Sandbox) -> None:
        crm, books = running["salesforce"].sandbox, running["quickbooks"].sandbox
        self._store: Any = crm.org.data.store  # type: ignore[attr-defined]  # the CRM's own
        self._books = books.state
        self._erp = erp

    def make_account(self, name: str) -> None:
        values = {"Name": name, "Type": "Customer", "Phone": "+31 10 555 0909"}
        saving = Saving(version="v68.0", allow_duplicates=True)
        self._store.insert(OBJECTS["account"], values, saving)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how often each name is there, by system."""
        with contextlib.closing(sqlite3.connect(self._erp.database, timeout=10)) as erp:
            parties = [row[0] for row in erp.execute("select name from party_party")]
        names = {
            "salesforce": [each["Name"] for each in list(self._store.records("Account"))],
            "quickbooks": [e["DisplayName"] for e in list(self._books.table("Customer").values())],
            "tryton": parties,
        }
        return {
            system: {each: found.count(each) for each in found} for system, found in names.items()
        }


@pytest.fixture
def systems(tryton_data: Path, tmp_path: Path) -> Iterator[tuple[Systems, dict[str, Any]]]:
    with real_tryton.running(tryton_data, tmp_path / "erp") as erp, sandboxes() as running:
        yield Systems(running, erp), settings(tmp_path, running, erp)


@whole
@pytest.mark.timeout(1800)
def test_a_process_killed_at_any_step_leaves_no_customer_twice(
    systems: tuple[Systems, dict[str, Any]], tmp_path: Path
) -> None:
    world, config = systems
    gateway = Killable(tmp_path, config)
    made = []
    try:
        assert eventually(lambda: _is_quiet(gateway), IN_STEP_SECONDS)
        for boundary in range(1, MAX_STEPS):
            name = f"Killed at {boundary}"
            before = gateway.steps()
            world.make_account(name)
            made.append(name)
            everywhere = partial(_everywhere, world, name)
            if not _kill_at(gateway, before + boundary, everywhere):
                break
            assert eventually(everywhere, IN_STEP_SECONDS), world.counts()
            assert eventually(lambda: _is_quiet(gateway), IN_STEP_SECONDS)
        time.sleep(5)  # whatever would make another one has the time to
    finally:
        gateway.close()

    assert 10 < len(made) < MAX_STEPS - 1
    for system, counts in world.counts().items():
        assert {name: counts.get(name, 0) for name in made} == dict.fromkeys(made, 1), system


def _kill_at(gateway: Killable, steps: int, over: Any) -> bool:
    """Kill the process at a step; False if everything was done before it came."""
    deadline = time.monotonic() + IN_STEP_SECONDS
    while gateway.steps() < steps:
        if over() and _is_quiet(gateway):
            return False
        assert time.monotonic() < deadline
        time.sleep(0.001)
    gateway.restart()
    return True


def _is_quiet(gateway: Killable) -> bool:
    """Tell whether no sync goes on; waiting ones begin again with each look."""
    before = gateway.steps()
    time.sleep(3)
    return gateway.steps() == before


def _everywhere(world: Systems, name: str) -> bool:
    return all(counts.get(name, 0) >= 1 for counts in world.counts().values())
