"""Which tier may call which, checked for every entry of `x-calls`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from portico.contract import Contract, Finding

ALLOWED = {
    "experience": frozenset({"process"}),
    "process": frozenset({"process", "system"}),
    "system": frozenset[str](),
}


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
    if target.tier not in ALLOWED[contract.tier]:
        yield from _layer(contract, target, today)


def _layer(contract: Contract, target: Contract, today: dt.date) -> Iterator[Finding]:
    """Yield a finding unless a waiver in date allows experience to call system."""
    hint = "call through a process API: experience, process and system call downwards only"
    message = f"{contract.tier} APIs do not call {target.tier} APIs: {target.name}"
    if (contract.tier, target.tier) == ("experience", "system"):
        waiver = contract.waivers.get(target.name)
        if waiver is not None:
            until = _date(waiver.get("until"))
            if until is not None and until >= today and waiver.get("reason"):
                return
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
