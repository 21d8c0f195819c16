"""What connectors count appears among the metrics."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from starlette.responses import Response

from gateway.metrics import RequestMetrics
from portico.connectors.failures import MissingError
from tests.portico.connectors.conftest import Post, job, post  # noqa: F401  # a fixture

pytestmark = pytest.mark.anyio


async def test_calls_tries_failures_and_limits_are_counted_by_operation(
    post: Post,  # noqa: F811  # the fixture
) -> None:
    post.service.add("R-1")
    post.service.instead.append(Response(status_code=429, headers={"retry-after": "0"}))
    await post.parcels.get("1", job())
    with pytest.raises(MissingError):
        await post.parcels.get("9", job())

    registry = CollectorRegistry(auto_describe=False)
    connections = {"system/parcels.v1": post.parcels.connection}
    registry.register(RequestMetrics(connections))
    text = generate_latest(registry).decode()

    labels = 'api="system/parcels.v1",operation="parcels.get"'
    assert f"portico_connector_calls_total{{{labels}}} 2.0" in text
    assert f"portico_connector_tries_total{{{labels}}} 3.0" in text
    failed = 'api="system/parcels.v1",failure="MissingError",operation="parcels.get"'
    assert f"portico_connector_failures_total{{{failed}}} 1.0" in text
    assert 'portico_connector_limit_used{api="system/parcels.v1",limit="calls"} 0.07' in text
