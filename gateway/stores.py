"""The Redis of this process and what is kept in it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from gateway.config import Config, ConfigError
from gateway.config.secrets import SecretStore
from portico.idempotency.scope import Locator
from portico.idempotency.store import IdempotencyStore, StoreOptions
from portico.redis.address import RedisURLError
from portico.redis.client import RedisClient
from portico.redis.embedded.server import EmbeddedRedis
from portico.redis.errors import RedisUnavailable
from portico.redis.startup import Level, check

logger = logging.getLogger("portico.gateway")

_REFERENCES = ("env:", "file:")


class Stores:
    """What is open: nothing where no Redis is configured and the embedded one is off."""

    def __init__(self, redis: RedisClient | None, records: IdempotencyStore | None) -> None:
        self.redis = redis
        self.records = records

    @property
    def missing(self) -> str:
        """Return what keeps the process from being ready, or nothing."""
        if self.redis is None or self.redis.available:
            return ""
        return "redis cannot be reached"


@contextlib.asynccontextmanager
async def open_redis(config: Config, secrets: SecretStore) -> AsyncIterator[RedisClient | None]:
    """Open the configured or the embedded Redis. A configured one may be away: it is tried again.

    Raises ConfigError for a URL that is none, EmbeddedRedisError when the embedded server fails.
    """
    async with contextlib.AsyncExitStack() as stack:
        url = config.redis.url
        if url.startswith(_REFERENCES):
            url = secrets.resolve(url, "redis.url")
        if not url and config.embedded.redis:
            server = await stack.enter_async_context(EmbeddedRedis(config.data / "redis"))
            url = server.url
        if not url:
            yield None
            return
        try:
            redis = await stack.enter_async_context(await RedisClient.open(url))
        except RedisURLError as error:
            raise ConfigError("redis.url", str(error), "see docs/configuration.md") from None
        yield redis


@contextlib.asynccontextmanager
async def open_stores(
    config: Config, secrets: SecretStore, type_base: str
) -> AsyncIterator[Stores]:
    """Open Redis and what is kept in it. Raises what `open_redis` raises."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(config, secrets))
        if redis is None:
            yield Stores(None, None)
            return
        await _check(redis)
        secret = secrets.resolve(config.idempotency.secret, "idempotency.secret").encode()
        options = StoreOptions(
            type_base=type_base, quota_seconds=config.idempotency.retention_seconds
        )
        store = IdempotencyStore(redis, Locator(secret), options)
        records = await stack.enter_async_context(store)
        yield Stores(redis, records)


async def _check(redis: RedisClient) -> None:
    """Refuse a server that would lose records, and warn of what could not be made sure.

    A server that cannot be reached yet is not looked at: readiness tells of it.
    """
    try:
        findings = await check(redis)
    except RedisUnavailable:
        logger.warning("redis cannot be reached; writes with a key are refused until it is back")
        return
    for finding in findings:
        if finding.level is Level.REFUSE:
            raise ConfigError("redis.url", f"{finding.rule}: {finding.message}", finding.hint)
        logger.warning("redis %s: %s (%s)", finding.rule, finding.message, finding.hint)
