"""What operators watch, in the text format of Prometheus, at `/metrics`."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import connector_metrics
from gateway.endpoints import Endpoint
from gateway.stores import Stores
from portico.connectors.connection import Connection

# From an answer of the cache to the default deadline, each twice or two and a half times the last.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BOUNDS = (*map(str, _SECONDS), "+Inf")
_OPERATION = ["api", "operation"]


class RequestMetrics:
    """Counts requests by operation; what is no operation of a contract is counted together.

    With what the connections to systems, given by API, count for themselves.
    """

    def __init__(self, connections: Mapping[str, Connection] | None = None) -> None:
        self._connections = connections or {}
        self._statuses: Counter[tuple[str, str, int]] = Counter()
        self._durations: dict[tuple[str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str], float] = {}

    def note(self, endpoint: Endpoint | None, status: int, seconds: float) -> None:
        """Count a request; `seconds` is how long it took."""
        name = ("", "") if endpoint is None else endpoint.labels
        self._statuses[*name, status] += 1
        if endpoint is None:
            return
        buckets = self._durations.get(name)
        if buckets is None:
            buckets = self._durations[name] = [0] * len(_BOUNDS)
            self._seconds[name] = 0.0
        buckets[bisect_left(_SECONDS, seconds)] += 1
        self._seconds[name] += seconds

    def collect(self) -> Iterator[Metric]:
        counted = CounterMetricFamily(
            "portico_requests", "Requests by operation and status.", labels=[*_OPERATION, "status"]
        )
        for (api, operation, status), count in self._statuses.items():
            counted.add_metric([api, operation, str(status)], count)
        yield counted
        took = HistogramMetricFamily(
            "portico_request_duration_seconds", "How long requests took.", labels=_OPERATION
        )
        for name, buckets in self._durations.items():
            total, rows = 0, []
            for bound, count in zip(_BOUNDS, buckets, strict=True):
                total += count
                rows.append((bound, total))
            took.add_metric(list(name), rows, self._seconds[name])
        yield took
        yield from connector_metrics.collect(self._connections)


class _Stores(Collector):
    """What limits, records and Redis count for themselves."""

    def __init__(self, requests: RequestMetrics, stores: Stores) -> None:
        self._requests = requests
        self._stores = stores

    def collect(self) -> Iterator[Metric]:
        yield from self._requests.collect()
        yield from self._limits()
        if self._stores.records is not None:
            yield _family(
                "portico_idempotency",
                "What became of requests with a key, by event.",
                self._stores.records.counters,
            )
        if self._stores.redis is not None:
            yield GaugeMetricFamily(
                "portico_redis_available",
                "Whether a command given now would be sent.",
                value=float(self._stores.redis.available),
            )

    def _limits(self) -> Iterator[Metric]:
        engine = self._stores.engine
        yield _family(
            "portico_rate_limit", "Decisions of rate limits, by outcome.", engine.statistics
        )
        yield GaugeMetricFamily(
            "portico_rate_limit_alone",
            "Whether limits are counted by this process alone, because Redis is away.",
            value=float(engine.away),
        )


def _family(name: str, text: str, counters: object) -> Metric:
    """Return a family with one counter for each field of a dataclass."""
    family = CounterMetricFamily(name, text, labels=["event"])
    for field in dataclasses.fields(counters):  # type: ignore[arg-type]  # a dataclass of counts
        family.add_metric([field.name], getattr(counters, field.name))
    return family


def metrics_route(requests: RequestMetrics, stores: Stores, networks: Sequence[str]) -> Route:
    """Return `/metrics`, which is not there for peers outside of `networks`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Stores(requests, stores))
    allowed = [ip_network(network) for network in networks]

    async def respond(request: Request) -> Response:
        peer = ip_address(request.client.host) if request.client else None
        if peer is None or not any(peer in network for network in allowed):
            raise HTTPException(404)
        headers = {"cache-control": "no-store"}
        return Response(generate_latest(registry), headers=headers, media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", respond, methods=["GET"])
