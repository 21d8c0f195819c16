"""The command line, run in this process or as one of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.cli import main
from tests.support.commands import Done, Run
from tests.support.serving import CONTRACTS, NETWORK
from tests.support.tryton import (  # noqa: F401  # a fixture, and the hook that allows for the set-up
    pytest_collection_modifyitems,
    tryton_data,
)


@pytest.fixture
def portico(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process."""

    def run(*words: str | Path) -> Done:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # what argparse does with wrong words
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the configuration file of the tests' network."""
    path = tmp_path / "portico.yaml"
    path.write_text(
        f"""\
listen: {{port: 0}}
data: data
contracts: {CONTRACTS}
clients:
  shop: {{secret: 'generated:shop', scopes: ['kiosk:use', 'kiosk:one'], subject: ada}}
  other: {{secret: 'generated:other', scopes: ['basket:use']}}
apis:
  process/absent.v1: {{url: 'http://127.0.0.1:9'}}
embedded: {{tryton: false}}
"""
    )
    assert str(NETWORK) in sys.path
    return path
