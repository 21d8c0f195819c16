"""The Redis of this process and what is kept in it."""

from __future__ import annotations

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
        # Without a Redis the process counts alone.
        self.engine = engine or LimitEngine(None)

    @property
    def missing(self) -> str:
        """Return what keeps the process from being ready, or nothing."""
        if self.redis is None or self.redis.available:
            return ""
        return "redis cannot be reached"


@contextlib.asynccontextmanager
async def open_stores(
    config: Config, secrets: SecretStore, type_base: str
) -> AsyncIterator[Stores]:
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
            yield Stores()
            return
        try:
            client = await RedisClient.open(url, options=_options(config))
        except RedisURLError as error:
            raise ConfigError("redis.url", str(error), "see docs/configuration.md") from None
        redis = await stack.enter_async_context(client)
        await _check(redis, config.redis.durability)
        secret = secrets.resolve(config.idempotency.secret, "idempotency.secret").encode()
        options = StoreOptions(
            type_base=type_base,
            acknowledged=config.redis.replicas > 0,
            max_keys=config.idempotency.max_keys_per_client,
            quota_seconds=config.idempotency.retention_seconds,
        )
        locator = Locator(secret)
        store = IdempotencyStore(redis, locator, options)
        records = await stack.enter_async_context(store)
        engine = LimitEngine(redis, workers=config.rate_limits.processes)
        stack.push_async_callback(engine.close)
        yield Stores(redis, records, locator, engine)


def _options(config: Config) -> RedisOptions:
    replicas = config.redis.replicas
    return RedisOptions(acknowledgement=Acknowledgement(replicas=replicas) if replicas else None)


async def _check(redis: RedisClient, durability: Durability) -> None:
    """Refuse a server that would lose records, and warn of what could not be made sure.

    A server that cannot be reached yet is not looked at: readiness tells of it.
    """
    try:
        findings = await check(redis, durability)
    except RedisUnavailable:
        logger.warning("redis cannot be reached; writes with a key are refused until it is back")
        return
    for finding in findings:
        if finding.level is Level.REFUSE:
            raise ConfigError("redis.url", f"{finding.rule}: {finding.message}", finding.hint)
        logger.warning("redis %s: %s (%s)", finding.rule, finding.message, finding.hint)
