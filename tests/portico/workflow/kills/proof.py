"""The two ways to kill, and what must hold afterwards. The soak runs use more of the same."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from portico.workflow.state import POISON
from tests.portico.workflow.kills.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.portico.workflow.kills.crew import Crew

# What a worker saw in the end, None if it was killed.
Answer = dict[str, Any] | None

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
        answers = [await worker.answer() for worker in workers]
        poison = _poison(answers)
        others = [name for name in names if name not in poison]
        findings.wrong += _wrong(answers, others, repaired=False)
        findings.wrong += check(ledger, others, repaired=False)
        ledger.repaired = True
        dead = [name for name in names if name.startswith("down") or name in poison]
        answer = await (await crew.start(**command, replay=dead)).answer()
        findings.wrong += _wrong([answer], names, repaired=True)
        findings.wrong += check(ledger, names, repaired=True)
    finally:
        ledger.close()
    return findings


def _poison(answers: Sequence[Answer]) -> set[str]:
    """Return the sales whose process was killed so often that they are dead letters."""
    causes = [answer.get("causes", {}) for answer in answers if answer is not None]
    return {name for found in causes for name, cause in found.items() if cause == POISON}


def _wrong(answers: Sequence[Answer], names: Sequence[str], *, repaired: bool) -> list[str]:
    """Return what workers saw in the end that is not as it has to be."""
    wrong = []
    for answer in answers:
        if answer is None or "phases" not in answer:
            wrong.append(f"a worker ended as {answer}")
            continue
        for name in names:
            found, counted = answer["phases"][name], answer["counted"].get(name)
            if found != phase(name.partition("-")[0], repaired=repaired):
                wrong.append(f"{name} is {found}: {answer['causes'].get(name)}")
            if counted != 1:
                wrong.append(f"{name} counts {counted}")
    return wrong
