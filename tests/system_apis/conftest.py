"""Fixtures of the system APIs."""

from __future__ import annotations

from tests.support.tryton import (  # noqa: F401  fixtures and a hook, found by name
    fresh_tryton,
    new_name,
    pytest_collection_modifyitems,
    tryton,
    tryton_data,
)
