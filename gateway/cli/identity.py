"""What commands about identity share: the store of the running gateway, and words for failures."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.app import load_external, scopes_of
from gateway.authorization_server import server_state
from gateway.cli.output import CannotRunError
from gateway.composition import load_contracts
from gateway.config import Config
from gateway.config.secrets import SecretStore
from gateway.identity.server.state import ServerState
from gateway.stores import open_redis
from portico.redis.errors import RedisFailure

T = TypeVar("T")


def with_state(config: Config, work: Callable[[ServerState], Awaitable[T]]) -> T:
    """Return what is done with the state that the gateway of this configuration has.

    The embedded Redis is the running gateway's, or is started for as long as this takes.
    """
    return asyncio.run(_with_state(config, work))


async def _with_state(config: Config, work: Callable[[ServerState], Awaitable[T]]) -> T:
    secrets = SecretStore(config.data)
    async with open_redis(config, secrets) as redis:
        if redis is None:
            raise CannotRunError(
                "there is no store",
                "redis.url is empty and the embedded Redis is switched off",
                "configure one of them; clients of the file need no store",
            )
        try:
            return await work(server_state(config, secrets, redis))
        except RedisFailure as failure:
            raise CannotRunError(
                "the store cannot be used", str(failure), "check redis.url and try again"
            ) from failure


def check_scopes(config: Config, scopes: Sequence[str]) -> None:
    """Raise CannotRunError for a scope that no contract declares."""
    contracts = [*load_contracts(config).values(), *load_external(config).values()]
    known = scopes_of(contracts)
    unknown = sorted(set(scopes) - set(known))
    if unknown:
        raise CannotRunError(
            f"the scope {', '.join(unknown)} cannot be given",
            "no contract declares it",
            f"the scopes are {', '.join(known)}",
        )


def check_plan(config: Config, plan: str) -> None:
    """Raise CannotRunError for a plan that the configuration does not have."""
    if plan and plan not in config.rate_limits.plans:
        raise CannotRunError(
            f"there is no plan {plan!r}",
            f"the plans are {', '.join(config.rate_limits.plans) or 'none'}",
            "add it to rate_limits.plans first",
        )


def as_day(seconds: int) -> str:
    """Return a time of the epoch as people read it, nothing for one that does not apply."""
    if not seconds:
        return "-"
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as columns of text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
