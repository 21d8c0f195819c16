"""Workflow databases of both kinds: what holds for one has to hold for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portico.workflow.database import WorkflowDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> WorkflowDatabase:
    if request.param == "sqlite":
        return WorkflowDatabase.in_folder(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return WorkflowDatabase.parse(server.new_database())


@pytest.fixture
def sqlite(tmp_path: Path) -> WorkflowDatabase:
    """Return the embedded database, for what does not depend on the kind."""
    return WorkflowDatabase.in_folder(tmp_path)
