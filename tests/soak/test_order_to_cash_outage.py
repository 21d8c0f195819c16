"""QuickBooks away for longer than order-to-cash has patience, while its processes are killed."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from portico.sandbox.faults import Faults
from portico.sandbox.webhooks import Endpoint
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.process_apis.order_to_cash.conftest import (
    APIS,
    GRINDERS,
    SCOPES,
    SECRET,
    UNLIMITED,
    settings,
    systems,
)
from tests.soak.order_to_cash import (
    FATES,
    Subscribing,
    expected,
    in_the_end,
)
from tests.soak.processes import PROCESSES, Processes
from tests.soak.whole import whole
from tests.support.serving import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portico.sandbox.running import Running

# Three retries two seconds apart are over long before: what happens then are dead letters.
AWAY_SECONDS = 90.0
RETRY_SECONDS = 2.0
ENDED_SECONDS = 240.0
LETTERS = "/experience/operations/v1/dead-letters"


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who sees to dead letters, at whichever process answers."""

    url: str
    secret: Path

    def _token(self) -> str:
        answer = httpx.post(
            f"{self.url}/oauth2/token",
            auth=("operator", self.secret.read_text().strip()),
            data={"grant_type": "client_credentials"},
        )
        return str(answer.json()["access_token"])

    def letters(self) -> list[str]:
        answer = self._ask("GET", f"{LETTERS}?limit=100")
        return [letter["id"] for letter in answer.json()["items"]]

    def replay_all(self) -> list[str]:
        """Replay what there is, and return what it was."""
        found = self.letters()
        for letter in found:
            self._ask("POST", f"{LETTERS}/{letter}/replay")
        return found

    def _ask(self, method: str, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token()}", "idempotency-key": uuid4().hex}
        answer = httpx.request(method, f"{self.url}{path}", headers=headers, timeout=30.0)
        # One that is being done again already is none any more.
        assert answer.is_success or answer.status_code in {404, 409}, answer.text
        return answer


def stage(running: Mapping[str, Running]) -> str:
    opportunities = running["salesforce"].sandbox.state.table("Opportunity").values()
    (found,) = [each["StageName"] for each in opportunities if each["Name"] == GRINDERS]
    return str(found)


def configuration(folder: Path, running: Mapping[str, Running]) -> dict[str, Any]:
    config = settings(folder, running)
    config["alerts"] = {}
    config["apis"]["process/order-to-cash.v1"]["settings"]["retry_seconds"] = RETRY_SECONDS
    config["workflows"]["lease_seconds"] = 3.0
    config["clients"] = {"operator": {"secret": "generated:operator", "scopes": SCOPES}}
    config["rate_limits"] = {}
    return config


@whole
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.timeout(AWAY_SECONDS + ENDED_SECONDS + 200)
def test_what_died_while_the_books_were_away_is_replayed_once(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Nothing lost, nothing twice, no wrong stage, and no dead letter left."""
    with systems() as running:
        config = configuration(tmp_path, running)
        if database == "postgresql":
            config["workflows"]["database"] = request.getfixturevalue("postgres").new_database()
        stripe, books = running["stripe"].sandbox, running["quickbooks"].sandbox
        assert stripe.webhooks is not None
        assert isinstance(books, QuickBooksSandbox)
        books.requests_per_second, books.requests_per_minute = UNLIMITED, 10 * UNLIMITED
        chance = random.Random(17)
        processes = Processes(tmp_path, config, APIS)
        try:
            for port in processes.ports:
                url = f"http://127.0.0.1:{port}/webhooks/stripe"
                stripe.webhooks.endpoints.append(Endpoint(url=url, secret=SECRET))
            stripe.webhooks.twice = stripe.webhooks.out_of_order = True
            with Subscribing(running) as subscribing:
                # The opportunity is of a subscription that lives on, so it has to stay won.
                subscribing.live([])
                assert eventually(lambda: stage(running) == "Closed Won", 30.0, every=0.1)
                rounds = _while_away(running, subscribing, processes, chance)
            operator = Operator(
                f"http://127.0.0.1:{processes.ports[0]}", tmp_path / "data" / "secrets" / "operator"
            )
            wanted = expected(rounds) | {"open": rounds + 1}
            replayed: Counter[str] = Counter()

            def are_done() -> bool:
                replayed.update(operator.replay_all())
                return in_the_end(books) == wanted and not operator.letters()

            replayed.update(operator.replay_all())
            processes.kill(PROCESSES - 1)
            there = eventually(are_done, ENDED_SECONDS, every=1.0)
            assert there, (in_the_end(books), wanted, operator.letters())
            time.sleep(5)  # whatever would be done twice has the time to
            letters = operator.letters()
        finally:
            processes.close()

        numbers = [record["DocNumber"] for record in books.state.table("Invoice").values()]
        assert len(numbers) == len(set(numbers))
        assert in_the_end(books) == wanted
        assert stage(running) == "Closed Won"
        assert letters == []
        assert replayed, "the books were away for longer than anybody waited"


def _while_away(
    running: Mapping[str, Running],
    subscribing: Subscribing,
    processes: Processes,
    chance: random.Random,
) -> int:
    """Let the books be away, subscribe and kill meanwhile; return how often all fates were met."""
    running["quickbooks"].faulty.set(Faults(unavailable_seconds=AWAY_SECONDS))
    until, rounds = time.monotonic() + AWAY_SECONDS, 0
    while time.monotonic() < until:
        # As the end comes nearer it is only waited for: all that was begun has to die first.
        if until - time.monotonic() > 5 * RETRY_SECONDS or not rounds:
            for fate in FATES:
                subscribing.live(fate)
            rounds += 1
        processes.kill(chance.randrange(PROCESSES))
        time.sleep(chance.uniform(0.05, 1.0))
    return rounds
