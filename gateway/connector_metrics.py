"""What connectors count of their systems: calls, tries, failures, time, limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from portico.connectors.connection import Connection

_LABELS = ("api", "operation")


def collect(connections: Mapping[str, Connection]) -> Iterator[Metric]:
    """Yield the families of the connections, which are given by API."""
    calls = CounterMetricFamily("portico_connector_calls", "Calls of a system.", labels=_LABELS)
    tries = CounterMetricFamily(
        "portico_connector_tries", "Requests sent to a system, repeated ones too.", labels=_LABELS
    )
    seconds = CounterMetricFamily(
        "portico_connector_seconds", "Time spent in calls of a system.", labels=_LABELS
    )
    failures = CounterMetricFamily(
        "portico_connector_failures",
        "Calls that failed in the end, by failure.",
        labels=[*_LABELS, "failure"],
    )
    for api, connection in connections.items():
        for operation, counters in connection.counters.by_operation.items():
            name = [api, operation]
            calls.add_metric(name, counters.calls)
            tries.add_metric(name, counters.tries)
            seconds.add_metric(name, counters.seconds)
            for failure, count in counters.failures.items():
                failures.add_metric([*name, failure], count)
    yield from (calls, tries, seconds, failures)
    yield _allowances(connections)


def _allowances(connections: Mapping[str, Connection]) -> Metric:
    family = GaugeMetricFamily(
        "portico_connector_limit_used",
        "Share of a system's limit that is used, as the system says.",
        labels=["api", "limit"],
    )
    for api, connection in connections.items():
        for allowance in connection.allowances.values():
            if allowance.total > 0:
                family.add_metric([api, allowance.name], allowance.used / allowance.total)
    return family
