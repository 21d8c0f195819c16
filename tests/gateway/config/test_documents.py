"""Examples in the documents are configurations that start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config import load_config

DOCS = Path(__file__).parents[3] / "docs"
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What is an example of a contract, not of the configuration.
CONTRACTS = frozenset({"callers.md", "idempotency.md"})


def examples() -> list[tuple[str, str]]:
    found = []
    for path in sorted(DOCS.glob("*.md")):
        if path.name not in CONTRACTS:
            texts = YAML.findall(path.read_text())
            found += [(f"{path.name}-{number}", text) for number, text in enumerate(texts)]
    return found


@pytest.mark.parametrize(("name", "text"), examples(), ids=[name for name, _ in examples()])
def test_an_example_is_understood(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)

    load_config(path, {})
