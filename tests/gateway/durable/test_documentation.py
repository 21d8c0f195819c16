"""What docs/processes.md shows works: its configurations, and its workflow as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from gateway.config import Config, load_config
from portico.webhooks.standard import decode_signing_secret, sign
from system_apis.quickbooks.sandbox.kind import QuickBooksKind
from tests.gateway.durable.conftest import HERE, SECRET, SPECS, settings
from tests.support.sandbox import SECRET as BOOKS_SECRET
from tests.support.sandbox import running_beside
from tests.support.serving import Served, eventually, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (SPECS.parent / "docs" / "processes.md").read_text()
CONFIGURATIONS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
WORKFLOWS, *_ = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
BOOKS = "system/quickbooks.v1"


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=["workflows", "doors", "subscribers"])
def test_a_configuration_of_the_documentation_is_understood(tmp_path: Path, block: str) -> None:
    path = tmp_path / "portico.yaml"
    path.write_text(block)

    load_config(path, {})


def write_api(folder: Path) -> None:
    """Write the API of the documentation: its workflow, and the contract it needs."""
    package = folder / "process_apis" / "welcome"
    package.mkdir(parents=True)
    shutil.copy(HERE / "process_apis" / "tally" / "handlers.py", package)
    (package / "workflows.py").write_text(WORKFLOWS)
    text = (HERE / "contracts" / "tally.v1.yaml").read_text().replace("tally", "welcome")
    contract = yaml.safe_load(text) | {"x-calls": {BOOKS: ["putCustomer"]}}
    path = folder / "specs" / "openapi" / "process" / "welcome.v1.yaml"
    path.write_text(json.dumps(contract))


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    chosen = settings(tmp_path)
    (tmp_path / "specs/openapi/process/tally.v1.yaml").unlink()
    (tmp_path / "specs/openapi/system").mkdir()
    shutil.copy(SPECS / "openapi" / f"{BOOKS}.yaml", tmp_path / "specs/openapi/system")
    write_api(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    chosen["webhooks"]["doors"]["shop"]["workflow"] = "welcome.v1"
    (tmp_path / "books-secret").write_text(BOOKS_SECRET)
    reference = f"file:{tmp_path / 'books-secret'}"
    with running_beside(QuickBooksKind()) as books:
        own = dict(books.kind.settings(books.url))
        own |= {name: reference for name, value in own.items() if "generated:" in str(value)}
        chosen["apis"] = {BOOKS: {"exposed": True, "settings": own}}
        with serving(Config.model_validate(chosen)) as gateway:
            yield gateway


def test_the_workflow_of_the_documentation_brings_a_person_into_the_books(served: Served) -> None:
    body = json.dumps({"type": "person.joined", "key": "C-7001", "name": "Nora Berg"}).encode()
    at = int(time.time())
    signature = sign([decode_signing_secret(SECRET)], "msg_1", at, body)
    headers = {"webhook-timestamp": str(at), "webhook-signature": signature}
    for _ in range(2):
        taken = served.request(
            "POST",
            "/webhooks/shop",
            token="",
            content=body,
            headers={"webhook-id": "msg_1", **headers},
        )
        assert taken.status_code == 200

    def found() -> list[str]:
        token = served.token("quickbooks:read")
        answer = served.request("GET", "/system/quickbooks/v1/customers?limit=100", token=token)
        return [customer["name"] for customer in answer.json()["items"]]

    assert eventually(lambda: "Nora Berg" in found())
    assert found().count("Nora Berg") == 1
