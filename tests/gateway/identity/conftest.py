"""An issuer, its verifier and its forger, on one clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.identity.keys import KeyRing
from gateway.identity.tokens import TokenIssuer
from gateway.identity.verifier import TokenVerifier
from tests.gateway.identity.forging import ISSUER, Clock, Forger

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    return tmp_path / "identity" / "keys.json"


@pytest.fixture
def keys(key_path: Path) -> KeyRing:
    return KeyRing(key_path)


@pytest.fixture
def issuer(keys: KeyRing, clock: Clock) -> TokenIssuer:
    return TokenIssuer(keys, issuer=ISSUER, audience=ISSUER, clock=clock)


@pytest.fixture
def verifier(keys: KeyRing, clock: Clock) -> TokenVerifier:
    return TokenVerifier(
        keys, issuer=ISSUER, audience=ISSUER, clock=clock, failures_per_address="100000/minute"
    )


@pytest.fixture
def forger(keys: KeyRing) -> Forger:
    private_key = keys.snapshot.signing.private_key
    assert private_key is not None
    return Forger(private_key, str(keys.snapshot.signing.kid))
