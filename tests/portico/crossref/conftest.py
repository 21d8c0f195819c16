"""A database for each kind of engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres, programs


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgres]:
    binaries = programs()
    if binaries is None:
        pytest.skip("needs postgresql: no such program here")
    server = Postgres(binaries)
    server.start()
    yield server
    server.close()
