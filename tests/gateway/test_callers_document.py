"""docs/callers.md: the contract that it shows is one, and asks what the text says."""

from __future__ import annotations

import re
from pathlib import Path

from portico.contract import load_foreign
from portico.contract.security import Alternative, KeyNeed, Requirement

DOCUMENT = Path(__file__).parents[2] / "docs" / "callers.md"


def test_the_contract_of_the_document_asks_what_the_text_says(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "openapi.yaml").write_text(block)

    contract = load_foreign(tmp_path / "openapi.yaml", name="deliveries", base_path="/deliveries")

    read, write = contract.operations.values()
    key = KeyNeed("header", "X-Key", frozenset({"deliveries:read"}))
    assert read.security == Requirement(
        (Alternative(frozenset({"deliveries:read"})), Alternative(token=False, keys=(key,)))
    )
    assert write.security == Requirement(
        (Alternative(frozenset({"deliveries:write"}), certificate=True),)
    )
