"""Runs whose length nobody can choose: they are part of a long soak only."""

from __future__ import annotations

import os

import pytest

# The longest of them takes a quarter of an hour.
LONG_SECONDS = 300.0
whole = pytest.mark.skipif(
    float(os.environ.get("SOAK_SECONDS", "30")) < LONG_SECONDS,
    reason=f"takes its time: SOAK_SECONDS={LONG_SECONDS:g} or more runs it",
)
