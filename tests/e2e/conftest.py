"""The whole network as a user starts it: one process of `portico serve`, with a real Tryton."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from gateway.config.secrets import SecretStore
from gateway.sandboxes import secret_of
from portico.sandbox.running import Running
from system_apis.quickbooks.sandbox.kind import QuickBooksKind
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.support.sandbox import running_beside
from tests.support.tryton import (  # noqa: F401  # fixtures, and the hook that allows for the set-up
    DATA,
    pytest_collection_modifyitems,
    tryton_data,
)

READY_SECONDS = 60
CLIENT = "everything"
CARE = "customer-care"
BOOKS = QuickBooksKind()
SCOPES = (
    "[storefront:read, storefront:write, orders:read, orders:write, inventory:read, "
    "inventory:write, catalog:read, customer-360:read, "
    "tryton:read, tryton:write, stripe:read, stripe:write, "
    "quickbooks:read, quickbooks:write, salesforce:read, salesforce:write, sap:read, sap:write, "
    "operations:read, operations:write, order-to-cash:read, order-to-cash:write, "
    "reconciliation:read, reconciliation:write]"
)
CONFIG = f"""\
listen: {{port: 0}}
data: {DATA.parent}
clients:
  {CLIENT}: {{secret: 'generated:{CLIENT}', scopes: {SCOPES}}}
  {CARE}: {{secret: 'generated:{CARE}', scopes: [customer-360:read]}}
  web-shop: {{secret: 'generated:web-shop', scopes: [storefront:read, storefront:write]}}
apis:
  system/tryton.v1: {{exposed: true}}
  # A busy machine takes its time, and tests want the order, not the promise of one.
  process/orders.v1: {{settings: {{answer_seconds: 60}}}}
  system/stripe.v1: {{exposed: true}}
  {BOOKS.api}: {{exposed: true}}
  system/salesforce.v1: {{exposed: true}}
  system/sap.v1: {{exposed: true}}
"""


@dataclass(slots=True)
class Network:
    """A running network: where it is, what it printed, and how to call it."""

    process: subprocess.Popen[str]
    url: str
    printed: list[str]
    http: httpx.Client = field(default_factory=httpx.Client)

    def token(self, client: str = CLIENT) -> str:
        """Return a new access token of a client."""
        secret = (DATA.parent / "secrets" / client).read_text().strip()
        answer = self.http.post(
            f"{self.url}/oauth2/token",
            auth=(client, secret),
            data={"grant_type": "client_credentials"},
        )
        token: str = answer.json()["access_token"]
        return token


@contextlib.contextmanager
def running(folder: Path, *words: str, config: str = CONFIG) -> Iterator[Network]:
    """Run `portico serve` until the end of the block, in a folder with this configuration."""
    (folder / "portico.yaml").write_text(config)
    environment = {name: value for name, value in os.environ.items() if name != "PORT"}
    errors = folder / "errors.txt"
    with (
        errors.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "serve", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=environment,
        ) as process,
    ):
        try:
            printed = _until_ready(process, errors)
            line = next(line for line in printed if "Portico is ready at" in line)
            url = line.split(" at ")[1].split(" ")[0].strip()
            with httpx.Client(timeout=30.0) as http:
                yield Network(process, url, printed, http)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=30)


def _until_ready(process: subprocess.Popen[str], errors: Path) -> list[str]:
    printed = []
    for line in process.stdout or ():
        printed.append(line)
        if "Ctrl-C" in line or (line.startswith("Portico is ready at") and "portal:" in line):
            return printed
    raise RuntimeError(f"the network did not start: {''.join(printed)}{errors.read_text()}")


@pytest.fixture(scope="session")
def books() -> Iterator[Running]:
    """Run QuickBooks' sandbox where a test can make it go wrong; the others are the network's."""
    with running_beside(BOOKS, secret_of(SecretStore(DATA.parent))) as found:
        assert isinstance(found.sandbox, QuickBooksSandbox)
        # The connector keeps to ten a second, but on a busy machine some arrive closer together
        # than they began, and QuickBooks would then have nothing to do with it for a minute.
        found.sandbox.requests_per_second = 100
        yield found


@pytest.fixture(scope="session")
def network(
    tryton_data: Path,  # noqa: F811  # a fixture
    books: Running,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Network]:
    """Run the network once for all tests, on a fresh copy of the seeded ERP."""
    shutil.rmtree(tryton_data / "live", ignore_errors=True)
    # These remember the old ERP's sales.
    shutil.rmtree(DATA.parent / "redis", ignore_errors=True)
    shutil.rmtree(DATA.parent / "workflows", ignore_errors=True)
    shutil.rmtree(DATA.parent / "sandboxes", ignore_errors=True)
    shutil.rmtree(DATA.parent / "tokens", ignore_errors=True)
    for file in DATA.parent.glob("references.sqlite*"):
        file.unlink()
    api = json.dumps({"exposed": True, "settings": BOOKS.settings(books.url)})
    config = CONFIG.replace(f"{BOOKS.api}: {{exposed: true}}", f"{BOOKS.api}: {api}")
    with running(tmp_path_factory.mktemp("network"), "--announce", config=config) as found:
        yield found
