"""The two ways to kill, and what must hold afterwards. The soak runs use more of the same."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.portico.workflow.kills.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.portico.workflow.kills.crew import Crew, Worker

# So many runs at once: most of a run is waiting for a lease to end.
PARALLEL = 10
_LAST_STAGE = {"bad": "lost"}


@dataclass
class Findings:
    """What was wrong, and how much was tried."""

    killed: int = 0
    wrong: list[str] = field(default_factory=list)


def check(ledger: Ledger, sales: Sequence[str], *, repaired: bool) -> list[str]:
    """Return what is not as it has to be: invoices none too many or few, stages right."""
    wrong = []
    for sale in sales:
        kind = sale.partition("-")[0]
        invoices = 0 if kind == "bad" or (kind == "down" and not repaired) else 1
        if ledger.invoices[sale] != invoices:
            wrong.append(f"{sale} has {ledger.invoices[sale]} invoices")
        stages = ledger.stages.get(sale, ["none"])
        if stages[-1] != _LAST_STAGE.get(kind, "won"):
            wrong.append(f"{sale} is {stages}")
    return wrong


def phase(kind: str, *, repaired: bool) -> str:
    return "dead" if kind == "down" and not repaired else "succeeded"


async def each_crash_point(
    crew: Crew, kind: str, new_database: Callable[[], str], *, stride: int = 1
) -> Findings:
    """Kill a process at its first crash point, another at its second, and so on to the last."""
    findings = Findings()
    room = asyncio.Semaphore(PARALLEL)
    last = asyncio.Event()

    async def one(point: int) -> None:
        async with room:
            if last.is_set():
                return
            killed, wrong = await crash_at(crew, kind, point, new_database())
            findings.killed += killed
            findings.wrong += wrong
            if not killed:
                last.set()

    # More than any of these flows has; those after the last one return at once.
    await asyncio.gather(*(one(point) for point in range(1, 200, stride)))
    return findings


async def crash_at(crew: Crew, kind: str, point: int, database: str) -> tuple[bool, list[str]]:
    """Kill a process at one point, let another finish; return whether it came to that point."""
    ledger = Ledger()
    sale = f"{kind}-1"
    try:
        command = {"database": database, "ledger": ledger.url, "sales": [sale], "start": [sale]}
        worker = await crew.start(**command, crash_at=point)
        answer = await worker.answer()
        if answer is not None:
            return False, [f"{kind} {point}: {answer['error']}"] if "error" in answer else []
        # Whoever sent the event had no answer and sends it again.
        answer = await (await crew.start(**command)).answer()
        wrong = check(ledger, [sale], repaired=False)
        if answer is None or answer.get("phases") != {sale: phase(kind, repaired=False)}:
            wrong.append(f"ended as {answer}")
        elif answer["counted"] != {sale: 1}:
            wrong.append(f"counted as {answer['counted']}")
        return True, [f"{kind} {point}: {what}" for what in wrong]
    finally:
        ledger.close()


async def random_kills(
    crew: Crew, database: str, *, sales: int, kills: int, processes: int = 3, seed: int = 7
) -> Findings:
    """Kill one of several processes now and then while they run sales; then replay the dead."""
    ledger = Ledger()
    chance = random.Random(seed)
    kinds = ["ok", "ok", "ok", "flaky", "unsure", "down", "bad"]
    names = [f"{kinds[number % len(kinds)]}-{number}" for number in range(sales)]
    command = {"database": database, "ledger": ledger.url, "sales": names, "seconds": 60.0}
    findings = Findings()
    try:
        workers = [
            await crew.start(**command, start=names[index::processes]) for index in range(processes)
        ]
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.1, 0.4))
            index = chance.randrange(processes)
            findings.killed += workers[index].alive
            workers[index].kill()
            # All are sent again: senders do not know which were taken.
            workers[index] = await crew.start(**command, start=names[index::processes])
        findings.wrong += await _finished(workers, names, repaired=False)
        findings.wrong += check(ledger, names, repaired=False)
        ledger.repaired = True
        dead = [name for name in names if name.startswith("down")]
        findings.wrong += await _finished([await crew.start(**command, replay=dead)], names)
        findings.wrong += check(ledger, names, repaired=True)
    finally:
        ledger.close()
    return findings


async def _finished(
    workers: Sequence[Worker], names: Sequence[str], *, repaired: bool = True
) -> list[str]:
    expected = {name: phase(name.partition("-")[0], repaired=repaired) for name in names}
    answers = [await worker.answer() for worker in workers]
    wrong = []
    for answer in answers:
        if answer is None or "phases" not in answer:
            wrong.append(f"a worker ended as {answer}")
        else:
            wrong += [f"{n} is {p}" for n, p in answer["phases"].items() if p != expected[n]]
            counted = answer["counted"]
            wrong += [f"{n} counts {counted.get(n)}" for n in names if counted.get(n) != 1]
    return wrong
