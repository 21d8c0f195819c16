"""What happens to a request on its way through the gateway."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import (
    BASKET,
    KIOSK,
    PUBLIC_URL,
    Served,
    eventually,
    in_process,
    network_config,
    serving,
)

BASE = "/experience/kiosk/v1"


def bearer(served: Served, *scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.token(*scopes)}"}


# Who it is comes before what it asks.


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": f"{BASE}/choices/{'a' * 21}?limit=abc&unknown=1"},
        {"path": f"{BASE}/choices/a", "headers": {"Accept": "text/html"}},
        {"method": "POST", "path": f"{BASE}/notes", "content": b"not json"},
        {"method": "POST", "path": f"{BASE}/notes", "content": b" " * 2_000_000},
    ],
)
def test_a_stranger_learns_nothing_about_the_contract(
    gateway: Served, wrong: dict[str, Any]
) -> None:
    options = dict(wrong)
    response = gateway.request(
        options.pop("method", "GET"), options.pop("path"), token="", **options
    )

    assert response.status_code == 401
    metadata = f"{PUBLIC_URL}/.well-known/oauth-protected-resource{BASE}"
    assert (
        response.headers["www-authenticate"]
        == f'Bearer realm="portico", resource_metadata="{metadata}"'
    )
    assert "errors" not in response.json()


def test_a_caller_without_the_scope_learns_which(gateway: Served) -> None:
    response = gateway.request(
        "GET", f"{BASE}/choices/a?limit=abc", token=gateway.token("kiosk:one")
    )

    assert response.status_code == 403
    assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert response.json()["scopes"] == ["kiosk:use"]
    assert "errors" not in response.json()


@pytest.mark.parametrize(
    ("scopes", "status"),
    [
        (["kiosk:use"], 200),
        (["kiosk:one", "kiosk:two"], 200),
        (["kiosk:one"], 403),
        (["kiosk:two"], 403),
        (["other"], 403),
    ],
)
def test_alternatives_are_or_and_their_members_and(
    gateway: Served, scopes: list[str], status: int
) -> None:
    response = gateway.request("GET", f"{BASE}/choices/a", token=gateway.token(*scopes))

    assert response.status_code == status


def test_anyone_may_call_an_anonymous_operation(gateway: Served) -> None:
    for path in ("/public", "/mixed"):
        response = gateway.request("GET", BASE + path, token="")
        assert (response.status_code, response.json()) == (200, {"client": ""})


def test_credentials_for_an_anonymous_operation_must_be_good(gateway: Served) -> None:
    for path in ("/public", "/mixed"):
        assert gateway.request("GET", BASE + path).json() == {"client": "tests"}
        assert gateway.request("GET", BASE + path, token="forged").status_code == 401


def test_two_authorization_fields_are_ambiguous(gateway: Served) -> None:
    fields = [*bearer(gateway).items(), *bearer(gateway).items()]

    response = gateway.client.get(f"{gateway.url}{BASE}/choices/a", headers=fields)

    assert response.status_code == 400
    assert 'error="invalid_request"' in response.headers["www-authenticate"]


# Fields.


@pytest.mark.parametrize("name", ["Content-Type", "Content-Encoding"])
def test_a_second_line_of_a_single_field_is_refused(gateway: Served, name: str) -> None:
    fields = [
        *bearer(gateway).items(),
        ("Content-Type", "application/json"),
        *([("Content-Encoding", "identity")] * (name == "Content-Encoding")),
        (name, "application/json"),
    ]

    response = gateway.client.post(
        f"{gateway.url}{BASE}/notes", headers=fields, content=b'{"text":"a"}'
    )

    assert response.status_code == 400
    assert response.json()["detail"] == f"the header {name.lower()} is there twice"


def test_lines_of_one_list_field_are_joined(gateway: Served) -> None:
    fields = [*bearer(gateway).items(), ("X-Color", "red"), ("X-Color", "blue")]

    response = gateway.client.get(f"{gateway.url}{BASE}/choices/a", headers=fields)

    assert response.json()["color"] == "red, blue"


def test_every_answer_has_a_request_id_of_its_own(gateway: Served) -> None:
    paths = ["/livez", "/nothing", f"{BASE}/public", f"{BASE}/crash", "/portal/"]

    found = [gateway.request("GET", path).headers["x-request-id"] for path in paths * 2]

    assert len(set(found)) == len(found)
    assert all(len(request_id) == 16 for request_id in found)


def test_answers_to_authenticated_requests_are_private(gateway: Served) -> None:
    assert (
        gateway.request("GET", f"{BASE}/choices/a").headers["cache-control"] == "private, no-store"
    )
    assert "cache-control" not in gateway.request("GET", f"{BASE}/public", token="").headers


def test_a_deprecated_operation_says_so(gateway: Served) -> None:
    headers = gateway.request("GET", f"{BASE}/choices/a").headers

    assert headers["deprecation"] == "@1769817600"
    assert headers["sunset"] == "Sun, 31 Jan 2027 00:00:00 GMT"
    assert headers["link"] == '</experience/kiosk/v2/choices>; rel="successor-version"'


def test_an_edge_key_is_its_clients_own(gateway: Served) -> None:
    def key(client_id: str) -> str:
        response = gateway.request(
            "POST",
            f"{BASE}/notes",
            json={"text": "a"},
            headers={"Idempotency-Key": "same"},
            token=gateway.token(client_id=client_id),
        )
        assert response.status_code == 201
        assert response.headers["location"] == f"{BASE}/notes/1"
        found: str = response.json()["key"]
        return found

    assert key("one") != key("two")
    assert key("one") == key("one") != "same"


# OPTIONS.


def test_options_says_what_is_allowed(gateway: Served) -> None:
    response = gateway.request("OPTIONS", f"{BASE}/notes", token="")

    assert response.status_code == 204
    assert response.headers["allow"] == "OPTIONS, POST"
    assert response.content == b""


def test_options_of_the_whole_server_is_answered(gateway: Served) -> None:
    answer = gateway.raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert (answer.status, answer.body) == (204, b"")


# Handlers.


def test_an_unhandled_exception_does_not_leak(
    gateway: Served, caplog: pytest.LogCaptureFixture
) -> None:
    response = gateway.request("GET", f"{BASE}/crash")

    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in caplog.text
    assert "a secret that must not leave" in caplog.text  # for the operator


def test_a_handler_may_stream(gateway: Served) -> None:
    with gateway.client.stream(
        "GET", f"{gateway.url}{BASE}/ticker?parts=3", headers=bearer(gateway)
    ) as response:
        parts = list(response.iter_raw())

    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["transfer-encoding"] == "chunked"
    assert parts == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]


def test_an_endless_stream_ends_with_its_client(gateway: Served) -> None:
    from experience_apis.kiosk import handlers

    with gateway.client.stream(
        "GET", f"{gateway.url}{BASE}/ticker?parts=0", headers=bearer(gateway)
    ) as response:
        parts = response.iter_raw()
        assert next(parts) == b"data: 1\n\n"
        request_id = response.headers["x-request-id"]
        assert request_id not in handlers.finished

    assert eventually(lambda: request_id in handlers.finished)


def test_a_head_request_does_not_run_the_stream(gateway: Served) -> None:
    response = gateway.request("HEAD", f"{BASE}/ticker?parts=0")

    assert (response.status_code, response.content) == (200, b"")
    assert "content-length" not in response.headers


def test_a_handler_runs_on_when_its_client_leaves(gateway: Served) -> None:
    """What it was doing may be half done in some system."""
    from experience_apis.kiosk import handlers

    before = len(handlers.finished)
    authorization = bearer(gateway)["Authorization"]
    port = int(gateway.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(
            f"GET {BASE}/slow?seconds=0.3 HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {authorization}\r\n\r\n".encode()
        )
        time.sleep(0.1)

    assert eventually(lambda: len(handlers.finished) > before)


def test_a_handler_is_stopped_at_its_deadline(tmp_path: Path) -> None:
    from experience_apis.kiosk import handlers

    with in_process(tmp_path, apis={"experience/kiosk.v1": {"timeout_seconds": 0.2}}) as served:
        started = time.monotonic()
        response = served.request("GET", f"{BASE}/slow?seconds=20")

    assert response.status_code == 504
    assert time.monotonic() - started < 1
    assert response.headers["x-request-id"] not in handlers.finished


@pytest.mark.parametrize("value", ["", "-1", "1e3", "9" * 5000, "1 2"])
def test_a_budget_that_is_no_number_is_ignored(gateway: Served, value: str) -> None:
    response = gateway.as_tier(
        KIOSK,
        BASKET,
        "/process/basket/v1/relay",
        json={"operation": "echo", "arguments": {"name": "n"}},
        headers={"Portico-Timeout-Ms": value},
    )

    assert response.status_code == 200


# Behind a proxy.


def test_failures_count_against_the_client_that_a_trusted_proxy_names(tmp_path: Path) -> None:
    """One client that tries tokens does not lock out everybody behind the same proxy."""
    config = network_config(tmp_path, trusted_proxies=["127.0.0.0/8"])
    with serving(config) as served:

        def ask(client: str, token: str) -> int:
            return served.request(
                "GET", f"{BASE}/choices/a", token=token, headers={"X-Forwarded-For": client}
            ).status_code

        statuses = {ask("198.51.100.7", f"wrong{number}") for number in range(140)}
        assert statuses == {401, 429}
        assert ask("198.51.100.7", "again") == 429
        assert ask("203.0.113.9", "first") == 401
        assert ask("203.0.113.9", served.token()) == 200


def test_nobody_else_is_believed_about_addresses(tmp_path: Path) -> None:
    with serving(network_config(tmp_path)) as served:
        statuses = [
            served.request(
                "GET",
                f"{BASE}/choices/a",
                token=f"wrong{number}",
                headers={"X-Forwarded-For": f"198.51.100.{number}"},
            ).status_code
            for number in range(140)
        ]

    assert statuses[-1] == 429
