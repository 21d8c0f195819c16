"""Whether a server may keep what must not be lost: checked once, when it is first reached."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from portico.redis.client import RedisClient
from portico.redis.errors import RedisRefused
from portico.redis.options import Acknowledgement

Durability = Literal["default", "strict"]

_OLDEST = (6, 2)
_WAITAOF_SINCE = (7, 2)
_SETTINGS = ("maxmemory-policy", "appendonly", "appendfsync")


class Level(StrEnum):
    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFinding:
    """What is wrong with one server; with REFUSE, Portico must not use it."""

    level: Level
    rule: str
    server: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.server}: {self.rule}: {self.message}\n    hint: {self.hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server told about itself; None where it would not."""

    version: tuple[int, ...] | None = None
    role: str | None = None
    replicas: int | None = None
    policy: str | None = None
    append_only: bool | None = None
    fsync: str | None = None


async def check(client: RedisClient, durability: Durability = "default") -> list[ServerFinding]:
    """Return what is wrong with each primary. Raises RedisUnavailable if one does not answer."""
    information = await _ask(client, "INFO")
    settings = {name: await _ask(client, "CONFIG", "GET", name) for name in _SETTINGS}
    findings: list[ServerFinding] = []
    for server in information.keys() | settings[_SETTINGS[0]].keys() or {"redis"}:
        values = {name: _setting(replies.get(server), name) for name, replies in settings.items()}
        facts = facts_from(_fields(information.get(server)), values)
        findings.extend(judge(facts, durability, client.options.acknowledgement, server=server))
    return findings


def judge(
    facts: ServerFacts,
    durability: Durability,
    acknowledgement: Acknowledgement | None,
    *,
    server: str,
) -> Iterator[ServerFinding]:
    """Return what is wrong with a server of which this is known."""
    for level, rule, message, hint in (
        *_unknown(facts),
        *_memory(facts),
        *_place(facts),
        *_disk(facts, durability),
        *_copies(facts, durability, acknowledgement),
    ):
        yield ServerFinding(level=level, rule=rule, server=server, message=message, hint=hint)


_Rule = tuple[Level, str, str, str]


def _unknown(facts: ServerFacts) -> Iterator[_Rule]:
    names = {
        "the version": facts.version,
        "the role": facts.role,
        "maxmemory-policy": facts.policy,
        "appendonly": facts.append_only,
    }
    missing = [name for name, value in names.items() if value is None]
    if missing:
        yield (
            Level.WARN,
            "unchecked",
            f"INFO and CONFIG are not permitted: {', '.join(missing)} could not be checked",
            "permit INFO to this user, or see to it that the policy is noeviction",
        )


def _memory(facts: ServerFacts) -> Iterator[_Rule]:
    if facts.policy not in (None, "noeviction"):
        yield (
            Level.REFUSE,
            "eviction",
            f"maxmemory-policy is {facts.policy}: it deletes records that must be kept",
            "set maxmemory-policy to noeviction",
        )


def _place(facts: ServerFacts) -> Iterator[_Rule]:
    if facts.version is not None and facts.version < _OLDEST:
        found = ".".join(map(str, facts.version))
        yield Level.REFUSE, "version", f"Redis {found} is too old", "use Redis 6.2 or later"
    if facts.role not in (None, "master"):
        yield (
            Level.REFUSE,
            "replica",
            "this is a replica: it takes no writes",
            "give the address of the primary, or redis+sentinel://",
        )


def _disk(facts: ServerFacts, durability: Durability) -> Iterator[_Rule]:
    level = Level.REFUSE if durability == "strict" else Level.WARN
    if facts.append_only is False:
        yield (
            level,
            "append-only",
            "appendonly is off: a restart forgets what was answered",
            "set appendonly to yes",
        )
    elif facts.fsync == "no":
        yield (
            level,
            "fsync",
            "appendfsync is no: a power cut loses as much as the system likes",
            "set appendfsync to everysec or always",
        )


def _copies(
    facts: ServerFacts, durability: Durability, acknowledgement: Acknowledgement | None
) -> Iterator[_Rule]:
    if acknowledgement is None:
        if durability == "strict" and facts.replicas:
            yield (
                Level.WARN,
                "acknowledgement",
                f"{facts.replicas} replicas, and no write waits for one: a failover loses the last",
                "ask for an acknowledgement of 1 replica",
            )
        return
    if acknowledgement.local_disk and facts.version and facts.version < _WAITAOF_SINCE:
        yield Level.REFUSE, "waitaof", "the server has no WAITAOF", "use Redis 7.2 or later"
    if facts.replicas is not None and facts.replicas < acknowledgement.replicas:
        yield (
            Level.WARN,
            "replicas",
            f"of {acknowledgement.replicas} replicas that must confirm, {facts.replicas} are there",
            "start the replicas, or ask for fewer",
        )


def facts_from(information: Mapping[str, str], settings: Mapping[str, str | None]) -> ServerFacts:
    """Return what INFO tells and, where it does not, CONFIG GET."""
    append_only = information.get("aof_enabled") or settings.get("appendonly")
    replicas = information.get("connected_slaves")
    return ServerFacts(
        version=_version(information.get("redis_version")),
        role=information.get("role"),
        replicas=int(replicas) if replicas and replicas.isdigit() else None,
        policy=information.get("maxmemory_policy") or settings.get("maxmemory-policy"),
        append_only=None if append_only is None else append_only in ("1", "yes"),
        fsync=settings.get("appendfsync"),
    )


def _version(text: str | None) -> tuple[int, ...] | None:
    found = re.match(r"\d+(?:\.\d+)*", text or "")
    return tuple(map(int, found[0].split("."))) if found else None


async def _ask(client: RedisClient, *command: str) -> dict[str, object]:
    """Return the replies by server, none where the command is not permitted."""
    try:
        return await client.execute_everywhere(*command)
    except RedisRefused:
        return {}


def _fields(reply: object) -> dict[str, str]:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}


def _setting(reply: object, name: str) -> str | None:
    pairs = reply if isinstance(reply, dict) else {}
    value = pairs.get(name.encode())
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None
