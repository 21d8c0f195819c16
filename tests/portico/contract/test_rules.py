"""Every way a document can be wrong: a folder below fixtures/, with what is to be found in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.contract import Contract, ContractError, load, load_foreign

FIXTURES = Path(__file__).parent / "fixtures"
TIERS = ("system", "process", "experience", "partner")


def cases() -> list[Path]:
    return sorted(path for path in FIXTURES.glob("*/*") if path.is_dir())


def read(case: Path) -> Contract:
    """Load a case: a contract where there is a folder of a tier, else a document brought along."""
    contracts = [path for tier in TIERS for path in (case / tier).glob("*")]
    if contracts:
        return load(contracts[0])
    document = next(path for path in case.iterdir() if path.stem == "openapi")
    return load_foreign(document, name="fixture", base_path="/fixture")


def findings_of(case: Path) -> list[str]:
    with pytest.raises(ContractError) as caught:
        read(case)
    return [
        f"{finding.position.file.resolve().relative_to(case.resolve())}"
        f":{finding.position.line}:{finding.position.column}: {finding.rule}"
        for finding in caught.value.findings
    ]


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.parent.name}/{case.name}")
def test_a_wrong_document_is_refused_with_its_place_and_rule(case: Path) -> None:
    expected = (case / "expected.txt").read_text().splitlines()

    assert findings_of(case) == expected
