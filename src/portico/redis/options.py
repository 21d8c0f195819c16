"""How a client treats its server: time, space and credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What must hold before a write that asked for it counts: copies in time.

    `local_disk` asks for the primary's own fsync too, with WAITAOF (Redis 7.2, Valkey).
    """

    replicas: int = 1
    timeout_seconds: float = 0.05
    local_disk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    """Limits of one client; the defaults suit a server in the same data centre."""

    # Credentials given here win over those of the URL.
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    client_name: str = "portico"
    # Connections to each server; commands are spread over them in turn.
    connections: int = 1
    connect_seconds: float = 2.0
    # A command fails this long after it was given to the client, unless its caller says otherwise.
    timeout_seconds: float = 1.0
    # A connection on which commands wait and no reply arrives for this long is dropped; so no
    # command may take longer, however much time its caller gives it.
    stall_seconds: float = 1.0
    # A connection without traffic is tried this often, so that `available` is the truth, and so
    # often the Sentinels are asked whether it still leads to the primary.
    heartbeat_seconds: float = 1.0
    max_waiting: int = 4096
    max_waiting_bytes: int = 64 * 1024 * 1024
    first_retry_seconds: float = 0.05
    max_retry_seconds: float = 2.0
    acknowledgement: Acknowledgement | None = None
