"""The Redis of this process and what is kept in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from gateway.config import Config, ConfigError
from gateway.config.secrets import SecretStore
from portico.idempotency.scope import Locator
from portico.idempotency.store import IdempotencyStore, StoreOptions
from portico.limits.engine import LimitEngine
from portico.redis.address import RedisURLError
from portico.redis.client import RedisClient
from portico.redis.embedded.server import EmbeddedRedis
from portico.redis.errors import RedisUnavailable
from portico.redis.options import Acknowledgement, RedisOptions
from portico.redis.startup import Durability, Level, check

logger = logging.getLogger("portico.gateway")

_REFERENCES = ("env:", "file:")
_CHECK_SECONDS = 1.0


class Stores:
    """What is open: nothing where no Redis is configured and the embedded one is off."""

    def __init__(
        self,
        redis: RedisClient | None = None,
        records: IdempotencyStore | None = None,
        locator: Locator | None = None,
        engine: LimitEngine | None = None,
    ) -> None:
        self.redis = redis
        self.records = records
        self.locator = locator
        self.unfit = ""  # why the server must not be used, where that was found out late
        # Without a Redis the process counts alone.
        self.engine = engine or LimitEngine(None)

    @property
    def missing(self) -> str:
        """Return what keeps the process from being ready, or nothing."""
        if self.unfit:
            return self.unfit
        if self.redis is None or self.redis.available:
            return ""
        return "redis cannot be reached"

    async def check_later(self, durability: Durability) -> None:
        """Look at a server that was away at the start, once it is there."""
        if self.redis is None:
            return
        while not self.unfit:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                if self.redis.available and await _is_checked(self.redis, durability):
                    return
            except ConfigError as error:
                self.unfit = f"redis must not be used: {error.cause}"
                logger.critical("%s (%s)", self.unfit, error.hint)


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
            client = await RedisClient.open(url, options=_options(config))
        except RedisURLError as error:
            raise ConfigError("redis.url", str(error), "see docs/configuration.md") from None
        yield await stack.enter_async_context(client)


def key_locator(config: Config, secrets: SecretStore) -> Locator:
    """Return what names the records of keys."""
    return Locator(secrets.resolve(config.idempotency.secret, "idempotency.secret").encode())


@contextlib.asynccontextmanager
async def open_stores(
    config: Config, secrets: SecretStore, type_base: str
) -> AsyncIterator[Stores]:
    """Open Redis and what is kept in it. Raises ConfigError for a server that must not be used."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(config, secrets))
        if redis is None:
            yield Stores()
            return
        options = StoreOptions(
            type_base=type_base,
            acknowledged=config.redis.replicas > 0,
            max_keys=config.idempotency.max_keys_per_client,
            quota_seconds=config.idempotency.retention_seconds,
        )
        locator = key_locator(config, secrets)
        records = await stack.enter_async_context(IdempotencyStore(redis, locator, options))
        engine = LimitEngine(redis, workers=config.rate_limits.processes)
        stack.push_async_callback(engine.close)
        stores = Stores(redis, records, locator, engine)
        if not await _is_checked(redis, config.redis.durability):
            later = asyncio.create_task(stores.check_later(config.redis.durability))
            stack.callback(later.cancel)
        yield stores


def _options(config: Config) -> RedisOptions:
    replicas = config.redis.replicas
    return RedisOptions(acknowledgement=Acknowledgement(replicas=replicas) if replicas else None)


async def _is_checked(redis: RedisClient, durability: Durability) -> bool:
    """Refuse a server that would lose records, and warn of what could not be made sure.

    Return False for a server that cannot be reached yet: readiness tells of it.
    """
    try:
        findings = await check(redis, durability)
    except RedisUnavailable:
        logger.warning("redis cannot be reached; writes with a key are refused until it is back")
        return False
    for finding in findings:
        if finding.level is Level.REFUSE:
            raise ConfigError("redis.url", f"{finding.rule}: {finding.message}", finding.hint)
        logger.warning("redis %s: %s (%s)", finding.rule, finding.message, finding.hint)
    return True
