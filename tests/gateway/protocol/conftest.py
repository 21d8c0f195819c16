"""One server for the tests that do not need limits of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.protocol.wire import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def served(shared: Served) -> Served:
    """Return the server of this module with nothing seen yet."""
    shared.app.seen.clear()
    shared.app.scopes.clear()
    shared.app.gate.clear()
    shared.refusals.clear()
    shared.app.disconnects = 0
    return shared
