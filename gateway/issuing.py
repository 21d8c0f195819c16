"""The issuer of this gateway: its name, its keys, and what its tokens are for.

Apart from what serves it, so that a command that only mints a token does not load that.
"""

from __future__ import annotations

from pathlib import Path

from gateway.config import Config
from gateway.identity.key_schedule import RotationSchedule
from gateway.identity.keys import KeyRing

AUDIENCE = "portico"  # what tokens for the gateway as a whole are for
_DAY_SECONDS = 86_400


def public_url(config: Config, port: int) -> str:
    """Return how clients reach the gateway: as configured, else the address it listens on."""
    return config.public_url.rstrip("/") or f"http://{config.listen.host}:{port}"


def key_ring(config: Config) -> KeyRing:
    """Return the issuer's keys; their folder is made on first use."""
    path = Path(config.identity.key_file) if config.identity.key_file else None
    chosen = path or config.data / "identity" / "keys.json"
    chosen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    schedule = RotationSchedule(period_seconds=config.identity.key_rotation_days * _DAY_SECONDS)
    return KeyRing(chosen, config.identity.algorithm, schedule=schedule)
