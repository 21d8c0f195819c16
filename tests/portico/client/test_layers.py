"""Which tier may call which: every way a call can be wrong is a folder below fixtures/."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from portico.client.layers import callers_of, check
from portico.contract import contract_paths, load
from portico.problems import Problem

FIXTURES = Path(__file__).parent / "fixtures"
TODAY = dt.date(2026, 11, 20)


def cases() -> list[Path]:
    return sorted(path for path in FIXTURES.glob("*/*") if path.is_dir())


def findings_of(case: Path, today: dt.date = TODAY) -> list[str]:
    contracts = {found.name: found for found in (load(path) for path in contract_paths(case))}
    return [
        f"{finding.position.file.relative_to(case)}"
        f":{finding.position.line}:{finding.position.column}: {finding.rule}"
        for finding in check(contracts, today)
    ]


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.parent.name}/{case.name}")
def test_a_wrong_call_is_found_with_its_place_and_rule(case: Path) -> None:
    expected = (case / "expected.txt").read_text().splitlines()

    assert findings_of(case) == expected


def test_a_waiver_holds_to_the_end_of_its_day() -> None:
    case = FIXTURES / "nothing" / "waiver-in-date"

    assert findings_of(case, dt.date(2026, 11, 20)) == []
    assert findings_of(case, dt.date(2026, 11, 21)) == [
        "experience/shop.v1.yaml:6:3: layer-violation"
    ]


@pytest.mark.parametrize(
    ("caller", "callee", "allowed"),
    [
        ("experience/shop.v1", "experience/kiosk.v1", False),
        ("experience/shop.v1", "process/orders.v1", True),
        ("experience/shop.v1", "system/erp.v1", False),
        ("process/orders.v1", "experience/kiosk.v1", False),
        ("process/orders.v1", "process/stock.v1", True),
        ("process/orders.v1", "system/erp.v1", True),
        ("system/erp.v1", "experience/kiosk.v1", False),
        ("system/erp.v1", "process/orders.v1", False),
        ("system/erp.v1", "system/crm.v1", False),
        ("unknown/thing.v1", "process/orders.v1", False),
    ],
)
def test_a_call_is_taken_along_the_layers_only(caller: str, callee: str, allowed: bool) -> None:
    callers = callers_of(callee, {}, TODAY)

    if allowed:
        callers.check(caller)
        return
    with pytest.raises(Problem) as caught:
        callers.check(caller)
    assert caught.value.status == 403


def test_a_call_with_a_waiver_is_taken_until_the_waiver_ends() -> None:
    case = FIXTURES / "nothing" / "waiver-in-date"
    contracts = {found.name: found for found in (load(path) for path in contract_paths(case))}

    callers_of("system/erp.v1", contracts, dt.date(2026, 11, 20)).check("experience/shop.v1")
    for api, today in (("experience/shop.v1", 21), ("experience/other.v1", 20)):
        with pytest.raises(Problem):
            callers_of("system/erp.v1", contracts, dt.date(2026, 11, today)).check(api)


def test_what_a_finding_says_helps() -> None:
    case = FIXTURES / "unknown-call" / "no-such-operation"
    contracts = {found.name: found for found in (load(path) for path in contract_paths(case))}

    first = check(contracts, TODAY)[0]

    assert first.message == "system/erp.v1 has no operation deleteThing"
    assert first.hint == "its operations are listThings"


def test_the_contracts_of_this_repository_call_along_the_layers() -> None:
    root = Path(__file__).parents[3] / "specs" / "openapi"
    contracts = {found.name: found for found in (load(path, root) for path in contract_paths(root))}

    assert check(contracts, TODAY) == []
