"""Which tier may call which: checked for every entry of `x-calls`, and for every call."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from portico.contract import Contract, Finding
from portico.problems import CALLER_NOT_ALLOWED, Problem

ALLOWED = {
    "experience": frozenset({"process"}),
    "process": frozenset({"process", "system"}),
    "system": frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Callers:
    """The APIs from which an API takes calls: those of some tiers, and those with a waiver."""

    api: str
    tiers: frozenset[str]
    waived: frozenset[str] = frozenset()

    def check(self, name: str) -> None:
        """Raise 403 for an API of the tiers that may not call; others are not its business."""
        tier, slash, _ = name.partition("/")
        if slash and tier not in self.tiers and name not in self.waived:
            raise Problem(
                CALLER_NOT_ALLOWED, f"{self.api} takes no calls of {name}: its layer is another"
            )


def callers_of(name: str, contracts: Mapping[str, Contract], today: dt.date) -> Callers:
    """Return who may call an API, by the same rules as those for `x-calls`."""
    callee = name.partition("/")[0]
    return Callers(
        name,
        frozenset(tier for tier, below in ALLOWED.items() if callee in below),
        frozenset(
            contract.name
            for contract in contracts.values()
            if (contract.tier, callee) == ("experience", "system")
            and _is_waived(contract.waivers.get(name), today)
        ),
    )


def check(contracts: Mapping[str, Contract], today: dt.date) -> list[Finding]:
    """Return the findings over all `x-calls`: unknown callees, broken layers, circles."""
    findings: list[Finding] = []
    for contract in contracts.values():
        for callee, operations in contract.calls.items():
            findings.extend(_entry(contracts, contract, callee, operations, today))
    findings.extend(_circles(contracts))
    return findings


def _entry(
    contracts: Mapping[str, Contract],
    contract: Contract,
    callee: str,
    operations: tuple[str, ...],
    today: dt.date,
) -> Iterator[Finding]:
    position = contract.position("x-calls", callee)
    target = contracts.get(callee)
    if target is None:
        yield Finding(
            position=position,
            rule="unknown-callee",
            message=f"{contract.name} lists {callee}, which has no contract",
            hint="correct the name, or add the contract",
        )
        return
    for operation in operations:
        if operation not in target.operations:
            yield Finding(
                position=position,
                rule="unknown-call",
                message=f"{callee} has no operation {operation}",
                hint=f"its operations are {', '.join(sorted(target.operations))}",
            )
        elif not target.operations[operation].security.callable:
            yield Finding(
                position=position,
                rule="unreachable-call",
                message=f"{callee} lets nobody call {operation} with a token alone",
                hint="add an alternative with an oauth2 scheme to its security: tiers have tokens",
            )
    if target.tier not in ALLOWED[contract.tier]:
        yield from _layer(contract, target, today)


def _layer(contract: Contract, target: Contract, today: dt.date) -> Iterator[Finding]:
    """Yield a finding unless a waiver in date allows experience to call system."""
    hint = "call through a process API: experience, process and system call downwards only"
    message = f"{contract.tier} APIs do not call {target.tier} APIs: {target.name}"
    if (contract.tier, target.tier) == ("experience", "system"):
        waiver = contract.waivers.get(target.name)
        if waiver is not None:
            if _is_waived(waiver, today):
                return
            until = _date(waiver.get("until"))
            message += "; its waiver has ended" if until else "; its waiver has no valid date"
        hint = (
            "call through a process API, or add x-layer-waivers with `until` (a date) and `reason`"
        )
    yield Finding(
        position=contract.position("x-calls", target.name),
        rule="layer-violation",
        message=message,
        hint=hint,
    )


def _is_waived(waiver: Mapping[str, str] | None, today: dt.date) -> bool:
    until = _date(waiver.get("until")) if waiver else None
    return until is not None and until >= today and bool(waiver and waiver.get("reason"))


def _date(value: object) -> dt.date | None:
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError:
        return None


def _circles(contracts: Mapping[str, Contract]) -> Iterator[Finding]:
    done: set[str] = set()
    for name in contracts:
        path = _circle(contracts, name, [], done)
        done.update(path)  # one circle is one finding, wherever it is entered
        if path:
            first = contracts[path[0]]
            yield Finding(
                position=first.position("x-calls", path[1]),
                rule="circular-calls",
                message=" calls ".join(path),
                hint="move what both need into an API of its own",
            )


def _circle(
    contracts: Mapping[str, Contract], name: str, path: list[str], done: set[str]
) -> list[str]:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in done or name not in contracts:
        return []
    for callee in contracts[name].calls:
        found = _circle(contracts, callee, [*path, name], done)
        if found:
            return found
    done.add(name)
    return []
