"""One configuration file, strictly decoded: what is not understood does not start."""

from gateway.config.errors import ConfigError
from gateway.config.load import load_config
from gateway.config.model import (
    API,
    CORS,
    Client,
    Config,
    External,
    Idempotency,
    Limits,
    LimitSettings,
    Listen,
    Metrics,
    RateLimits,
    Scopes,
)

__all__ = [
    "API",
    "CORS",
    "Client",
    "Config",
    "ConfigError",
    "External",
    "Idempotency",
    "LimitSettings",
    "Limits",
    "Listen",
    "Metrics",
    "RateLimits",
    "Scopes",
    "load_config",
]
