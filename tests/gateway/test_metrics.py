"""What operators watch, and who may watch it."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.serving import Served, in_process

KIOSK = "/experience/kiosk/v1"


def samples(served: Served) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    response = served.request("GET", "/metrics", token="")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_requests_are_counted_by_operation_and_status(tmp_path: Path) -> None:
    with in_process(tmp_path) as served:
        for _ in range(3):
            served.request("GET", f"{KIOSK}/public", token="")
        served.request("GET", f"{KIOSK}/public?unknown=1", token="")
        served.request("GET", "/nothing", token="")
        found = samples(served)

    operation = {"api": "experience/kiosk.v1", "operation": "getPublic"}
    assert found[of("portico_requests_total", **operation, status="200")] == 3
    assert found[of("portico_requests_total", **operation, status="400")] == 1
    assert found[of("portico_requests_total", api="", operation="", status="404")] == 1
    assert found[of("portico_request_duration_seconds_count", **operation)] == 4
    assert found[of("portico_request_duration_seconds_bucket", **operation, le="30.0")] == 4


def test_records_limits_and_redis_are_counted(tmp_path: Path) -> None:
    limits = {"plans": {"standard": {"notes": {"limits": "3/hour"}}}}
    embedded = {"tryton": False, "redis": True}
    with in_process(tmp_path, embedded=embedded, rate_limits=limits) as served:
        for text in ("a", "a", "b", "b"):
            served.request(
                "POST", f"{KIOSK}/notes", json={"text": text}, headers={"Idempotency-Key": "k"}
            )
        found = samples(served)

    assert found[of("portico_idempotency_total", event="claims")] == 1
    assert found[of("portico_idempotency_total", event="replays")] == 1
    assert found[of("portico_idempotency_total", event="mismatches")] == 1
    assert found[of("portico_rate_limit_total", event="allowed")] == 3
    assert found[of("portico_rate_limit_total", event="refused")] == 1
    assert found[of("portico_rate_limit_alone")] == 0
    assert found[of("portico_redis_available")] == 1


def test_to_others_there_is_no_such_address(tmp_path: Path) -> None:
    with in_process(tmp_path, metrics={"networks": ["192.0.2.0/24"]}) as served:
        response = served.request("GET", "/metrics")

    assert response.status_code == 404


def test_a_client_behind_a_proxy_is_not_the_proxy(tmp_path: Path) -> None:
    with in_process(tmp_path, trusted_proxies=["127.0.0.1/32"]) as served:
        direct = served.request("GET", "/metrics", token="")
        passed_on = served.request(
            "GET", "/metrics", token="", headers={"X-Forwarded-For": "198.51.100.7"}
        )

    assert (direct.status_code, passed_on.status_code) == (200, 404)
